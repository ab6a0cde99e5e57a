"""How a session ends that its supervisor, a signal or a second runner disturbs."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.onboard.real_time_robot import Session, children_of, wait_until
from tests.deploy.onboard.supervised_walk import Walk, assert_nothing_left, endings


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


def test_a_gate_that_falls_silent_before_any_state_came_is_a_silent_robot(tmp_path: Path) -> None:
    """With no patience at all for a damped gate, that is right after its first command, and never before it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        session = Session(nobody.getsockname()[1], tmp_path, damped_silence_limit_s=-1.0)
        _, errors = session.process.communicate(timeout=60.0)
        assert session.process.returncode != 0
        assert "SilentRobotError: expected a state from the robot; found none before the gate was silent" in errors
        assert "Check address and subnet" in errors
        assert nobody.recv(1024), "the gate was given the time to send its first command"


def test_a_dead_gate_leaves_word_of_its_walk(walking: Callable[..., Walk]) -> None:
    """What a trial is judged by: its policy had driven."""
    walk = walking()
    walk.session.signal("gate", signal.SIGKILL)
    summary = walk.session.summary()
    assert [(episode["episode"], episode["ending"]) for episode in summary["episodes"]] == [(0, "stopped")]
    assert summary["steps"] > 0
