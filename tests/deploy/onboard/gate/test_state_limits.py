"""Every limit of a state, with values just inside and just outside."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from deploy.onboard.gate import Gate
from deploy.onboard.reasons import Reason, reason_names
from deploy.onboard.target import Mode
from robot_configs.robot import RobotModel
from tests.deploy.onboard.gate.bench import is_damping
from tests.deploy.onboard.limit_bench import NOW_S, TICK_S, make_target
from tests.deploy.onboard.motions import turned


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
