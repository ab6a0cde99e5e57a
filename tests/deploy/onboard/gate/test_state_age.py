"""States that are missing, late, old, replayed, or from a controller that began to count anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deploy.onboard.gate import Gate
from deploy.onboard.reasons import Reason
from deploy.onboard.target import Mode
from robot_configs.robot import RobotModel
from tests.deploy.onboard.gate.bench import is_damping
from tests.deploy.onboard.limit_bench import NOW_S, TICK_S, make_target
from tests.deploy.onboard.motions import turned


def test_without_a_state_nothing_moves(robot: RobotModel, gate: Gate) -> None:
    decision = gate.step(None, make_target(robot), NOW_S, Mode.STAND)
    assert is_damping(robot, decision)
    assert gate.latched == Reason.STATE_MISSING


@pytest.mark.parametrize(("age_s", "expected"), [(0.0199, 0), (0.0201, Reason.STATE_STALE)])
def test_the_age_of_the_state(robot: RobotModel, gate: Gate, make_state: Any, age_s: float, expected: int) -> None:
    gate.step(make_state(), make_target(robot), NOW_S, Mode.WALK)
    gate.step(None, make_target(robot), NOW_S + age_s, Mode.WALK)
    assert gate.latched == expected


def test_a_frozen_tick_does_not_count_as_fresh(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    times = [NOW_S + TICK_S * n for n in range(12)]
    for time_s in times:
        decision = gate.step(make_state(), make_target(robot), time_s, Mode.WALK)
    assert decision.reasons == Reason.STATE_STALE


@pytest.mark.parametrize("age_s", [0.02, 0.02 + 0.9e-6])
def test_a_state_may_be_exactly_as_old_as_the_limit(
    robot: RobotModel, gate: Gate, make_state: Any, age_s: float
) -> None:
    """A link that takes exactly 20 ms for once is within the limit, however the clock's sums are rounded."""
    gate.step(make_state(), make_target(robot), NOW_S, Mode.WALK)
    gate.step(None, make_target(robot), NOW_S + age_s, Mode.WALK)
    assert gate.latched == 0


@pytest.mark.parametrize("tick_ms", [1100, 1101, 1000, 900, 899, 500, 0])
def test_one_state_with_any_tick_does_not_stop_a_robot_that_goes_on(
    robot: RobotModel, gate: Gate, make_state: Any, tick_ms: int
) -> None:
    """Further on by up to 100 ms it is taken; the same once more, an old one, or one out of line is dropped."""
    gate.step(make_state(tick_ms=1000), make_target(robot), NOW_S, Mode.WALK)
    gate.step(make_state(tick_ms=tick_ms), make_target(robot), NOW_S + TICK_S, Mode.WALK)
    gate.step(make_state(tick_ms=1104), make_target(robot), NOW_S + 2 * TICK_S, Mode.WALK)
    assert gate.latched == 0


def test_what_a_state_out_of_line_says_is_not_acted_upon(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    gate.step(make_state(tick_ms=1000), make_target(robot), NOW_S, Mode.WALK)
    replayed = make_state(tick_ms=500, orientation_trunk_in_world=turned(2.0, axis=0))
    assert gate.step(replayed, make_target(robot), NOW_S + TICK_S, Mode.WALK).reasons == 0


def restarted(robot: RobotModel, gate: Gate, make_state: Any, mode: Mode) -> int:
    """The controller counts from zero after 90 s, without a pause; returns the ticks until its states are taken."""
    gate.step(make_state(tick_ms=90_000), make_target(robot), NOW_S, mode)
    for tick in range(1, 50):
        gate.step(make_state(tick_ms=2 * tick), make_target(robot), NOW_S + tick * TICK_S, mode)
        if gate.state_faults == Reason.TICK_JUMP:
            return tick
    raise AssertionError("never taken")


def test_a_controller_that_restarted_is_noticed_within_the_age_limit(
    robot: RobotModel, gate: Gate, make_state: Any
) -> None:
    """20 ms without a state of the old count: in the eleventh tick the new count is taken, and the latch has fallen."""
    assert restarted(robot, gate, make_state, Mode.WALK) == 11
    assert gate.latched == Reason.TICK_JUMP


def test_while_damped_a_restart_passes_with_its_state(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    tick = restarted(robot, gate, make_state, Mode.DAMP)
    assert gate.latched == 0
    assert gate.inspect(make_state(tick_ms=2 * tick + 2), NOW_S + (tick + 1) * TICK_S) == 0


def test_after_a_restart_it_can_be_rearmed(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    """The new count is what it goes by from then on."""
    tick = restarted(robot, gate, make_state, Mode.WALK) + 1
    gate.step(make_state(tick_ms=2 * tick), make_target(robot), NOW_S + tick * TICK_S, Mode.WALK)
    assert gate.rearm(NOW_S + tick * TICK_S) == ()
    tick += 1
    gate.step(make_state(tick_ms=2 * tick), make_target(robot), NOW_S + tick * TICK_S, Mode.STAND)
    assert gate.latched == 0


def test_a_late_packet_is_not_acted_upon(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    tilted = turned(2.0, axis=0)
    gate.step(make_state(tick_ms=1000), make_target(robot), NOW_S, Mode.WALK)
    late = make_state(tick_ms=998, orientation_trunk_in_world=tilted)
    assert gate.step(late, make_target(robot), NOW_S + TICK_S, Mode.WALK).reasons == 0


def test_the_tick_may_wrap(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    gate.step(make_state(tick_ms=2**32 - 2), make_target(robot), NOW_S, Mode.WALK)
    hot = make_state(tick_ms=0, joint_temperature=np.full(12, 90, np.int8))
    gate.step(hot, make_target(robot), NOW_S + TICK_S, Mode.WALK)
    assert gate.latched == Reason.MOTOR_HOT  # the new state was taken, not dropped as late
