"""Has a sensor stopped measuring? A live one has noise in its last bits, so it hardly ever says the same twice.

    whole state        repeats to the bit: nothing is measured any more, whatever the tick says
    IMU                gyroscope, accelerometer or quaternion repeats, all its axes, and the rest of the state does not
    joint velocity     repeats at a speed, or while the joint's position moves on
    joint position     repeats while the joint's velocity says that it moves

A joint at rest may repeat itself for ever: what its last bits do then on a real robot, no log that we have tells.
"""

from __future__ import annotations

import operator
from typing import List, Optional, Sequence

from deploy.onboard.packet_layout import MOTORS
from deploy.onboard.reasons import Reason
from deploy.onboard.signal_lists import MotionError, SignalLists
from robot_configs.robot import RobotModel


class FrozenSensors:
    """Counts for how long each sensor has repeated itself; the limits are in robot_configs/go1.yaml."""

    def __init__(self, robot: RobotModel) -> None:
        self._limits = robot.plausibility
        self.reset()

    def reset(self) -> None:
        """Forget every state."""
        self._state_s = 0.0
        self._imu_s = [0.0, 0.0, 0.0]
        self._velocities, self._positions = _Repetitions(), _Repetitions()

    def faults(self, before: SignalLists, now: SignalLists, error: Optional[MotionError], lasted_s: float) -> int:
        """Bit set of IMU_FROZEN and JOINT_FROZEN after `now` has followed `before`.

        Args:
            error: what the step leaves unexplained; None over a gap that is too long to say.
            lasted_s: for how long a repetition in this step counts [s].
        """
        if now == before:
            # Perhaps only the link repeats itself: single sensors are not to blame for it, and are not acquitted.
            self._state_s += lasted_s
            return int(Reason.IMU_FROZEN) if self._state_s >= self._limits.frozen_after_s else 0
        self._state_s = 0.0
        return self._imu(before, now, lasted_s) | self._joints(before, now, error, lasted_s)

    def _imu(self, before: SignalLists, now: SignalLists, lasted_s: float) -> int:
        quaternion_s, gyroscope_s, accelerometer_s = self._imu_s
        quaternion_s = quaternion_s + lasted_s if now.quaternion == before.quaternion else 0.0
        gyroscope_s = gyroscope_s + lasted_s if now.gyroscope == before.gyroscope else 0.0
        accelerometer_s = accelerometer_s + lasted_s if now.accelerometer == before.accelerometer else 0.0
        self._imu_s = [quaternion_s, gyroscope_s, accelerometer_s]
        longest_s = max(quaternion_s, gyroscope_s, accelerometer_s)
        return int(Reason.IMU_FROZEN) if longest_s >= self._limits.frozen_alone_after_s else 0

    def _joints(self, before: SignalLists, now: SignalLists, error: Optional[MotionError], lasted_s: float) -> int:
        limits = self._limits
        unexplained_rad = _NOTHING if error is None else error.joint_rad
        velocities = self._velocities.take(before.velocity, now.velocity, unexplained_rad, lasted_s)
        positions = self._positions.take(before.position, now.position, unexplained_rad, lasted_s)
        longest_s, furthest_rad = limits.frozen_alone_after_s, limits.frozen_joint_travel_rad
        frozen = False
        if velocities:
            moving = [abs(velocity) > limits.frozen_joint_speed_rad_s for velocity in now.velocity]
            frozen = self._velocities.is_dead(longest_s, furthest_rad, moving)
        if positions:
            frozen = frozen or self._positions.is_dead(longest_s, furthest_rad, _UNKNOWN)
        return int(Reason.JOINT_FROZEN) if frozen else 0


_NOTHING: Sequence[float] = (0.0,) * MOTORS
_UNKNOWN: Sequence[bool] = (False,) * MOTORS


class _Repetitions:
    """For how long each joint's reading has repeated itself, and what that leaves unexplained of the joint's motion."""

    def __init__(self) -> None:
        self._lasted_s: Sequence[float] = _NOTHING
        self._unexplained_rad: Sequence[float] = _NOTHING

    def take(self, before: List[float], now: List[float], unexplained_rad: Sequence[float], lasted_s: float) -> bool:
        """Count one step (12 each) and say whether any reading repeats itself."""
        repeated = list(map(operator.eq, before, now))
        if True not in repeated:
            self._lasted_s = self._unexplained_rad = _NOTHING
            return False
        self._lasted_s = [sum_s + lasted_s if same else 0.0 for same, sum_s in zip(repeated, self._lasted_s)]
        self._unexplained_rad = [
            sum_rad + step_rad if same else 0.0
            for same, sum_rad, step_rad in zip(repeated, self._unexplained_rad, unexplained_rad)
        ]
        return True

    def is_dead(self, longest_s: float, furthest_rad: float, moving: Sequence[bool]) -> bool:
        """Whether a joint has repeated itself for `longest_s` and moves: it says so, or has gone further than a joint
        at rest."""
        return any(
            repeated_s >= longest_s and (moves or abs(missed_rad) > furthest_rad)
            for repeated_s, missed_rad, moves in zip(self._lasted_s, self._unexplained_rad, moving)
        )
