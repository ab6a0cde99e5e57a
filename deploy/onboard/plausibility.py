"""What a state says beside the states before it: is every sensor alive, and do they tell of one and the same motion?

    jumps       from one tick to the next no reading moves further than a Go1 can         (`sensor_jumps`)
    frozen      no sensor repeats itself to the bit while it should measure something     (`frozen_sensors`)
    gravity     the accelerometer feels gravity where the quaternion says it is           (`gravity_checks`)
    joints      integral of the velocity        against  change of the position, 12 encoders, one by one
    rotation    integral of the gyroscope       against  change of the quaternion, 3 axes of the trunk

The last two forget exponentially: errors that come and go fade, an error that lasts adds up. docs/faults.md says what
cannot be told this way.
"""

from __future__ import annotations

from typing import List, Optional

from deploy.onboard.frozen_sensors import FrozenSensors
from deploy.onboard.gravity_checks import GravityChecks
from deploy.onboard.packet_layout import MOTORS
from deploy.onboard.reasons import Reason
from deploy.onboard.sensor_jumps import SensorJumps
from deploy.onboard.signal_lists import SignalLists, motion_error, taken_apart
from robot_configs.robot import RobotModel


class PlausibilityMonitor:
    """Compares each state with those before it. Give it states in order, each within its ranges and of norm one."""

    def __init__(self, robot: RobotModel) -> None:
        self._limits = robot.plausibility
        # Over a gap the trapezoidal rule does not hold, and what was not seen to last counts as no longer than this.
        self._longest_s = 1e-3 * robot.plausibility.mismatch_gap_limit_ms
        self._jumps, self._frozen, self._gravity = SensorJumps(robot), FrozenSensors(robot), GravityChecks(robot)
        self.reset()

    def reset(self) -> None:
        """Forget every state."""
        self._before: Optional[SignalLists] = None
        self._frozen.reset()
        self._gravity.reset()
        self._joint_mismatch_rad = [0.0] * MOTORS
        self._fastest_rad_s = [0.0] * MOTORS
        self._rotation_mismatch_rad = [0.0, 0.0, 0.0]

    def observe(self, signals: List[float], advance_s: float) -> int:
        """Take the `signals` (46) of a state `advance_s` after the one before; return the bit set of what is wrong."""
        now = taken_apart(signals)
        before, self._before = self._before, now
        fading = max(0.0, 1.0 - advance_s / self._limits.mismatch_memory_s)
        self._fastest_rad_s = [
            max(fading * fastest, velocity, -velocity) for fastest, velocity in zip(self._fastest_rad_s, now.velocity)
        ]
        if before is None:
            return 0
        lasted_s = min(advance_s, self._longest_s)
        faults = self._gravity.faults(now, advance_s, lasted_s)
        if advance_s > self._longest_s:
            self._joint_mismatch_rad = [fading * sum_rad for sum_rad in self._joint_mismatch_rad]
            self._rotation_mismatch_rad = [fading * sum_rad for sum_rad in self._rotation_mismatch_rad]
            return faults | self._frozen.faults(before, now, None, lasted_s)
        error = motion_error(before, now, advance_s)
        self._joint_mismatch_rad = _faded_sum(self._joint_mismatch_rad, fading, error.joint_rad)
        self._rotation_mismatch_rad = _faded_sum(self._rotation_mismatch_rad, fading, error.rotation_rad)
        return (
            faults
            | self._frozen.faults(before, now, error, lasted_s)
            | self._jumps.faults(before, now, error, advance_s)
            | self._mismatch()
        )

    def _mismatch(self) -> int:
        limits, rotation = self._limits, self._rotation_mismatch_rad
        faults = 0
        # A velocity that is told late contradicts the position by what the joint moves meanwhile.
        excess = [
            abs(mismatch) - limits.joint_velocity_lag_s * fastest
            for mismatch, fastest in zip(self._joint_mismatch_rad, self._fastest_rad_s)
        ]
        if max(excess) > limits.joint_mismatch_limit_rad:
            faults |= int(Reason.JOINT_MISMATCH)
        if max(max(rotation), -min(rotation)) > limits.rotation_mismatch_limit_rad:
            faults |= int(Reason.ROTATION_MISMATCH)
        return faults


def _faded_sum(sums_rad: List[float], fading: float, errors_rad: List[float]) -> List[float]:
    return [fading * sum_rad + error_rad for sum_rad, error_rad in zip(sums_rad, errors_rad)]
