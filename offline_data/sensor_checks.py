"""Sensors that say what cannot be, always the same, or that something moved further than anything moves.

What no healthy robot measures is in robot_configs/go1.yaml (`plausibility`), with its sources; the onboard gate goes by
the same numbers while the robot walks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from robot_configs.robot import RobotModel

_FROZEN_S = 0.5
"""A live encoder or IMU shows noise; bit-identical values for this long are a stuck sensor."""
_BEYOND_STOP_RAD = 0.3
"""Past the intersection of the published limits by this much: outside the loosest of them."""
_ROTATION = "orientation_trunk_in_world"
_GYROSCOPE = "angular_velocity_trunk_in_trunk"
_ACCELEROMETER = "specific_force_imu_in_trunk"
_AXES = ("x", "y", "z")
CHECKED_SIGNALS = (_ROTATION, _GYROSCOPE, _ACCELEROMETER, "joint_position", "joint_velocity", "joint_torque")


@dataclass(frozen=True)
class Finding:
    """Something a person should look at."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def not_finite_findings(states: np.ndarray) -> Iterator[Finding]:
    """Signals with NaN or infinity, and in how many of the states (N,)."""
    for name in CHECKED_SIGNALS:
        bad = int((~np.isfinite(states[name])).any(axis=1).sum())
        if bad:
            yield Finding(name, f"not finite in {bad} states")


def impossible_findings(states: np.ndarray, robot: RobotModel) -> Iterator[Finding]:
    """What cannot be: beyond a sensor's range, past a stop, faster than a fall turns a joint, and stuck sensors.

    Args:
        states: (N,) of `/low_state`, by time.
    """
    if len(states) == 0:
        return
    limits = robot.plausibility
    off = int((np.abs(np.linalg.norm(states[_ROTATION], axis=1) - 1.0) > robot.safety.quaternion_norm_tolerance).sum())
    if off:
        yield Finding(_ROTATION, f"no unit quaternion in {off} states")
    ranges = {_GYROSCOPE: limits.angular_velocity_limit_rad_s, _ACCELEROMETER: limits.specific_force_limit_m_s2}
    for name, limit in ranges.items():
        over = int((np.abs(states[name]) > limit).any(axis=1).sum())
        if over:
            yield Finding(name, f"beyond the sensor's range in {over} states")
    position = states["joint_position"]
    beyond = (position < robot.joint_lower - _BEYOND_STOP_RAD) | (position > robot.joint_upper + _BEYOND_STOP_RAD)
    fast = np.abs(states["joint_velocity"]) > limits.joint_velocity_factor * robot.velocity_limit
    for index, joint in enumerate(robot.joint_names):
        if beyond[:, index].any():
            yield Finding(joint, f"past its mechanical stop in {int(beyond[:, index].sum())} states")
        if fast[:, index].any():
            yield Finding(joint, f"faster than it can turn in {int(fast[:, index].sum())} states")
    yield from stuck_findings(states, robot, robot.link_hz)


def teleport_findings(states: np.ndarray, robot: RobotModel) -> Iterator[Finding]:
    """Joints and trunk that are elsewhere than their velocities explain, from one state to the next.

    Args:
        states: (N,) of `/low_state`, by time, of one episode: between two of them a person may carry the robot.
    """
    if len(states) < 2:
        return
    limits = robot.plausibility
    # Stamps jitter, and the motors' clock may stand still or begin again: whichever says that more time has passed.
    stamps_s = np.diff(states["monotonic_ns"]) * 1e-9
    ticks_s = np.diff(states["tick_ms"].astype(np.int64)) * 1e-3
    advance_s = np.maximum(stamps_s, ticks_s)[:, None]

    position, velocity = (states[name].astype(np.float64) for name in ("joint_position", "joint_velocity"))
    missed = np.abs(np.diff(position, axis=0) - advance_s * 0.5 * (velocity[1:] + velocity[:-1]))
    jumped = missed > limits.joint_position_jump_rad + advance_s * limits.joint_velocity_error_rad_s
    if jumped.any():
        joints = ", ".join(robot.joint_names[index] for index in np.flatnonzero(jumped.any(axis=0)))
        yield Finding(joints, _teleport(missed, jumped, "the velocity does not explain"))
    rate = states[_GYROSCOPE].astype(np.float64)
    missed = np.abs(_rotations(states[_ROTATION].astype(np.float64)) - advance_s * 0.5 * (rate[1:] + rate[:-1]))
    jumped = missed > limits.rotation_jump_rad + advance_s * limits.angular_velocity_error_rad_s
    if jumped.any():
        yield Finding(_ROTATION, _teleport(missed, jumped, "the gyroscope does not explain"))


def _teleport(missed_rad: np.ndarray, jumped: np.ndarray, why: str) -> str:
    """What to say of the (N, k) places where something jumped."""
    farthest, times = float(missed_rad[jumped].max()), int(jumped.any(axis=1).sum())
    return f"teleport of up to {farthest:.2f} rad that {why}, {times} in all"


def stuck_findings(signals: np.ndarray | Mapping[str, np.ndarray], robot: RobotModel, hz: int) -> Iterator[Finding]:
    """Channels that stay bit-identical for long; a position, only where the velocity says that it moved meanwhile.

    Args:
        signals: states, or columns of a data set, by name; without an accelerometer that one is not asked.
        hz: rows a second.
    """
    least = round(_FROZEN_S * hz)
    channels = [(joint, "velocity", signals["joint_velocity"][:, [i]]) for i, joint in enumerate(robot.joint_names)]
    for name in (_GYROSCOPE, _ACCELEROMETER):
        if name in (signals.dtype.names or () if isinstance(signals, np.ndarray) else signals):
            channels += [(name, axis, signals[name][:, [i]]) for i, axis in enumerate(_AXES)]
    for where, channel, values in channels:
        longest = max((stop - start for start, stop in _still(values, least)), default=0)
        if longest:
            yield Finding(where, f"{channel} unchanged for {longest / hz:.1f} s: a stuck sensor")
    limits = robot.plausibility
    for index, joint in enumerate(robot.joint_names):
        travel = np.cumsum(signals["joint_velocity"][:, [index]], axis=0, dtype=np.float64) / hz
        still = _still(signals["joint_position"][:, [index]], least)
        yield from _moved(joint, still, travel, limits.frozen_joint_travel_rad, hz)
    turned = np.cumsum(signals[_GYROSCOPE], axis=0, dtype=np.float64) / hz
    yield from _moved(_ROTATION, _still(signals[_ROTATION], least), turned, limits.rotation_mismatch_limit_rad, hz)


def _moved(
    where: str, still: list[tuple[int, int]], travel: np.ndarray, limit_rad: float, hz: int
) -> Iterator[Finding]:
    """The longest of the still stretches in which `travel` (N, k) [rad] went further than the limit."""
    stuck = [
        (start, stop) for start, stop in still if np.ptp(travel[start : stop + 1], axis=0).max(initial=0.0) > limit_rad
    ]
    if stuck:
        longest = max(stop - start for start, stop in stuck)
        yield Finding(where, f"unchanged for {longest / hz:.1f} s while it moved: a stuck sensor")


def _still(values: np.ndarray, least: int) -> list[tuple[int, int]]:
    """First and last row of the stretches in which values (N, k) stay the same over `least` intervals or more."""
    changes = np.flatnonzero((values[1:] != values[:-1]).any(axis=1))
    starts, stops = np.append(0, changes + 1), np.append(changes, len(values) - 1)
    long = stops - starts >= least
    return list(zip(starts[long].tolist(), stops[long].tolist(), strict=True))


def _rotations(quaternion: np.ndarray) -> np.ndarray:
    """(N - 1, 3) rotation vectors in the trunk [rad] from each of the (N, 4) w x y z attitudes to the next."""
    w0, v0 = quaternion[:-1, :1], quaternion[:-1, 1:]
    w1, v1 = quaternion[1:, :1], quaternion[1:, 1:]
    vector = w0 * v1 - w1 * v0 - np.cross(v0, v1)
    scalar = w0[:, 0] * w1[:, 0] + (v0 * v1).sum(axis=1)
    vector = np.where(scalar[:, None] < 0.0, -vector, vector)  # q and -q are one attitude
    length = np.linalg.norm(vector, axis=1)
    angle = 2.0 * np.arctan2(length, np.abs(scalar))
    return vector * np.divide(angle, length, out=np.full_like(length, 2.0), where=length > 1e-12)[:, None]
