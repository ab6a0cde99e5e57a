"""What a state says beside the states before it: is every sensor alive, and do they tell of one and the same motion?

    frozen      gyroscope, accelerometer or quaternion repeat themselves to the bit; a joint does at a speed above zero
    joints      integral of the velocity          against  change of the position     (12 encoders, one by one)
    rotation    integral of the gyroscope         against  change of the quaternion   (3 axes of the trunk)
    gravity     mean of the accelerometer, turned into the world by the quaternion, against gravity
    free fall   the accelerometer feels next to nothing, for longer than a leap lasts

Each comparison forgets exponentially: errors that come and go fade, an error that lasts adds up.
What cannot be told this way: a sensor that is stuck where the joint stands still, a wrong torque estimate within what
the motor can give, a constant error of yaw, foot forces.
"""

from __future__ import annotations

import math
from typing import List, Optional

import numpy as np

from deploy.onboard.packet_layout import MOTORS
from deploy.onboard.reasons import Reason
from deploy.onboard.state_checks import ACCELEROMETER, GYROSCOPE, POSITION, QUATERNION, VELOCITY
from robot_configs.robot import RobotModel

GRAVITY_M_S2 = 9.81


class PlausibilityMonitor:
    """Compares each state with those before it. Give it states in order, each within its ranges and of norm one."""

    def __init__(self, robot: RobotModel) -> None:
        self._limits = robot.plausibility
        self.reset()

    def reset(self) -> None:
        """Forget every state."""
        self._before: Optional[np.ndarray] = None
        self._numbers: List[float] = []
        self._imu_frozen_s = [0.0, 0.0, 0.0]
        self._joint_frozen_s = np.zeros(MOTORS)
        self._joint_mismatch = np.zeros(MOTORS)
        self._rotation_mismatch = [0.0, 0.0, 0.0]
        self._mean_force_in_world = [0.0, 0.0, GRAVITY_M_S2]
        self._falling_s = 0.0

    def observe(self, values: np.ndarray, advance_s: float) -> int:
        """Take the `signals` (46,) of a state `advance_s` after the one before; return the bit set of what is wrong."""
        before, numbers_before = self._before, self._numbers
        self._before, self._numbers = values, values.tolist()
        if before is None:
            return 0
        faults = self._frozen_imu(numbers_before, advance_s)
        faults |= self._frozen_joints(before, values, advance_s)
        fading = max(0.0, 1.0 - advance_s / self._limits.mismatch_memory_s)
        # Over a gap the trapezoidal rule does not hold: what was compared so far fades, nothing is added.
        integrable_s = advance_s if 1e3 * advance_s <= self._limits.mismatch_gap_limit_ms else 0.0
        faults |= self._compare_joints(before, values, fading, integrable_s)
        faults |= self._compare_rotation(numbers_before, fading, integrable_s)
        return faults | self._compare_gravity(advance_s)

    def _frozen_imu(self, before: List[float], advance_s: float) -> int:
        """A live IMU has noise in its last bits: three axes that all stay the same were not measured anew."""
        now, frozen_s = self._numbers, self._imu_frozen_s
        for index, place in enumerate((QUATERNION, GYROSCOPE, ACCELEROMETER)):
            frozen_s[index] = frozen_s[index] + advance_s if now[place] == before[place] else 0.0
        return int(Reason.IMU_FROZEN) if max(frozen_s) >= self._limits.frozen_after_s else 0

    def _frozen_joints(self, before: np.ndarray, now: np.ndarray, advance_s: float) -> int:
        """A joint that is at rest may repeat its velocity, one that moves may not."""
        velocity = now[VELOCITY]
        repeated = velocity == before[VELOCITY]
        if not repeated.any():
            self._joint_frozen_s.fill(0.0)
            return 0
        repeated &= np.abs(velocity) > self._limits.frozen_joint_speed_rad_s
        self._joint_frozen_s = (self._joint_frozen_s + advance_s) * repeated
        return int(Reason.JOINT_FROZEN) if self._joint_frozen_s.max() >= self._limits.frozen_after_s else 0

    def _compare_joints(self, before: np.ndarray, now: np.ndarray, fading: float, integrable_s: float) -> int:
        mismatch = self._joint_mismatch
        mismatch *= fading
        if integrable_s:
            travelled = (before[VELOCITY] + now[VELOCITY]) * (0.5 * integrable_s)
            mismatch += travelled - (now[POSITION] - before[POSITION])
        worst_rad = max(map(abs, mismatch.tolist()))
        return int(Reason.JOINT_MISMATCH) if worst_rad > self._limits.joint_mismatch_limit_rad else 0

    def _compare_rotation(self, before: List[float], fading: float, integrable_s: float) -> int:
        mismatch = self._rotation_mismatch
        turned = _rotation(before[QUATERNION], self._numbers[QUATERNION]) if integrable_s else (0.0, 0.0, 0.0)
        rates = zip(before[GYROSCOPE], self._numbers[GYROSCOPE])
        for axis, (rate_before, rate_now) in enumerate(rates):
            integral = 0.5 * integrable_s * (rate_before + rate_now)
            mismatch[axis] = fading * mismatch[axis] + integral - turned[axis]
        return (
            int(Reason.ROTATION_MISMATCH) if max(map(abs, mismatch)) > self._limits.rotation_mismatch_limit_rad else 0
        )

    def _compare_gravity(self, advance_s: float) -> int:
        force = self._numbers[ACCELEROMETER]
        share = min(1.0, advance_s / self._limits.gravity_memory_s)
        mean, squared = self._mean_force_in_world, 0.0
        for axis, component in enumerate(_turned_into_world(self._numbers[QUATERNION], force)):
            mean[axis] += share * (component - mean[axis])
            difference = mean[axis] - (GRAVITY_M_S2 if axis == 2 else 0.0)
            squared += difference * difference
        weightless = sum(component * component for component in force) < self._limits.free_fall_below_m_s2**2
        self._falling_s = self._falling_s + advance_s if weightless else 0.0
        faults = int(Reason.GRAVITY_MISMATCH) if squared > self._limits.gravity_mismatch_limit_m_s2**2 else 0
        return faults | (int(Reason.FREE_FALL) if self._falling_s >= self._limits.free_fall_after_s else 0)


def _rotation(before: List[float], now: List[float]) -> List[float]:
    """Small rotation vector [rad] in the trunk from one quaternion (w x y z) to the next: 2 vec(conj(p) q).

    The two may differ in sign, which is the same attitude.
    """
    pw, px, py, pz = before
    w, x, y, z = now
    twice = 2.0 if pw * w + px * x + py * y + pz * z >= 0.0 else -2.0
    return [
        twice * (pw * x - px * w - py * z + pz * y),
        twice * (pw * y - py * w - pz * x + px * z),
        twice * (pw * z - pz * w - px * y + py * x),
    ]


def _turned_into_world(quaternion: List[float], vector: List[float]) -> List[float]:
    """`vector` of the trunk frame in the world's: v + w t + q x t with t = 2 q x v."""
    w, x, y, z = quaternion
    a, b, c = vector
    tx, ty, tz = 2.0 * (y * c - z * b), 2.0 * (z * a - x * c), 2.0 * (x * b - y * a)
    return [
        a + w * tx + y * tz - z * ty,
        b + w * ty + z * tx - x * tz,
        c + w * tz + x * ty - y * tx,
    ]
