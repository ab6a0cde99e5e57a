"""Three processes and their supervisor, each of them killed, stopped and resumed while the robot walks.

Order and latching are asserted strictly, times generously: the machine may be busy. The times that are reached are in
docs/processes.md, measured by benchmarks/processes.py.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.onboard.shared_slot import SHARED_MEMORY
from offline_data.log_reader import read_log
from offline_data.log_schema import Ending, EventKind, decode_text
from policy.bundle import read_bundle
from robot_configs.robot import RobotModel
from tests.deploy.onboard.real_time_robot import BUNDLE, RealTimeRobot, Session, children_of, wait_until


@pytest.fixture
def walking(make_state: Any, robot: RobotModel, tmp_path: Path) -> Iterator[Callable[..., "Walk"]]:
    """Starts a session and waits until the policy drives."""
    robots: list[RealTimeRobot] = []
    sessions: list[Session] = []

    def start(**options: Any) -> Walk:
        robots.append(RealTimeRobot(make_state, robot))
        sessions.append(Session(robots[-1].port, tmp_path, **options))
        walk = Walk(robots[-1], sessions[-1], robot)
        walk.wait_for_the_policy()
        return walk

    yield start
    for session in sessions:
        session.kill_all()
    for server in robots:
        server.stop()


class Walk:
    """A robot that walks, and the session that walks it."""

    def __init__(self, server: RealTimeRobot, session: Session, robot: RobotModel) -> None:
        self.server, self.session, self._robot = server, session, robot
        self._stiffness = read_bundle(BUNDLE).contract.stiffness[0]

    def wait_for_the_policy(self) -> None:
        def driven_by_the_policy() -> bool:
            assert self.session.process.poll() is None, self.session.process.communicate()
            newest = self.server.received[-5:]  # a ramp's gains pass through the policy's, but do not stay
            return bool(newest) and all(received.command.stiffness[0] == self._stiffness for received in newest)

        wait_until(driven_by_the_policy, "walking")
        maps = Path(f"/proc/{self.session.pid('gate')}/maps").read_text().split()
        self.rings = {Path(name) for name in maps if name.startswith(f"{SHARED_MEMORY}/go1_")}

    def assert_damped_since(self, time_s: float) -> None:
        """Once damped, damped for good; and until then within the limits."""
        wait_until(lambda: any(received.damping for received in self.server.after(time_s)), "damped")
        time.sleep(0.3)  # whatever else may be under way
        after = self.server.after(time_s)
        damping = [received.damping for received in after]
        first = damping.index(True)
        assert all(damping[first:]), "the motors pulled again"
        assert len(damping) - first >= 5
        self.assert_within_limits()

    def assert_within_limits(self) -> None:
        for received in self.server.received:
            if not received.damping:
                assert np.all(received.command.position >= self._robot.joint_lower - 1e-6)
                assert np.all(received.command.position <= self._robot.joint_upper + 1e-6)
                assert np.all(received.command.stiffness <= self._robot.max_stiffness)


def endings(summary: dict[str, Any]) -> dict[str, str]:
    return {process["name"]: process["ending"] for process in summary["processes"]}


def assert_nothing_left(walk: Walk, pids: list[int]) -> None:
    wait_until(lambda: not any(alive(pid) for pid in pids), "without orphans")
    wait_until(lambda: not any(ring.exists() for ring in walk.rings), "without shared memory")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_session_in_three_processes(walking: Callable[..., Walk], tmp_path: Path) -> None:
    walk = walking(episode_s=0.5)
    pids = children_of(walk.session.process.pid)
    assert len(pids) == 3
    summary = walk.session.summary()
    assert [(episode["ending"], episode["duration_s"]) for episode in summary["episodes"]] == [("truncated", 0.5)]
    assert summary["stop_reason"] == ""
    assert set(endings(summary)) == {"supervisor", "gate", "pilot", "recorder"}
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


def test_a_killed_supervisor_takes_nobody_with_it_but_the_robot_to_the_ground(walking: Callable[..., Walk]) -> None:
    walk = walking()
    pids = children_of(walk.session.process.pid)
    killed_s = time.monotonic()
    walk.session.signal("supervisor", signal.SIGKILL)
    assert_nothing_left(walk, pids)
    walk.assert_damped_since(killed_s)


def test_a_stopped_supervisor_ends_the_session(walking: Callable[..., Walk]) -> None:
    walk = walking()
    stopped_s = time.monotonic()
    pid = walk.session.signal("supervisor", signal.SIGSTOP)
    wait_until(lambda: any(received.damping for received in walk.server.after(stopped_s)), "damped")
    os.kill(pid, signal.SIGCONT)
    summary = walk.session.summary()
    walk.assert_damped_since(stopped_s)
    assert "the supervisor has been silent" in summary["stop_reason"]


@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTSTP,
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_the_session_in_order(walking: Callable[..., Walk], number: int) -> None:
    walk = walking()
    sent_s = time.monotonic()
    walk.session.signal("supervisor", number)
    summary = walk.session.summary()
    walk.assert_damped_since(sent_s)
    assert summary["stop_reason"] == signal.Signals(number).name
    assert [episode["ending"] for episode in summary["episodes"]] == ["stopped"]
    assert set(endings(summary).values()) == {"ended in order"}


def test_a_second_runner_is_told_who_drives(walking: Callable[..., Walk], tmp_path: Path) -> None:
    walk = walking()
    second = Session(walk.server.port, tmp_path)
    _, errors = second.process.communicate(timeout=30.0)
    assert second.process.returncode != 0
    assert f"process {walk.session.process.pid}" in errors
    walk.wait_for_the_policy()  # the first one did not notice
    walk.session.signal("supervisor", signal.SIGINT)
    assert walk.session.summary()["stop_reason"] == "SIGINT"


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
