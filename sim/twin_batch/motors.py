"""The motor law of `sim.twin.motor.MotorBank` for many robots at once.

`MotorBank` is written for twelve numbers and for every command that the wire can carry; a thousand of them in a Python
loop would cost more than the physics. Here is the same sum in the same order, for servo commands and for braking:
tests/sim/twin_batch/test_motors.py holds the two equal bit by bit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Deque

import numpy as np

from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM, RobotModel
from robot_configs.twin_conditions import Motors


@dataclass(frozen=True, eq=False)
class _Drives:
    """Commands of all robots reduced to `bias - stiffness q - damping dq` (N, 12), and the step they act from."""

    bias: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    due_step: int


class BatchMotors:
    """Twelve motors of each of N robots, which get their commands at the same physics steps.

    demand    = Kp (q* - q) - Kd dq                       Kp, Kd truncated as on the wire
    limit     = torque_limit (1 - |dq| / velocity_limit)  against the motion always the full torque_limit
    delivered = strength clip(demand, limit)
    """

    def __init__(self, robot: RobotModel, motors: Motors, count: int) -> None:
        self._shape = (count, len(robot.joint_names))
        self._per_speed = 1.0 / robot.velocity_limit
        self._limit = robot.torque_limit
        self._brake = robot.damp.damping
        self._strength = np.array(motors.strength)
        self._delay_steps = motors.command_delay_ms  # a physics step is a millisecond
        self._waiting: Deque[_Drives] = deque()
        self.estimated_torque = np.zeros(self._shape)
        """(N, 12) what the motors believe they deliver [Nm]: they measure current, so a weak one does not notice."""
        self.delivered = np.zeros(self._shape)
        """(N, 12) torque at the joints in the last step [Nm]."""
        self.switch_off()

    def switch_off(self) -> None:
        """Forget every command: all motors brake, as after power-up."""
        self._waiting.clear()
        self._active = _Drives(np.zeros(self._shape), np.zeros(self._shape), np.full(self._shape, self._brake), 0)

    def accept(self, position: np.ndarray, stiffness: np.ndarray, damping: np.ndarray, step: int) -> None:
        """Take commands that arrive before physics step `step`; they act after the delay.

        Args:
            position: (N, 12) [rad]. stiffness, damping: (12,) or (N, 12) [Nm/rad], [Nm s/rad].
        """
        self._waiting.append(self._drives(position, stiffness, damping, step + self._delay_steps))

    def hold(self, rows: np.ndarray, position: np.ndarray, stiffness: np.ndarray, damping: np.ndarray) -> None:
        """Robots `rows` (R,) follow this command (R, 12) now, and have followed it: nothing else is on its way."""
        held = self._drives(np.zeros(self._shape), stiffness, damping, 0)
        held.bias[rows] = held.stiffness[rows] * position
        for drives in (self._active, *self._waiting):
            for name in ("bias", "stiffness", "damping"):
                getattr(drives, name)[rows] = getattr(held, name)[rows]

    def torque(self, step: int, joint_position: np.ndarray, joint_velocity: np.ndarray) -> np.ndarray:
        """Torque (N, 12) [Nm] that the motors put on the joints in physics step `step`."""
        while self._waiting and self._waiting[0].due_step <= step:
            self._active = self._waiting.popleft()
        drives = self._active
        demand = drives.bias - drives.stiffness * joint_position - drives.damping * joint_velocity
        share = self._per_speed * joint_velocity
        highest = np.clip(1.0 - share, 0.0, 1.0) * self._limit
        lowest = np.clip(1.0 + share, 0.0, 1.0) * -self._limit
        self.estimated_torque = np.maximum(np.minimum(demand, highest), lowest)
        self.delivered = self.estimated_torque * self._strength
        return self.delivered

    def _drives(self, position: np.ndarray, stiffness: np.ndarray, damping: np.ndarray, due_step: int) -> _Drives:
        counted_stiffness = np.trunc(stiffness / STIFFNESS_QUANTUM) * STIFFNESS_QUANTUM
        counted_damping = np.trunc(damping / DAMPING_QUANTUM) * DAMPING_QUANTUM
        return _Drives(
            bias=counted_stiffness * position,
            stiffness=np.broadcast_to(counted_stiffness, self._shape).copy(),
            damping=np.broadcast_to(counted_damping, self._shape).copy(),
            due_step=due_step,
        )
