"""One command to the twelve motors, in SI units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deploy.onboard.packet_layout import MOTORS, POSITION_STOP, require_array
from robot_configs.robot import RobotModel

# Motor modes, in commands and in states.
MOTOR_MODE_DAMPING = 0x00
MOTOR_MODE_OVERHEATED = 0x08
MOTOR_MODE_SERVO = 0x0A

COMMAND_FIELDS = ("position", "velocity", "torque", "stiffness", "damping")
"""The terms of a command in the wire's order, `mode` aside."""

_MODE_TYPE, _FIELD_TYPE = np.dtype("u1"), np.dtype("f4")
_SHAPES = {(MOTORS,)}


@dataclass(frozen=True, eq=False)
class JointCommand:
    """One command to the twelve motors, in the wire's order.

    A motor applies torque + stiffness (position - q) + damping (velocity - dq), at 10 kHz or more.
    """

    mode: np.ndarray
    """(12,) uint8, one of MOTOR_MODE_*."""
    position: np.ndarray
    """(12,) [rad]; POSITION_STOP leaves the position term out."""
    velocity: np.ndarray
    """(12,) [rad/s]; VELOCITY_STOP leaves the damping term out."""
    torque: np.ndarray
    """(12,) feed-forward [Nm]."""
    stiffness: np.ndarray
    """(12,) Kp [Nm/rad]."""
    damping: np.ndarray
    """(12,) Kd [Nm s/rad]."""

    def __post_init__(self) -> None:
        fields = (self.position, self.velocity, self.torque, self.stiffness, self.damping)
        # The gate makes one every tick: all shapes in one comparison, names only where it fails.
        if {self.mode.shape, *[field.shape for field in fields]} != _SHAPES or self.mode.dtype != _MODE_TYPE:
            require_array("mode", self.mode, (MOTORS,), _MODE_TYPE)
            wrong = [field.shape == (MOTORS,) for field in fields].index(False)
            require_array(COMMAND_FIELDS[wrong], fields[wrong], (MOTORS,), _FIELD_TYPE)

    @classmethod
    def servo(cls, position: np.ndarray, stiffness: float, damping: float) -> JointCommand:
        """Hold `position` (12,) [rad] with the same gains on every joint."""
        zeros = np.zeros(MOTORS)
        mode = np.full(MOTORS, MOTOR_MODE_SERVO, dtype=np.uint8)
        return cls(mode, position, zeros, zeros, np.full(MOTORS, stiffness), np.full(MOTORS, damping))

    @classmethod
    def damp(cls, robot: RobotModel) -> JointCommand:
        """Sink to the ground: no position term, only `robot.damp`'s resistance to motion."""
        return cls.servo(np.full(MOTORS, POSITION_STOP), robot.damp.stiffness, robot.damp.damping)
