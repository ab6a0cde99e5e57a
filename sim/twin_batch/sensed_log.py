"""What robots of a batch measured at every tick of the link, and the velocity that a robot's own log would give."""

from __future__ import annotations

import numpy as np

from deploy.onboard.wire import RobotState
from offline_data.log_schema import LOW_STATE
from offline_data.state_timeline import StateTimeline
from offline_data.velocity import VelocitySettings
from robot_configs.robot import RobotModel

_HOLE_NS = 1_000_000_000
"""Between two episodes: a robot that is put back on its feet has not got there by what its accelerometer felt."""
_LOGGED = {  # of a log's states what its timeline reads, by the name of a state's field
    "orientation_trunk_in_world": "orientation_trunk_in_world",
    "angular_velocity_trunk_in_trunk": "angular_velocity_trunk_in_trunk",
    "specific_force_imu_in_trunk": "accelerometer_trunk_in_trunk",
    "joint_position": "joint_position",
    "joint_velocity": "joint_velocity",
    "joint_torque": "joint_torque",
    "foot_force": "foot_force",
}
_RECORD = np.dtype([(name, LOW_STATE.dtype[name]) for name in ("monotonic_ns", *_LOGGED)])


class SensedLog:
    """States of N robots, each with a clock of its own that leaps between episodes."""

    def __init__(self, robot: RobotModel, count: int) -> None:
        self._robot = robot
        self._tick_ns = round(1e9 / robot.link_hz)
        self.now_ns = np.zeros(count, dtype=np.int64)
        """(N,) stamp of what each robot measured last [ns]."""
        self._moments: list[tuple[np.ndarray, np.ndarray]] = []

    def begin(self, rows: np.ndarray, states: list[RobotState]) -> None:
        """Robots `rows` (R,) stand anew and measure this; `states` are those of all robots."""
        self.now_ns[rows] += _HOLE_NS
        present = np.zeros(len(states), dtype=bool)
        present[rows] = True
        self._take(states, present)

    def tick(self, states: list[RobotState]) -> None:
        """All robots measure this, a tick later."""
        self.now_ns += self._tick_ns
        self._take(states, np.ones(len(states), dtype=bool))

    def _take(self, states: list[RobotState], present: np.ndarray) -> None:
        moment = np.zeros(len(states), dtype=_RECORD)
        moment["monotonic_ns"] = self.now_ns
        for name, field in _LOGGED.items():
            moment[name] = [getattr(state, field) for state in states]
        self._moments.append((moment, present))

    def timeline(self, row: int, settings: VelocitySettings) -> StateTimeline:
        """Robot `row`'s states as `offline_data` reads them from a log, with the velocity that it estimates."""
        states = np.array([moment[row] for moment, present in self._moments if present[row]], dtype=_RECORD)
        return StateTimeline(states, self._robot, settings)
