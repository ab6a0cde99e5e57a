"""When a robot counts as still: the trunk hardly turns, the joints hardly move, and that for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from deploy.onboard.wire import RobotState


@dataclass(frozen=True)
class Stillness:
    """Below these rates a robot is still at this moment."""

    angular_velocity_rad_s: float = 0.5
    """Turn rate of the trunk [rad/s]..."""
    joint_velocity_rad_s: float = 2.0
    """...and root mean square of the joint velocities, which are noisy [rad/s]. In a trot both are exceeded."""

    def holds(self, state: RobotState) -> bool:
        """Whether `state` is that of a still robot."""
        turn_rate = float(np.linalg.norm(state.angular_velocity_trunk_in_trunk))
        joint_rate = float(np.sqrt(np.mean(np.square(state.joint_velocity))))
        return turn_rate < self.angular_velocity_rad_s and joint_rate < self.joint_velocity_rad_s


class StillWatch:
    """Whether the robot has been still without a break for `hold_s`."""

    def __init__(self, stillness: Stillness, hold_s: float) -> None:
        self._stillness, self._hold_s = stillness, hold_s
        self._since_s: Optional[float] = None

    def restart(self) -> None:
        """What has been seen so far does not count."""
        self._since_s = None

    def look(self, state: Optional[RobotState], time_s: float) -> bool:
        """Take in the state at `time_s`; None, where there is none that can be trusted, is a break."""
        if state is None or not self._stillness.holds(state):
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = time_s
        return time_s - self._since_s >= self._hold_s
