"""From one tick to the next: has a reading moved further than a Go1 can move, or dropped to nothing?

    joint velocities   by no more than the motor's torque, and the ground's, can change them
    joint positions    by no more than the joint's velocity explains
    gyroscope          by no more than a blow to the trunk explains
    quaternion         by no more than the gyroscope explains
    all but the last   never from a motion to exactly zero: that is an open wire, not a stop

The motions allowed grow with the time between the two states, the noise does not. Noise leaves a live number never at
exactly zero for the reason that it leaves it never the same twice: its last bits.
"""

from __future__ import annotations

from deploy.onboard.reasons import Reason
from deploy.onboard.signal_lists import MotionError, SignalLists
from robot_configs.robot import RobotModel


class SensorJumps:
    """Compares two states in a row; remembers nothing. The limits and their sources are in robot_configs/go1.yaml."""

    def __init__(self, robot: RobotModel) -> None:
        self._limits = robot.plausibility
        free = robot.torque_limit / robot.armature
        self._acceleration_rad_s2 = (robot.plausibility.joint_acceleration_factor * free).tolist()

    def faults(self, before: SignalLists, now: SignalLists, error: MotionError, advance_s: float) -> int:
        """SENSOR_JUMP where a reading of `now`, `advance_s` after `before`, cannot follow; else 0."""
        jumped = (
            self._velocity_jumped(before, now, advance_s)
            or self._position_jumped(now, error, advance_s)
            or self._gyroscope_jumped(before, now, advance_s)
            or self._quaternion_jumped(error, advance_s)
        )
        return int(Reason.SENSOR_JUMP) if jumped else 0

    def _velocity_jumped(self, before: SignalLists, now: SignalLists, advance_s: float) -> bool:
        excess = [
            abs(new - old) - advance_s * acceleration
            for new, old, acceleration in zip(now.velocity, before.velocity, self._acceleration_rad_s2)
        ]
        if max(excess) > self._limits.joint_velocity_jump_rad_s:
            return True
        if 0.0 not in now.velocity:
            return False
        slowest = self._limits.cut_out_joint_speed_rad_s
        return any(new == 0.0 and abs(old) > slowest for new, old in zip(now.velocity, before.velocity))

    def _position_jumped(self, now: SignalLists, error: MotionError, advance_s: float) -> bool:
        noise = self._limits.joint_position_jump_rad
        worst_rad = max(max(error.joint_rad), -min(error.joint_rad))
        if worst_rad > noise + advance_s * self._limits.joint_velocity_error_rad_s:
            return True
        if 0.0 not in now.position:
            return False
        return any(new == 0.0 and abs(missed) > noise for new, missed in zip(now.position, error.joint_rad))

    def _gyroscope_jumped(self, before: SignalLists, now: SignalLists, advance_s: float) -> bool:
        (old_x, old_y, old_z), (x, y, z) = before.gyroscope, now.gyroscope
        if max(abs(x - old_x), abs(y - old_y), abs(z - old_z)) > advance_s * self._limits.angular_acceleration_rad_s2:
            return True
        if any(now.gyroscope):
            return False
        return max(abs(old_x), abs(old_y), abs(old_z)) > self._limits.cut_out_angular_speed_rad_s

    def _quaternion_jumped(self, error: MotionError, advance_s: float) -> bool:
        worst_rad = max(max(error.rotation_rad), -min(error.rotation_rad))
        limits = self._limits
        return worst_rad > limits.rotation_jump_rad + advance_s * limits.angular_velocity_error_rad_s
