"""What one state says for itself: finite and within what a Go1 can measure, upright, cool, charged.

    finite -> joint positions, velocities, torques and IMU in range -> quaternion of norm one -> tilt
           -> motor temperatures -> battery

The limits and their sources are in robot_configs/go1.yaml. Foot forces are not checked: raw counts of no unit, with an
offset that drifts, and nothing on the robot acts on them.
"""

from __future__ import annotations

import math

import numpy as np

from deploy.onboard.reasons import Reason
from deploy.onboard.wire import MOTOR_MODE_OVERHEATED, RobotState
from robot_configs.robot import RobotModel

# Places of the signals in a state's vector.
SIGNALS = 46
QUATERNION, GYROSCOPE, ACCELEROMETER = slice(0, 4), slice(4, 7), slice(7, 10)
POSITION, VELOCITY, TORQUE = slice(10, 22), slice(22, 34), slice(34, SIGNALS)

FULL_CHARGE_PERCENT = 100


def all_true(booleans: np.ndarray) -> bool:
    """`booleans.all()` of a few numbers in a tenth of the time: NumPy keeps False as a byte of zero."""
    return 0 not in booleans.tobytes()


def signals(state: RobotState) -> np.ndarray:
    """The state's measured signals in one vector (46,) float64: quaternion, gyroscope, accelerometer, q, dq, tau."""
    return np.concatenate(
        (
            state.orientation_trunk_in_world,
            state.angular_velocity_trunk_in_trunk,
            state.accelerometer_trunk_in_trunk,
            state.joint_position,
            state.joint_velocity,
            state.joint_torque,
        ),
        dtype=np.float64,
    )


class SignalRanges:
    """The box that holds every signal of a healthy robot: one comparison for all of them, and names where it fails."""

    def __init__(self, robot: RobotModel) -> None:
        limits = robot.plausibility
        velocity = limits.joint_velocity_factor * robot.velocity_limit
        torque = limits.joint_torque_factor * robot.torque_limit
        longest = 1.0 + robot.safety.quaternion_norm_tolerance
        upper = np.empty(SIGNALS)
        upper[QUATERNION] = longest
        upper[GYROSCOPE] = limits.angular_velocity_limit_rad_s
        upper[ACCELEROMETER] = limits.specific_force_limit_m_s2
        upper[POSITION] = robot.mechanical_upper + limits.joint_position_margin_rad
        upper[VELOCITY] = velocity
        upper[TORQUE] = torque
        lower = -upper
        lower[POSITION] = robot.mechanical_lower - limits.joint_position_margin_rad
        self._lower, self._upper = lower, upper

    def faults(self, values: np.ndarray) -> int:
        """Bit set of what is wrong with a vector of `signals`."""
        # Written so that NaN, which compares false with everything, lies outside.
        inside = (values >= self._lower) & (values <= self._upper)
        if all_true(inside):
            return 0
        if not np.isfinite(values).all():
            return int(Reason.STATE_NOT_FINITE)
        faults = Reason.NONE
        for place, reason in _RANGE_REASONS:
            if not inside[place].all():
                faults |= reason
        return int(faults)


_RANGE_REASONS = (
    (QUATERNION, Reason.QUATERNION_NORM),
    (GYROSCOPE, Reason.IMU_RANGE),
    (ACCELEROMETER, Reason.IMU_RANGE),
    (POSITION, Reason.JOINT_POSITION_RANGE),
    (VELOCITY, Reason.JOINT_VELOCITY_RANGE),
    (TORQUE, Reason.JOINT_TORQUE_RANGE),
)


class ConditionChecks:
    """Whether the robot is fit to move: upright, cool and charged, by sensors that can be believed."""

    def __init__(self, robot: RobotModel) -> None:
        self._norm_tolerance = robot.safety.quaternion_norm_tolerance
        self._cosine_of_tilt_limit = math.cos(robot.safety.tilt_limit_rad)
        self._hottest_c = robot.safety.motor_temperature_limit_c
        self._coldest_c = robot.plausibility.motor_temperature_minimum_c
        self._lowest_charge_percent = robot.safety.battery_soc_minimum_percent

    def faults(self, state: RobotState) -> int:
        """Bit set of what speaks against moving; the state's signals must be finite."""
        faults = self._attitude(state)
        temperatures = state.joint_temperature.tolist()
        if max(temperatures) > self._hottest_c or MOTOR_MODE_OVERHEATED in state.joint_mode.tobytes():
            faults |= Reason.MOTOR_HOT
        if min(temperatures) < self._coldest_c:
            faults |= Reason.MOTOR_TEMPERATURE_RANGE
        if state.battery_soc_percent < self._lowest_charge_percent:
            faults |= Reason.BATTERY_LOW
        if state.battery_soc_percent > FULL_CHARGE_PERCENT:
            faults |= Reason.BATTERY_RANGE
        return int(faults)

    def _attitude(self, state: RobotState) -> int:
        w, x, y, z = state.orientation_trunk_in_world.tolist()
        squared_norm = w * w + x * x + y * y + z * z
        if abs(math.sqrt(squared_norm) - 1.0) > self._norm_tolerance:
            return int(Reason.QUATERNION_NORM)
        # The trunk's z axis in the world: its vertical part is the cosine of the tilt.
        upright = w * w - x * x - y * y + z * z
        return int(Reason.TILT) if upright < self._cosine_of_tilt_limit * squared_norm else 0
