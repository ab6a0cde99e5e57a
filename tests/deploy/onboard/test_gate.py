"""The gate: one limit after the other, with values just inside and just outside."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deploy.onboard.gate import STOP_KEY, Gate, GateDecision
from deploy.onboard.reasons import Reason, reason_names
from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.target_limits import NO_CLAMPS
from deploy.onboard.wire import MOTOR_MODE_SERVO, POSITION_STOP
from robot_configs.robot import RobotModel, SafetyThresholds, load_robot
from tests.deploy.onboard.motions import turned

NOW_S = 10.0
TICK_S = 0.002
FRONT_RIGHT_CALF = 2


def make_target(robot: RobotModel, **changes: Any) -> JointTarget:
    target = JointTarget(robot.stand_position.copy(), np.full(12, 30.0), np.full(12, 0.75), NOW_S + 0.04)
    return target._replace(**changes)


def is_damping(robot: RobotModel, decision: GateDecision) -> bool:
    command = decision.command
    return bool(
        np.all(command.position == POSITION_STOP)
        and np.all(command.stiffness == 0.0)
        and np.all(command.damping == robot.damp.damping)
        and np.all(command.velocity == 0.0)
        and np.all(command.torque == 0.0)
        and np.all(command.mode == MOTOR_MODE_SERVO)
    )


THRESHOLDS = SafetyThresholds(
    tilt_limit_rad=1.0,
    state_age_limit_s=0.02,
    target_age_limit_s=0.04,
    max_target_rate_rad_s=40.0,
    motor_temperature_limit_c=80.0,
    battery_soc_minimum_percent=5.0,
    quaternion_norm_tolerance=0.05,
    max_tick_gap_ms=100.0,
)
"""Held here so that the numbers below stay true when go1.yaml is tuned."""


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return replace(load_robot(), safety=THRESHOLDS, max_stiffness=100.0, max_damping=10.0)


@pytest.fixture
def gate(robot: RobotModel) -> Gate:
    return Gate(robot)


def test_a_healthy_state_and_a_good_target_pass_unchanged(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    target = make_target(robot)
    decision = gate.step(make_state(), target, NOW_S, Mode.WALK)
    assert (decision.reasons, decision.clamped, gate.latched) == (0, (0, 0, 0), 0)
    assert np.array_equal(decision.command.position, target.position)
    assert np.array_equal(decision.command.stiffness, target.stiffness)
    assert np.array_equal(decision.command.damping, target.damping)


@pytest.mark.parametrize("mode", [Mode.DAMP, Mode.FAULT])
def test_the_resting_modes_damp_whatever_the_target(robot: RobotModel, gate: Gate, make_state: Any, mode: Mode) -> None:
    assert is_damping(robot, gate.step(make_state(), make_target(robot), NOW_S, mode))
    assert gate.latched == 0


class StateLimit:
    """One fault of the state: what is just good enough, what is just not."""

    reason: Reason
    good: dict[str, Any]
    bad: dict[str, Any]

    def test_just_inside_passes(self, robot: RobotModel, gate: Gate, make_state: Any) -> None:
        decision = gate.step(make_state(**self.good), make_target(robot), NOW_S, Mode.WALK)
        assert reason_names(decision.reasons) == ()
        assert not is_damping(robot, decision)

    def test_just_outside_damps_and_latches(self, robot: RobotModel, gate: Gate, make_state: Any) -> None:
        decision = gate.step(make_state(**self.bad), make_target(robot), NOW_S, Mode.WALK)
        assert decision.reasons == gate.latched == self.reason
        assert is_damping(robot, decision)
        healthy = gate.step(make_state(tick_ms=1002), make_target(robot), NOW_S + TICK_S, Mode.WALK)
        assert is_damping(robot, healthy)
        assert healthy.reasons == self.reason

    def test_rearming_needs_a_good_state(self, robot: RobotModel, gate: Gate, make_state: Any) -> None:
        gate.step(make_state(**self.bad), make_target(robot), NOW_S, Mode.WALK)
        assert gate.rearm(NOW_S) == reason_names(self.reason)
        assert gate.latched == self.reason
        # A robot that is level 2 ms after it lay on its back is not believed at once.
        for tick in range(1, 301):
            gate.step(make_state(tick_ms=1000 + 2 * tick), None, NOW_S + tick * TICK_S, Mode.FAULT)
        assert gate.rearm(NOW_S + 300 * TICK_S) == ()
        again_s = NOW_S + 301 * TICK_S
        target = make_target(robot, valid_until_s=again_s)
        decision = gate.step(make_state(tick_ms=1602), target, again_s, Mode.STAND)
        assert not is_damping(robot, decision)

    def test_it_does_not_latch_in_damping(self, robot: RobotModel, gate: Gate, make_state: Any) -> None:
        decision = gate.step(make_state(**self.bad), None, NOW_S, Mode.DAMP)
        assert is_damping(robot, decision)
        assert gate.latched == 0
        assert gate.state_faults == self.reason


class TestRollLimit(StateLimit):
    reason = Reason.TILT
    good = {"orientation_trunk_in_world": turned(1.0 - 1e-3, axis=0)}
    bad = {"orientation_trunk_in_world": turned(1.0 + 1e-3, axis=0)}


class TestPitchLimit(StateLimit):
    reason = Reason.TILT
    good = {"orientation_trunk_in_world": turned(-1.0 + 1e-3, axis=1)}
    bad = {"orientation_trunk_in_world": turned(-1.0 - 1e-3, axis=1)}


class TestUpsideDown(StateLimit):
    reason = Reason.TILT
    good = {"orientation_trunk_in_world": turned(math.pi, axis=2)}  # facing backwards is no tilt
    bad = {"orientation_trunk_in_world": turned(math.pi, axis=0)}


class TestQuaternionTooLong(StateLimit):
    reason = Reason.QUATERNION_NORM
    good = {"orientation_trunk_in_world": np.array([1.049, 0, 0, 0], np.float32)}
    bad = {"orientation_trunk_in_world": np.array([1.051, 0, 0, 0], np.float32)}


class TestQuaternionTooShort(StateLimit):
    reason = Reason.QUATERNION_NORM
    good = {"orientation_trunk_in_world": np.array([0.951, 0, 0, 0], np.float32)}
    bad = {"orientation_trunk_in_world": np.zeros(4, np.float32)}  # what a firmware mismatch sends


class TestMotorTemperature(StateLimit):
    reason = Reason.MOTOR_HOT
    good = {"joint_temperature": np.array([30] * 11 + [80], np.int8)}
    bad = {"joint_temperature": np.array([30] * 11 + [81], np.int8)}


class TestBattery(StateLimit):
    reason = Reason.BATTERY_LOW
    good = {"battery_soc_percent": 5}
    bad = {"battery_soc_percent": 4}


FLOAT_FIELDS = (
    ("orientation_trunk_in_world", 4),
    ("angular_velocity_trunk_in_trunk", 3),
    ("accelerometer_trunk_in_trunk", 3),
    ("joint_position", 12),
    ("joint_velocity", 12),
    ("joint_torque", 12),
)


@pytest.mark.parametrize(("field", "length"), FLOAT_FIELDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_damps_and_latches(
    robot: RobotModel, make_state: Any, field: str, length: int, value: float
) -> None:
    for index in range(length):
        gate = Gate(robot)
        broken = getattr(make_state(), field).copy()
        broken[index] = value
        decision = gate.step(make_state(**{field: broken}), make_target(robot), NOW_S, Mode.WALK)
        assert decision.reasons == gate.latched == Reason.STATE_NOT_FINITE
        assert is_damping(robot, decision)


def test_opposite_infinities_do_not_cancel(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    velocity = np.zeros(12, np.float32)
    velocity[:2] = math.inf, -math.inf
    gate.step(make_state(joint_velocity=velocity), make_target(robot), NOW_S, Mode.WALK)
    assert gate.latched == Reason.STATE_NOT_FINITE


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


@pytest.mark.parametrize("mode", list(Mode))
def test_the_stop_key_latches_in_every_mode(robot: RobotModel, gate: Gate, make_state: Any, mode: Mode) -> None:
    pressed = make_state(remote=encode_remote({STOP_KEY}))
    assert is_damping(robot, gate.step(pressed, make_target(robot), NOW_S, mode))
    assert gate.latched == Reason.STOP_KEY
    assert gate.rearm(NOW_S) == ("stop_key",)


def test_the_stop_key_acts_together_with_others(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    gate.step(make_state(remote=encode_remote({STOP_KEY, Key.L2})), make_target(robot), NOW_S, Mode.WALK)
    assert gate.latched == Reason.STOP_KEY


def test_another_key_does_not_stop(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    others = set(Key) - {STOP_KEY}
    gate.step(make_state(remote=encode_remote(others)), make_target(robot), NOW_S, Mode.WALK)
    assert gate.latched == 0


def test_walking_without_a_target_is_a_fault(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    assert is_damping(robot, gate.step(make_state(), None, NOW_S, Mode.WALK))
    assert gate.latched == Reason.TARGET_MISSING


def test_a_target_that_was_moved_is_followed_and_the_reasons_are_named(
    robot: RobotModel, gate: Gate, make_state: Any
) -> None:
    """Far beyond the limits of position, rate (0.08 rad a tick) and torque (23.7 Nm at 100 Nm/rad: 0.237 rad)."""
    beyond = make_target(robot, position=robot.stand_position + 5.0)
    decision = gate.step(make_state(), beyond, NOW_S, Mode.WALK)
    assert decision.reasons == Reason.POSITION_CLAMPED | Reason.RATE_CLAMPED
    assert decision.clamped == (12, 12, 0)
    assert gate.latched == 0
    stiff = make_target(
        robot,
        position=robot.stand_position + 0.4,
        stiffness=np.full(12, 100.0),
        damping=np.zeros(12),
    )
    for tick in range(1, 5):
        decision = gate.step(make_state(tick_ms=1000 + 2 * tick), stiff, NOW_S + tick * TICK_S, Mode.WALK)
    assert decision.reasons & Reason.TORQUE_CLAMPED
    assert decision.command.position[0] - robot.stand_position[0] == pytest.approx(0.237, abs=1e-6)


def test_the_farewell_is_damping(robot: RobotModel, gate: Gate) -> None:
    assert is_damping(robot, GateDecision(gate.damping_command, 0, NO_CLAMPS))
