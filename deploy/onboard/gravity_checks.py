"""The accelerometer beside gravity, and beside the quaternion that says where gravity is.

gravity     its mean over about a stride, turned into the world by the quaternion, is gravity
free fall   it feels next to nothing for longer than a leap lasts
"""

from __future__ import annotations

import math
from typing import List

from deploy.onboard.reasons import Reason
from deploy.onboard.signal_lists import SignalLists
from robot_configs.robot import GRAVITY_M_S2, RobotModel


class GravityChecks:
    """Follows the specific force that the trunk feels; the limits are in robot_configs/go1.yaml."""

    def __init__(self, robot: RobotModel) -> None:
        self._limits = robot.plausibility
        self.reset()

    def reset(self) -> None:
        """Forget every state: the robot is taken to stand still."""
        self._mean_force_in_world = [0.0, 0.0, GRAVITY_M_S2]
        self._falling_s = 0.0

    def faults(self, now: SignalLists, advance_s: float, lasted_s: float) -> int:
        """Bit set of GRAVITY_MISMATCH and FREE_FALL.

        Args:
            advance_s: since the state before [s].
            lasted_s: for how long `now` counts as having lasted [s].
        """
        return self._compare_gravity(now, advance_s) | self._free_fall(now, lasted_s)

    def _compare_gravity(self, now: SignalLists, advance_s: float) -> int:
        share = min(1.0, advance_s / self._limits.gravity_memory_s)
        x, y, z = self._mean_force_in_world
        force_x, force_y, force_z = _turned_into_world(now.quaternion, now.accelerometer)
        x, y, z = x + share * (force_x - x), y + share * (force_y - y), z + share * (force_z - z)
        self._mean_force_in_world = [x, y, z]
        mismatch = _norm(x, y, z - GRAVITY_M_S2)
        return int(Reason.GRAVITY_MISMATCH) if mismatch > self._limits.gravity_mismatch_limit_m_s2 else 0

    def _free_fall(self, now: SignalLists, lasted_s: float) -> int:
        weightless = _norm(*now.accelerometer) < self._limits.free_fall_below_m_s2
        self._falling_s = self._falling_s + lasted_s if weightless else 0.0
        return int(Reason.FREE_FALL) if self._falling_s >= self._limits.free_fall_after_s else 0


def _norm(x: float, y: float, z: float) -> float:
    return math.sqrt(x * x + y * y + z * z)


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
