"""What the gate hands to the plausibility monitor, and what it makes of the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deploy.onboard.gate import STOP_KEY, Gate
from deploy.onboard.reasons import Reason
from deploy.onboard.remote import encode_remote
from deploy.onboard.target import MOVING_MODES, Mode
from robot_configs.robot import RobotModel
from tests.deploy.onboard.gate.bench import is_damping
from tests.deploy.onboard.limit_bench import NOW_S, TICK_S, make_target


class Monitor:
    """Stands in for the monitor: notes what it is told, answers what it is asked to."""

    def __init__(self, answer: int = 0) -> None:
        self.answer = answer
        self.elapsed_s: list[float] = []
        self.resets = 0

    def observe(self, values: list[float], elapsed_s: float) -> int:
        self.elapsed_s.append(elapsed_s)
        return self.answer

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def monitor(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    stand_in = Monitor()
    monkeypatch.setattr(gate, "_monitor", stand_in)
    return stand_in


def test_the_monitor_sees_every_new_state_with_the_robots_own_time(
    gate: Gate, monitor: Monitor, make_state: Any
) -> None:
    """It starts afresh with the first state, before which there is nothing to compare it with."""
    for tick, tick_ms in enumerate((1000, 1002, 1008)):
        gate.inspect(make_state(tick_ms=tick_ms), NOW_S + tick * TICK_S)
    assert monitor.elapsed_s == [0.0, 0.002, 0.006]
    assert monitor.resets == 1


UNUSABLE = [
    (Reason.STATE_NOT_FINITE, {"accelerometer_trunk_in_trunk": np.array([0.0, 0.0, np.nan], np.float32)}),
    (Reason.QUATERNION_NORM, {"orientation_trunk_in_world": np.array([9.0, 0.0, 0.0, 0.0], np.float32)}),
    (Reason.IMU_RANGE, {"angular_velocity_trunk_in_trunk": np.array([0.0, 0.0, 500.0], np.float32)}),
    (Reason.JOINT_POSITION_RANGE, {"joint_position": np.full(12, 9.0, np.float32)}),
    (Reason.JOINT_VELOCITY_RANGE, {"joint_velocity": np.full(12, 500.0, np.float32)}),
]


@pytest.mark.parametrize(("reason", "change"), UNUSABLE)
def test_what_nothing_can_be_computed_with_is_not_compared(
    gate: Gate, monitor: Monitor, make_state: Any, reason: Reason, change: dict[str, Any]
) -> None:
    """Its own fault is all that is said, hot motors or not, and the states after it are compared from anew."""
    gate.inspect(make_state(tick_ms=1000), NOW_S)
    seen, resets = len(monitor.elapsed_s), monitor.resets
    hot = np.full(12, 100, np.int8)
    assert gate.inspect(make_state(tick_ms=1002, joint_temperature=hot, **change), NOW_S + TICK_S) == reason
    assert len(monitor.elapsed_s) == seen
    assert monitor.resets == resets + 1


def test_a_quaternion_that_is_no_rotation_is_not_compared(gate: Gate, monitor: Monitor, make_state: Any) -> None:
    """Each number is within range; only the checks of the robot's condition see that the norm is wrong."""
    gate.inspect(make_state(tick_ms=1000), NOW_S)
    short = make_state(tick_ms=1002, orientation_trunk_in_world=np.array([0.5, 0.0, 0.0, 0.0], np.float32))
    assert gate.inspect(short, NOW_S + TICK_S) == Reason.QUATERNION_NORM
    assert (monitor.elapsed_s, monitor.resets) == ([0.0], 2)


def test_a_fault_that_leaves_the_numbers_usable_does_not_stop_the_comparison(
    gate: Gate, monitor: Monitor, make_state: Any
) -> None:
    gate.inspect(make_state(tick_ms=1000), NOW_S)
    hot = make_state(tick_ms=1002, joint_temperature=np.full(12, 100, np.int8))
    assert gate.inspect(hot, NOW_S + TICK_S) == Reason.MOTOR_HOT
    assert monitor.elapsed_s == [0.0, 0.002]
    assert monitor.resets == 1


def test_a_torque_out_of_range_hides_no_hot_motor(gate: Gate, monitor: Monitor, make_state: Any) -> None:
    torque = np.full(12, 90.0, np.float32)
    hot = make_state(tick_ms=1000, joint_torque=torque, joint_temperature=np.full(12, 100, np.int8))
    assert gate.inspect(hot, NOW_S) == Reason.JOINT_TORQUE_RANGE | Reason.MOTOR_HOT
    assert monitor.elapsed_s == [0.0]


def test_what_the_monitor_says_counts_unless_the_state_speaks_for_itself(
    gate: Gate, monitor: Monitor, make_state: Any
) -> None:
    monitor.answer = int(Reason.JOINT_MISMATCH)
    assert gate.inspect(make_state(tick_ms=1000), NOW_S) == Reason.JOINT_MISMATCH
    hot = make_state(tick_ms=1002, joint_temperature=np.full(12, 100, np.int8))
    assert gate.inspect(hot, NOW_S + TICK_S) == Reason.MOTOR_HOT


def test_a_joint_that_jumps_damps_the_robot(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    """The real monitor, through the gate: a quarter of a turn within 2 ms."""
    gate.step(make_state(tick_ms=1000), make_target(robot), NOW_S, Mode.WALK)
    position = make_state().joint_position.copy()
    position[0] += 0.5
    later_s = NOW_S + TICK_S
    decision = gate.step(make_state(tick_ms=1002, joint_position=position), make_target(robot), later_s, Mode.WALK)
    assert is_damping(robot, decision)
    assert decision.reasons & Reason.SENSOR_JUMP


def test_a_state_is_not_stale_at_the_very_end_of_its_time(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    """Compared without rounding: received at 0, and asked about at the limit and its slack of a microsecond."""
    gate.inspect(make_state(), 0.0)
    assert gate.inspect(None, robot.safety.state_age_limit_s + 1e-6) == 0


def test_the_stop_key_of_a_stale_state_is_named_too(gate: Gate, make_state: Any) -> None:
    gate.inspect(make_state(remote=encode_remote({STOP_KEY})), NOW_S)
    assert gate.inspect(None, NOW_S + 1.0) == Reason.STATE_STALE | Reason.STOP_KEY


def test_the_numbers_of_the_modes_are_those_of_the_logs() -> None:
    assert {mode.name: mode.value for mode in Mode} == {
        "DAMP": 0, "STAND": 1, "WALK": 2, "SIT": 3, "FAULT": 4, "HALT": 5,
    }  # fmt: skip
    assert MOVING_MODES == {Mode.WALK, Mode.HALT, Mode.STAND, Mode.SIT}
