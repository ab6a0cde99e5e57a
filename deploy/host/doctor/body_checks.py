"""Checks of what the robot measures of itself while it lies or hangs still: pure functions of a sample."""

from __future__ import annotations

import numpy as np

from deploy.host.doctor.findings import Finding, fault, not_checked, ok
from deploy.host.doctor.sample import Reading
from deploy.onboard.wire import MOTOR_MODE_OVERHEATED
from robot_configs.robot import GRAVITY_M_S2, RobotModel

BATTERY_FOR_A_SESSION_PERCENT = 20
"""Below, the voltage sags under load: a session should not begin."""

RANGE_MARGIN_RAD = 0.15
"""The limits of go1.yaml are the narrowest published; a folded robot's calves rest 0.12 rad outside them."""

MAXIMUM_ATTITUDE_ERROR_RAD = 0.15
"""Between the two downs: the filter follows the accelerometer within 0.05; 9 degrees are a fault."""

MAXIMUM_GRAVITY_ERROR_M_S2 = 0.6
"""A consumer accelerometer's bias and scale, generously."""

MAXIMUM_GYROSCOPE_BIAS_RAD_S = 0.1
"""Half the noise that training adds to the gyroscope; a settled sensor stays below 0.02."""

STILL_TURN_RATE_RAD_S = 0.3
STILL_GRAVITY_SPREAD_M_S2 = 1.0
"""Standard deviations over the sample above which the robot is being moved."""


_IMU_PARTS = {"quaternion": slice(0, 4), "gyroscope": slice(4, 7), "accelerometer": slice(7, 10)}
"""Columns of `_imu_values`."""


def check_battery(reading: Reading, robot: RobotModel) -> Finding:
    """Whether it is charged."""
    check = "battery"
    if len(reading.states) == 0:
        return not_checked(check, "no intact state")
    soc = int(reading.states["battery"]["soc"][-1])
    current_a = float(np.mean(reading.states["battery"]["current"])) * 1e-3
    found = f"{soc} %, {current_a:.1f} A"
    if soc < robot.safety.battery_soc_minimum_percent:
        return fault(check, "battery-empty", found)
    return fault(check, "battery-low", found) if soc < BATTERY_FOR_A_SESSION_PERCENT else ok(check, found)


def check_temperature(reading: Reading, robot: RobotModel) -> Finding:
    """Whether the motors are cool enough, and none has switched itself off."""
    check = "temperature"
    if len(reading.states) == 0:
        return not_checked(check, "no intact state")
    overheated = (reading.motors["mode"] == MOTOR_MODE_OVERHEATED).any(axis=0)
    if overheated.any():
        return fault(check, "motor-overheated", f"{_names(robot, overheated)} reports overheating")
    hottest = reading.motors["temperature"].max(axis=0)
    limit = robot.safety.motor_temperature_limit_c
    if hottest.max() > limit:
        return fault(
            check, "motor-hot", f"{_names(robot, hottest > limit)}: up to {hottest.max()} degC, limit {limit:g}"
        )
    return ok(check, f"motors up to {hottest.max()} degC ({robot.joint_names[int(hottest.argmax())]})")


def check_imu(reading: Reading, robot: RobotModel) -> Finding:
    """Whether the IMU gives numbers, new ones each time, and an orientation that is a rotation."""
    check = "imu"
    if len(reading.states) < 10:
        return not_checked(check, "fewer than ten intact states")
    values = _imu_values(reading)
    if not np.isfinite(values).all():
        return fault(check, "imu-not-finite", f"{int(np.count_nonzero(~np.isfinite(values).all(axis=1)))} states")
    norms = np.linalg.norm(values[:, :4], axis=1)
    error = float(np.abs(norms - 1.0).max())
    if error > robot.safety.quaternion_norm_tolerance:
        return fault(
            check, "quaternion-norm", f"norm of the quaternion between {norms.min():.3f} and {norms.max():.3f}"
        )
    frozen = [name for name, part in _IMU_PARTS.items() if (values[:, part] == values[0, part]).all()]
    if frozen:
        return fault(check, "imu-frozen", f"the same numbers in {len(values)} states: {', '.join(frozen)}")
    return ok(check, f"alive, norm of the quaternion within {error:.1g} of one")


def check_attitude(reading: Reading) -> Finding:
    """Whether orientation and accelerometer agree on where down is; only while nobody moves the robot."""
    check = "attitude"
    why_not = _why_not_still(reading)
    if why_not:
        return not_checked(check, why_not)
    force = reading.states["imu"]["accelerometer"].astype(np.float64).mean(axis=0)
    magnitude = float(np.linalg.norm(force))
    if abs(magnitude - GRAVITY_M_S2) > MAXIMUM_GRAVITY_ERROR_M_S2:
        return fault(check, "accelerometer-scale", f"{magnitude:.2f} m/s^2 at rest")
    w, x, y, z = reading.states["imu"]["quaternion"].astype(np.float64).T
    norm = w * w + x * x + y * y + z * z
    # The world's up in the trunk frame, R^T (0, 0, 1): where a specific force of one g points at rest.
    up = np.stack([2.0 * (x * z - w * y), 2.0 * (y * z + w * x), w * w - x * x - y * y + z * z], axis=1) / norm[:, None]
    up = up.mean(axis=0)
    cosine = float(up @ force) / (float(np.linalg.norm(up)) * magnitude)
    angle = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
    found = f"{np.degrees(angle):.1f} degrees between the two downs, {magnitude:.2f} m/s^2"
    return fault(check, "attitude-disagrees", found) if angle > MAXIMUM_ATTITUDE_ERROR_RAD else ok(check, found)


def check_gyroscope(reading: Reading) -> Finding:
    """Whether it is silent while the robot does not turn; a steady turn and a bias look the same."""
    check = "gyroscope"
    why_not = _why_not_still(reading)
    if why_not:
        return not_checked(check, why_not)
    bias = reading.states["imu"]["gyroscope"].astype(np.float64).mean(axis=0)
    found = f"mean {bias[0]:+.3f} {bias[1]:+.3f} {bias[2]:+.3f} rad/s"
    too_much = np.abs(bias).max() > MAXIMUM_GYROSCOPE_BIAS_RAD_S
    return fault(check, "gyroscope-bias", found) if too_much else ok(check, found)


def check_joints(reading: Reading, robot: RobotModel) -> Finding:
    """Whether every motor reports, and from a place where the joint can be (wrong zeros and most wrong signs)."""
    check = "joints"
    if len(reading.states) < 10:
        return not_checked(check, "fewer than ten intact states")
    position: np.ndarray = reading.motors["position"].astype(np.float64)
    velocity: np.ndarray = reading.motors["velocity"].astype(np.float64)
    broken = ~(np.isfinite(position) & np.isfinite(velocity)).all(axis=0)
    if broken.any():
        return fault(check, "joint-not-finite", _names(robot, broken))
    silent = ((position == 0.0) & (velocity == 0.0) & (reading.motors["temperature"] == 0)).all(axis=0)
    if silent.any():
        return fault(check, "joint-silent", f"{_names(robot, silent)}: nothing but zeros")
    middle: np.ndarray = np.median(position, axis=0)
    lower, upper = robot.joint_lower - RANGE_MARGIN_RAD, robot.joint_upper + RANGE_MARGIN_RAD
    outside = (middle < lower) | (middle > upper)
    if outside.any():
        places = ", ".join(f"{robot.joint_names[joint]} {middle[joint]:+.2f}" for joint in np.flatnonzero(outside))
        return fault(check, "joint-out-of-range", f"{places} rad")
    return ok(check, "all twelve report, within their range")


def _imu_values(reading: Reading) -> np.ndarray:
    """(N, 10): quaternion, gyroscope, accelerometer."""
    imu = reading.states["imu"]
    return np.concatenate([imu["quaternion"], imu["gyroscope"], imu["accelerometer"]], axis=1).astype(np.float64)


def _why_not_still(reading: Reading) -> str:
    """Why the IMU cannot be judged now; empty if it can."""
    if len(reading.states) < 10:
        return "fewer than ten intact states"
    values = _imu_values(reading)
    if not np.isfinite(values).all() or not (np.linalg.norm(values[:, :4], axis=1) > 0.1).all():
        return "the IMU gives no usable numbers"
    turn, force = values[:, 4:7].std(axis=0).max(), values[:, 7:10].std(axis=0).max()
    if turn > STILL_TURN_RATE_RAD_S or force > STILL_GRAVITY_SPREAD_M_S2:
        return f"the robot is being moved (deviations of {turn:.2f} rad/s and {force:.2f} m/s^2)"
    return ""


def _names(robot: RobotModel, chosen: np.ndarray) -> str:
    return ", ".join(robot.joint_names[joint] for joint in np.flatnonzero(chosen))
