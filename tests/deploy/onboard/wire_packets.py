"""Commands, states and sealed packets for the tests of the wire, and the checksum from its definition."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from deploy.onboard.wire import (
    MOTOR_MODE_SERVO,
    JointCommand,
    RobotState,
)

FIELDS = ("position", "velocity", "torque", "stiffness", "damping")


def command(**replaced: Any) -> JointCommand:
    values: dict[str, Any] = {name: np.zeros(12) for name in FIELDS}
    return JointCommand(**{"mode": np.full(12, MOTOR_MODE_SERVO, dtype=np.uint8), **values, **replaced})


def state(**replaced: Any) -> RobotState:
    values: dict[str, Any] = {
        "tick_ms": 1000,
        "orientation_trunk_in_world": np.array([1.0, 0.0, 0.0, 0.0]),
        "angular_velocity_trunk_in_trunk": np.zeros(3),
        "accelerometer_trunk_in_trunk": np.array([0.0, 0.0, 9.75]),
        "roll_pitch_yaw": np.zeros(3),
        "imu_temperature": 40,
        "joint_position": np.zeros(12),
        "joint_velocity": np.zeros(12),
        "joint_torque": np.zeros(12),
        "joint_temperature": np.full(12, 30, dtype=np.int8),
        "joint_mode": np.full(12, MOTOR_MODE_SERVO, dtype=np.uint8),
        "foot_force": np.zeros(4, dtype=np.int16),
        "battery_soc_percent": 80,
        "battery_current_ma": -2000,
        "battery_cell_mv": np.full(10, 4000, dtype=np.int16),
        "remote": bytes(40),
    }
    return RobotState(**{**values, **replaced})


def random_state(seed: int) -> RobotState:
    """Every number another one, over the whole range of those that are whole."""
    generator = np.random.default_rng(seed)
    return RobotState(
        tick_ms=int(generator.integers(2**32)),
        orientation_trunk_in_world=generator.normal(size=4),
        angular_velocity_trunk_in_trunk=generator.normal(size=3),
        accelerometer_trunk_in_trunk=generator.normal(size=3),
        roll_pitch_yaw=generator.normal(size=3),
        imu_temperature=int(generator.integers(-128, 128)),
        joint_position=generator.normal(size=12),
        joint_velocity=generator.normal(size=12),
        joint_torque=generator.uniform(-127.0, 127.0, 12),
        joint_temperature=generator.integers(-128, 128, 12).astype(np.int8),
        joint_mode=generator.integers(0, 256, 12).astype(np.uint8),
        foot_force=generator.integers(-(2**15), 2**15, 4).astype(np.int16),
        battery_soc_percent=int(generator.integers(256)),
        battery_current_ma=int(generator.integers(-(2**31), 2**31)),
        battery_cell_mv=generator.integers(0, 256 * 32, 10).astype(np.int16),
        remote=generator.bytes(40),
    )


def one_joint(value: float, joint: int = 4) -> np.ndarray:
    values = np.zeros(12)
    values[joint] = value
    return values


def crc_bit_by_bit(message: bytes) -> int:
    """CRC-32/MPEG-2 from its definition: polynomial 0x04C11DB7, start 0xFFFFFFFF, not mirrored, not inverted."""
    remainder = 0xFFFFFFFF
    for byte in message:
        for bit in range(7, -1, -1):
            carry = (remainder >> 31) ^ (byte >> bit & 1)
            remainder = (remainder << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if carry else 0)
    return remainder


def words_reversed(words: bytes) -> bytes:
    """Each little-endian word's most significant byte first."""
    return b"".join(words[start : start + 4][::-1] for start in range(0, len(words), 4))


def reseal(packet: bytearray) -> bytes:
    covered = {614: 608, 807: 800}[len(packet)]
    return bytes(packet[:-4]) + struct.pack("<I", crc_bit_by_bit(words_reversed(bytes(packet[:covered]))))
