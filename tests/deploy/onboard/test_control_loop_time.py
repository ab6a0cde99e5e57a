"""The control loop on a machine that freezes: deadlines that are missed, targets that are too old."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deploy.onboard import control_loop
from deploy.onboard.clock import VirtualClock
from deploy.onboard.wire import RobotState
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel
from tests.deploy.onboard.control_bench import IN_WALK, Bench, ends_damped, is_damping


class StallingClock(VirtualClock):
    """A machine that freezes once, for `stall_s` at time `at_s`."""

    def __init__(self, at_s: float, stall_s: float) -> None:
        super().__init__()
        self._at_s, self._stall_s = at_s, stall_s

    def sleep_until(self, deadline_s: float) -> None:
        super().sleep_until(deadline_s)
        if self.now_s() >= self._at_s:
            self.advance(self._stall_s)
            self._at_s = float("inf")


def ticking_by(clock: VirtualClock) -> Callable[[int, RobotState], RobotState]:
    """The robot's own time passes while this side is frozen."""
    return lambda number, state: replace(state, tick_ms=round(1000.0 * clock.now_s()))


def test_missed_deadlines_are_skipped_and_counted(bench: Bench) -> None:
    """Frozen for 17 ms in the walk: that tick is late, and of the eight deadlines that passed seven are left out."""
    bench.clock = StallingClock(at_s=IN_WALK / 500, stall_s=0.017)
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    assert summary.ticks_missed == 7
    assert summary.lateness["maximum_s"] == pytest.approx(0.017)
    assert summary.faults == ()
    times = np.array([time_s for _, _, time_s in bench.notes.commands])
    late = int(np.argmax(np.diff(times)))
    assert np.diff(times)[late : late + 3] == pytest.approx([0.019, 0.0, 0.001])
    assert np.diff(times)[late + 3 :] == pytest.approx(0.002)
    assert np.diff([step.time_s for step in bench.notes.steps]).max() < 0.04
    assert summary.episodes[0].duration_s == pytest.approx(0.4)


@pytest.mark.parametrize(("stall_s", "missed"), [(0.001, 0), (0.003, 0), (0.005, 1), (0.007, 2)])
def test_a_deadline_is_missed_when_the_next_one_has_passed_too(bench: Bench, stall_s: float, missed: int) -> None:
    """Late by 3 ms, the next deadline has passed by 1 ms and is still met; late by 5 ms, the one after that is."""
    bench.clock = StallingClock(at_s=IN_WALK / 500, stall_s=stall_s)
    assert bench.loop(episode_s=0.4, episodes=1).run().ticks_missed == missed


def test_it_does_not_matter_when_the_clock_began(bench: Bench) -> None:
    bench.clock = VirtualClock(start_s=4096.0)
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    times = np.array([time_s for _, _, time_s in bench.notes.commands])
    assert np.abs(times - 4096.0 - 0.002 * np.arange(1, len(times) + 1)).max() < 1e-9
    assert summary.clock_s == pytest.approx(0.002 * summary.ticks)
    assert (summary.ticks_missed, summary.lateness["maximum_s"]) == (0, pytest.approx(0.0, abs=1e-9))
    assert [episode.ending for episode in summary.episodes] == ["truncated"]


def test_real_time_is_counted_from_the_beginning(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sixteenth of a second for each of the 25 answers to the farewell."""
    monkeypatch.setattr(control_loop.time, "perf_counter", lambda: 128.0 + 0.0625 * bench.link.received)
    loop = bench.loop(episode_s=0.4, episodes=1)
    loop.request_stop("SIGTERM")
    assert loop.run().wall_s == 1.5625


def test_a_stall_between_two_policy_steps_makes_the_target_stale(bench: Bench) -> None:
    """The state that is found afterwards is fresh; what the policy wanted before it is not to be acted upon."""
    bench.clock = StallingClock(at_s=IN_WALK / 500, stall_s=0.045)
    bench.link.tamper = ticking_by(bench.clock)
    summary = bench.loop(episode_s=2.0, episodes=1).run()
    assert (summary.episodes[0].ending, summary.episodes[0].reason) == ("stopped", "target_stale")
    assert ends_damped(bench)


def test_policy_steps_that_were_missed_are_not_made_up_for(
    bench: Bench, make_state: Any, contract: PolicyContract, robot: RobotModel
) -> None:
    """Frozen for 45 ms as a step begins: the grid of 20 ms goes on from the next tick, without a burst of steps."""
    rehearsal = Bench(type(bench.link)(make_state, robot.stand_position), bench.policy, contract, robot)
    rehearsal.loop(episode_s=0.4, episodes=1).run()
    bench.clock = StallingClock(at_s=rehearsal.notes.steps[5].time_s - 1e-6, stall_s=0.045)
    bench.link.tamper = ticking_by(bench.clock)
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    assert summary.faults == ()
    assert summary.steps == 19  # of twenty, 5 came late, 6 and 7 were made together
    intervals = np.diff([step.time_s for step in bench.notes.steps])
    assert np.sum(intervals < 0.01) == 1
    # 5 was due at 0 ms of the stall; the robot is back at 45 ms, the grid goes on at 60.
    assert intervals[5:7] == pytest.approx([0.0, 0.015], abs=1e-9)
    assert intervals[7:] == pytest.approx(0.02)


@pytest.mark.parametrize(("stall_s", "fault"), [(0.039, ()), (0.041, ("target_stale",))])
def test_a_pilot_that_stalls_in_the_loop_gives_no_fresh_target(
    bench: Bench, stall_s: float, fault: tuple[str, ...]
) -> None:
    """Its target is for the moment before the stall, and lives for 40 ms from then: the same tick must not send it."""

    def stall(number: int, target: np.ndarray) -> np.ndarray:
        if number == 5:
            bench.clock.advance(stall_s)
        return target

    bench.policy.tamper = stall
    bench.link.tamper = ticking_by(bench.clock)
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    assert summary.faults == fault
    stalled = [decision for decision, _, time_s in bench.notes.commands if time_s <= bench.notes.steps[5].time_s][-1]
    assert is_damping(stalled.command) is bool(fault)
    assert ends_damped(bench)


@pytest.mark.parametrize(("lost", "stall_s", "fault"), [(8, 0.023, ()), (8, 0.025, ("target_stale",)), (0, 0.025, ())])
def test_a_target_is_as_old_as_the_state_it_was_made_of(
    bench: Bench,
    make_state: Any,
    contract: PolicyContract,
    robot: RobotModel,
    lost: int,
    stall_s: float,
    fault: tuple[str, ...],
) -> None:
    """Eight states lost before a step make the newest 16 ms old: of the target's 40 ms the pilot may take 24."""
    rehearsal = Bench(type(bench.link)(make_state, robot.stand_position), bench.policy, contract, robot)
    rehearsal.loop(episode_s=0.4, episodes=1).run()
    number = round(rehearsal.notes.steps[5].time_s * robot.link_hz) - 1
    tick = ticking_by(bench.clock)
    bench.link = type(bench.link)(make_state, robot.stand_position)
    bench.link.tamper = lambda n, state: None if number - lost < n <= number else tick(n, state)
    bench.policy.calls.clear()

    def stall(number: int, target: np.ndarray) -> np.ndarray:
        if number == 5:
            bench.clock.advance(stall_s)
        return target

    bench.policy.tamper = stall
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    assert bench.notes.steps[5].time_s - bench.notes.steps[5].state_time_s == pytest.approx(0.002 * lost, abs=1e-9)
    assert summary.faults == fault
