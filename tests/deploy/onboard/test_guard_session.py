"""The guard in a session, for real: gate and supervisor gone or stopped, in any order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import numpy as np
import pytest

from tests.deploy.onboard.real_time_robot import children_of, wait_until
from tests.deploy.onboard.supervised_walk import Walk, assert_nothing_left, endings


def test_gate_and_supervisor_killed_in_the_same_instant(walking: Callable[..., Walk]) -> None:
    walk = walking()
    pids = children_of(walk.session.process.pid)
    gate = walk.session.pid("gate")
    assert gate is not None
    killed_s = time.monotonic()
    os.kill(walk.session.process.pid, signal.SIGSTOP)  # it cannot notice what happens to the gate
    os.kill(gate, signal.SIGKILL)
    os.kill(walk.session.process.pid, signal.SIGKILL)
    walk.assert_damped_since(killed_s)
    assert_nothing_left(walk, pids)


def test_gate_and_supervisor_stopped_are_killed_and_the_robot_damped(walking: Callable[..., Walk]) -> None:
    walk = walking(guard_silence_limit_s=0.3)
    pids = children_of(walk.session.process.pid)
    stopped_s = time.monotonic()
    walk.session.signal("supervisor", signal.SIGSTOP)
    walk.session.signal("gate", signal.SIGSTOP)
    walk.assert_damped_since(stopped_s)
    assert_nothing_left(walk, pids)
    assert walk.session.process.wait(timeout=10.0) == -signal.SIGKILL


def test_a_killed_guard_is_replaced_and_the_robot_walks_on(walking: Callable[..., Walk]) -> None:
    walk = walking(episode_s=1.5)
    first = walk.session.signal("guard", signal.SIGKILL)
    wait_until(lambda: walk.session.pid("guard") not in (None, first), "replaced")
    summary = walk.session.summary()
    assert [episode["ending"] for episode in summary["episodes"]] == ["truncated"]
    guards = [process["ending"] for process in summary["processes"] if process["name"] == "guard"]
    assert guards == ["was killed by SIGKILL", "ended in order"]
    assert endings(summary)["gate"] == "ended in order"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_both_killed_in_any_order_at_any_phase(walking: Callable[..., Walk], seed: int) -> None:
    generator = np.random.default_rng(seed)
    walk = walking()
    pids = children_of(walk.session.process.pid)
    gate = walk.session.pid("gate")
    assert gate is not None
    both = [gate, walk.session.process.pid]
    generator.shuffle(both)
    time.sleep(generator.uniform(0.0, 0.1))
    killed_s = time.monotonic()
    for pid in both:
        os.kill(pid, signal.SIGKILL)
    walk.assert_damped_since(killed_s)
    assert_nothing_left(walk, pids)
