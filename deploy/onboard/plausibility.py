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
import operator
from typing import List, NamedTuple, Optional

from deploy.onboard.packet_layout import MOTORS
from deploy.onboard.reasons import Reason
from deploy.onboard.state_checks import ACCELEROMETER, GYROSCOPE, POSITION, QUATERNION, VELOCITY
from robot_configs.robot import GRAVITY_M_S2, RobotModel


class _Signals(NamedTuple):
    """A state's signals, taken apart once; the next state is compared with them."""

    quaternion: List[float]
    gyroscope: List[float]
    accelerometer: List[float]
    position: List[float]
    velocity: List[float]


_PLACES = (QUATERNION, GYROSCOPE, ACCELEROMETER, POSITION, VELOCITY)


class PlausibilityMonitor:
    """Compares each state with those before it. Give it states in order, each within its ranges and of norm one."""

    def __init__(self, robot: RobotModel) -> None:
        self._limits = robot.plausibility
        # Over a gap the trapezoidal rule does not hold, and what was not seen to last counts as no longer than this.
        self._longest_s = 1e-3 * robot.plausibility.mismatch_gap_limit_ms
        self.reset()

    def reset(self) -> None:
        """Forget every state."""
        self._before: Optional[_Signals] = None
        self._imu_frozen_s = [0.0, 0.0, 0.0]
        self._joint_frozen_s = [0.0] * MOTORS
        self._joint_mismatch_rad = [0.0] * MOTORS
        self._rotation_mismatch_rad = [0.0, 0.0, 0.0]
        self._mean_force_in_world = [0.0, 0.0, GRAVITY_M_S2]
        self._falling_s = 0.0

    def observe(self, signals: List[float], advance_s: float) -> int:
        """Take the `signals` (46) of a state `advance_s` after the one before; return the bit set of what is wrong."""
        # Lists, not arrays: at twelve numbers Python's arithmetic is as quick as NumPy's, at three it is quicker.
        now = _Signals(*[signals[place] for place in _PLACES])
        before, self._before = self._before, now
        if before is None:
            return 0
        fading = max(0.0, 1.0 - advance_s / self._limits.mismatch_memory_s)
        longest_s = self._longest_s
        integrable_s = advance_s if advance_s <= longest_s else None
        lasted_s = min(advance_s, longest_s)
        return (
            self._frozen_imu(before, now, lasted_s)
            | self._frozen_joints(before.velocity, now.velocity, lasted_s)
            | self._compare_joints(before, now, fading, integrable_s)
            | self._compare_rotation(before, now, fading, integrable_s)
            | self._compare_gravity(now, advance_s)
            | self._free_fall(now, lasted_s)
        )

    def _frozen_imu(self, before: _Signals, now: _Signals, lasted_s: float) -> int:
        """A live IMU has noise in its last bits: three axes that all stay the same were not measured anew."""
        quaternion_s, gyroscope_s, accelerometer_s = self._imu_frozen_s
        quaternion_s = quaternion_s + lasted_s if now.quaternion == before.quaternion else 0.0
        gyroscope_s = gyroscope_s + lasted_s if now.gyroscope == before.gyroscope else 0.0
        accelerometer_s = accelerometer_s + lasted_s if now.accelerometer == before.accelerometer else 0.0
        self._imu_frozen_s = [quaternion_s, gyroscope_s, accelerometer_s]
        longest_s = max(quaternion_s, gyroscope_s, accelerometer_s)
        return int(Reason.IMU_FROZEN) if longest_s >= self._limits.frozen_after_s else 0

    def _frozen_joints(self, before: List[float], now: List[float], lasted_s: float) -> int:
        """A joint at rest may repeat its velocity (12 each), one that moves may not."""
        repeated = list(map(operator.eq, before, now))
        if True not in repeated:
            self._joint_frozen_s = [0.0] * MOTORS
            return 0
        slowest = self._limits.frozen_joint_speed_rad_s
        self._joint_frozen_s = [
            frozen_s + lasted_s if same and abs(velocity) > slowest else 0.0
            for frozen_s, same, velocity in zip(self._joint_frozen_s, repeated, now)
        ]
        return int(Reason.JOINT_FROZEN) if max(self._joint_frozen_s) >= self._limits.frozen_after_s else 0

    def _compare_joints(self, before: _Signals, now: _Signals, fading: float, integrable_s: Optional[float]) -> int:
        mismatch = self._joint_mismatch_rad
        if integrable_s is None:
            mismatch = [fading * error for error in mismatch]
        else:
            half_s = 0.5 * integrable_s
            mismatch = [
                fading * error + half_s * (velocity_before + velocity) - (position - position_before)
                for error, velocity_before, velocity, position, position_before in zip(
                    mismatch, before.velocity, now.velocity, now.position, before.position
                )
            ]
        self._joint_mismatch_rad = mismatch
        worst_rad = max(max(mismatch), -min(mismatch))
        return int(Reason.JOINT_MISMATCH) if worst_rad > self._limits.joint_mismatch_limit_rad else 0

    def _compare_rotation(self, before: _Signals, now: _Signals, fading: float, integrable_s: Optional[float]) -> int:
        x, y, z = self._rotation_mismatch_rad
        x, y, z = fading * x, fading * y, fading * z
        if integrable_s is not None:
            turned_x, turned_y, turned_z = _rotation(before.quaternion, now.quaternion)
            (old_x, old_y, old_z), (new_x, new_y, new_z) = before.gyroscope, now.gyroscope
            half_s = 0.5 * integrable_s
            x += half_s * (old_x + new_x) - turned_x
            y += half_s * (old_y + new_y) - turned_y
            z += half_s * (old_z + new_z) - turned_z
        self._rotation_mismatch_rad = [x, y, z]
        worst_rad = max(abs(x), abs(y), abs(z))
        return int(Reason.ROTATION_MISMATCH) if worst_rad > self._limits.rotation_mismatch_limit_rad else 0

    def _compare_gravity(self, now: _Signals, advance_s: float) -> int:
        share = min(1.0, advance_s / self._limits.gravity_memory_s)
        x, y, z = self._mean_force_in_world
        force_x, force_y, force_z = _turned_into_world(now.quaternion, now.accelerometer)
        x, y, z = x + share * (force_x - x), y + share * (force_y - y), z + share * (force_z - z)
        self._mean_force_in_world = [x, y, z]
        mismatch = _norm(x, y, z - GRAVITY_M_S2)
        return int(Reason.GRAVITY_MISMATCH) if mismatch > self._limits.gravity_mismatch_limit_m_s2 else 0

    def _free_fall(self, now: _Signals, lasted_s: float) -> int:
        weightless = _norm(*now.accelerometer) < self._limits.free_fall_below_m_s2
        self._falling_s = self._falling_s + lasted_s if weightless else 0.0
        return int(Reason.FREE_FALL) if self._falling_s >= self._limits.free_fall_after_s else 0


def _norm(x: float, y: float, z: float) -> float:
    return math.sqrt(x * x + y * y + z * z)


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
