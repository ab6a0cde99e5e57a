"""The processes of a session: gate, pilot and recorder killed, stopped and resumed while the robot walks.

Order and latching are asserted strictly, times generously: the machine may be busy. The times that are reached are in
docs/processes.md, measured by benchmarks/processes.py.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offline_data.log_reader import read_log
from offline_data.log_schema import Ending, EventKind, decode_text
from tests.deploy.onboard.real_time_robot import children_of, wait_until
from tests.deploy.onboard.supervised_walk import Walk, assert_nothing_left, endings


def test_a_session_in_its_processes(walking: Callable[..., Walk], tmp_path: Path) -> None:
    walk = walking(episode_s=0.5)
    pids = children_of(walk.session.process.pid)
    assert len(pids) == 4
    summary = walk.session.summary()
    assert [(episode["ending"], episode["duration_s"]) for episode in summary["episodes"]] == [("truncated", 0.5)]
    assert summary["stop_reason"] == ""
    assert set(endings(summary)) == {"supervisor", "gate", "pilot", "recorder", "guard"}
    assert set(endings(summary).values()) == {"ended in order"}
    log = read_log(Path(summary["recorder"]["path"]))
    assert len(log.low_cmd) == summary["recorder"]["messages"]["/low_cmd"] == summary["ticks"] - 25
    assert len(log.policy_tick) >= summary["steps"] >= 15
    assert not any(summary["recorder"]["dropped"].values())
    assert_nothing_left(walk, pids)
    assert not list((tmp_path / "leases").iterdir())


def test_a_killed_gate_leaves_the_robot_damped_by_the_supervisor(walking: Callable[..., Walk]) -> None:
    walk = walking()
    pids = children_of(walk.session.process.pid)
    killed_s = time.monotonic()
    walk.session.signal("gate", signal.SIGKILL)
    summary = walk.session.summary()
    walk.assert_damped_since(killed_s)
    assert summary["stop_reason"] == "the gate was killed by SIGKILL; the supervisor damped the robot"
    assert endings(summary)["gate"] == "was killed by SIGKILL"
    assert_nothing_left(walk, pids)
    events = read_log(Path(summary["recorder"]["path"])).event
    assert [EventKind(kind) for kind in events["kind"][-3:]] == [EventKind.FAULT, EventKind.EPISODE_END, EventKind.STOP]
    assert Ending(events["ending"][-2]) is Ending.STOPPED
    assert decode_text(events["text"][-1]) == summary["stop_reason"]


def test_a_stopped_gate_is_killed_and_the_robot_damped_by_the_supervisor(walking: Callable[..., Walk]) -> None:
    walk = walking(gate_silence_limit_s=0.3)
    stopped_s = time.monotonic()
    walk.session.signal("gate", signal.SIGSTOP)
    summary = walk.session.summary()
    walk.assert_damped_since(stopped_s)
    assert "the gate was silent for" in summary["stop_reason"]
    assert endings(summary)["gate"] == "was killed by SIGKILL"


def test_a_killed_pilot_ends_the_session_damped(walking: Callable[..., Walk]) -> None:
    walk = walking(auto_rearm=True)
    killed_s = time.monotonic()
    walk.session.signal("pilot", signal.SIGKILL)
    summary = walk.session.summary()
    walk.assert_damped_since(killed_s)
    assert summary["stop_reason"] == "the pilot was killed by SIGKILL"
    assert endings(summary)["gate"] == "ended in order"


def test_a_stopped_pilot_is_damped_by_the_gate_and_stays_so_when_it_goes_on(walking: Callable[..., Walk]) -> None:
    walk = walking()
    stopped_s = time.monotonic()
    pid = walk.session.signal("pilot", signal.SIGSTOP)
    wait_until(lambda: any(received.damping for received in walk.server.after(stopped_s)), "damped")
    os.kill(pid, signal.SIGCONT)
    summary = walk.session.summary()
    walk.assert_damped_since(stopped_s)
    assert summary["faults"] == ["target_stale"]
    assert endings(summary)["pilot"] == "ended in order"


def test_a_pilot_that_stays_stopped_cannot_hold_up_the_end(walking: Callable[..., Walk]) -> None:
    walk = walking(end_limit_s=0.5)
    stopped_s = time.monotonic()
    walk.session.signal("pilot", signal.SIGSTOP)
    summary = walk.session.summary()
    walk.assert_damped_since(stopped_s)
    assert endings(summary)["pilot"] == "was killed by SIGKILL"


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_recorder_that_ends_is_replaced_and_the_robot_walks_on(walking: Callable[..., Walk], number: int) -> None:
    walk = walking(episode_s=2.0)
    first = walk.session.signal("recorder", number)
    wait_until(lambda: walk.session.pid("recorder") not in (None, first), "replaced")
    summary = walk.session.summary()
    assert [episode["ending"] for episode in summary["episodes"]] == ["truncated"]
    assert summary["recorder"]["messages"]["/low_cmd"] == summary["ticks"] - 25
    assert not any(summary["recorder"]["dropped"].values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_any_process_killed_or_stopped_at_any_phase(walking: Callable[..., Walk], seed: int) -> None:
    generator = np.random.default_rng(seed)
    name = ("gate", "pilot", "supervisor")[seed % 3]
    number = signal.SIGKILL if name == "supervisor" else (signal.SIGKILL, signal.SIGSTOP)[seed // 3 % 2]
    walk = walking(gate_silence_limit_s=0.3, end_limit_s=0.5, auto_rearm=bool(seed % 2) and number == signal.SIGKILL)
    pids = children_of(walk.session.process.pid)
    time.sleep(generator.uniform(0.0, 0.2))
    disturbed_s = time.monotonic()
    walk.session.signal(name, number)
    if name != "supervisor":
        walk.session.summary()
    walk.assert_damped_since(disturbed_s)
    assert_nothing_left(walk, pids)
