"""What the robot measures at one tick, in SI units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deploy.onboard.packet_layout import BATTERY_CELLS, MOTORS, REMOTE_BYTES, WireError, require_array

_UINT8, _INT8, _INT16, _FLOAT32 = (np.dtype(kind) for kind in ("u1", "i1", "i2", "f4"))


@dataclass(frozen=True, eq=False)
class RobotState:
    """What the robot measures at one tick: joint arrays in the wire's order, values as sent, perhaps not finite."""

    tick_ms: int
    """The motor controller's clock [ms]; wraps at 2^32."""
    orientation_trunk_in_world: np.ndarray
    """(4,) unit quaternion, w x y z."""
    angular_velocity_trunk_in_trunk: np.ndarray
    """(3,) gyroscope [rad/s]."""
    accelerometer_trunk_in_trunk: np.ndarray
    """(3,) specific force [m/s^2]; +9.81 along z at rest."""
    roll_pitch_yaw: np.ndarray
    """(3,) [rad], the IMU's own."""
    imu_temperature: int
    """[degC]"""
    joint_position: np.ndarray
    """(12,) [rad]"""
    joint_velocity: np.ndarray
    """(12,) [rad/s]"""
    joint_torque: np.ndarray
    """(12,) the motors' own estimate [Nm]."""
    joint_temperature: np.ndarray
    """(12,) int8 [degC]; lags behind the windings."""
    joint_mode: np.ndarray
    """(12,) uint8, one of MOTOR_MODE_*."""
    foot_force: np.ndarray
    """(4,) int16, raw airbag counts: no unit, an offset per foot that drifts."""
    battery_soc_percent: int
    """State of charge [%]."""
    battery_current_ma: int
    """[mA]"""
    battery_cell_mv: np.ndarray
    """(10,) int16 [mV], in steps of CELL_QUANTUM_MV."""
    remote: bytes
    """The wireless remote's 40 bytes (`deploy.onboard.remote`)."""

    def __post_init__(self) -> None:
        for name, length, dtype in _ARRAYS:
            require_array(name, getattr(self, name), (length,), dtype)
        if len(self.remote) != REMOTE_BYTES:
            raise WireError(f"{REMOTE_BYTES} remote bytes", str(len(self.remote)), "Use remote.encode_remote.")

    @classmethod
    def unchecked(cls, **fields: Any) -> RobotState:
        """A record of all its `fields`, whose shapes and types the caller vouches for.

        For the two places that make 500 a second and whose arrays cannot be of another shape: a third of the time.
        """
        state = cls.__new__(cls)
        state.__dict__.update(fields)
        return state


_ARRAYS = (
    ("orientation_trunk_in_world", 4, _FLOAT32),
    ("angular_velocity_trunk_in_trunk", 3, _FLOAT32),
    ("accelerometer_trunk_in_trunk", 3, _FLOAT32),
    ("roll_pitch_yaw", 3, _FLOAT32),
    ("joint_position", MOTORS, _FLOAT32),
    ("joint_velocity", MOTORS, _FLOAT32),
    ("joint_torque", MOTORS, _FLOAT32),
    ("joint_temperature", MOTORS, _INT8),
    ("joint_mode", MOTORS, _UINT8),
    ("foot_force", 4, _INT16),
    ("battery_cell_mv", BATTERY_CELLS, _INT16),
)
