"""Bytes and checksum of the Go1's low-level packets: LowCmd (614 bytes, to the motors), LowState (807, from them).

Little endian, packed, both with a 22-byte header and 20 motor slots of which the Go1 uses the first 12:

    LowCmd    0 header | 22 motors 20 x 27 | 562 battery | 566 remote | 606 reserve | 610 crc
    LowState  0 header | 22 imu | 75 motors 20 x 32 | 715 battery | 739 feet | 755 tick | 759 remote | 799 reserve
              | 803 crc

All of it, the fixed point and what the CRC covers included, was measured against the vendor's unitree-legged-sdk
3.8.20231105; tests/deploy/onboard/test_vendor_sdk.py holds it to that SDK byte for byte.
"""

from __future__ import annotations

import zlib
from array import array
from typing import Tuple

import numpy as np

from robot_configs.errors import Go1Error
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM

MOTORS = 12
MOTOR_SLOTS = 20
REMOTE_BYTES = 40
BATTERY_CELLS = 10

TORQUE_QUANTUM = 1.0 / 256.0  # [Nm] of LowCmd's torque and of LowState's estimate, both int16
LARGEST_STIFFNESS = (2**16 - 1) * STIFFNESS_QUANTUM  # [Nm/rad]: the next count would wrap around to zero
LARGEST_DAMPING = (2**16 - 1) * DAMPING_QUANTUM  # [Nm s/rad]
CELL_QUANTUM_MV = 32  # [mV] of one count of a battery cell, as the vendor SDK reads it back

POSITION_STOP = 2.146e9  # [rad] the vendor's PosStopF: no position term
VELOCITY_STOP = 16000.0  # [rad/s] the vendor's VelStopF: no velocity term

HEAD = b"\xfe\xef"
LEVEL_LOW = 0xFF
LEVEL_HIGH = 0xEE  # sport mode's packets

HEADER = np.dtype(
    [
        ("head", "u1", (2,)),
        ("level", "u1"),
        ("frame_reserve", "u1"),
        ("serial_number", "<u4", (2,)),
        ("version", "<u4", (2,)),
        ("bandwidth", "<u2"),
    ]
)
MOTOR_CMD = np.dtype(
    [
        ("mode", "u1"),
        ("position", "<f4"),  # [rad]
        ("velocity", "<f4"),  # [rad/s]
        ("torque", "<i2"),  # [TORQUE_QUANTUM]
        ("stiffness", "<u2"),  # [STIFFNESS_QUANTUM]
        ("damping", "<u2"),  # [DAMPING_QUANTUM]
        ("reserve", "<u4", (3,)),
    ]
)
LOW_CMD = np.dtype(
    [
        ("header", HEADER),
        ("motors", MOTOR_CMD, (MOTOR_SLOTS,)),
        ("battery_off", "u1"),  # 0xA5 switches the robot's battery off
        ("battery_reserve", "u1", (3,)),
        ("remote", "u1", (REMOTE_BYTES,)),
        ("reserve", "<u4"),
        ("crc", "<u4"),
    ]
)
IMU = np.dtype(
    [
        ("quaternion", "<f4", (4,)),  # trunk in world, w x y z
        ("gyroscope", "<f4", (3,)),  # [rad/s], trunk frame
        ("accelerometer", "<f4", (3,)),  # [m/s^2], trunk frame
        ("roll_pitch_yaw", "<f4", (3,)),  # [rad]
        ("temperature", "i1"),  # [degC]
    ]
)
MOTOR_STATE = np.dtype(
    [
        ("mode", "u1"),
        ("position", "<f4"),  # [rad]
        ("velocity", "<f4"),  # [rad/s]
        ("acceleration", "<i2"),  # [rad/s^2]
        ("torque", "<i2"),  # [TORQUE_QUANTUM], the motor's own estimate
        ("raw_position", "<f4"),
        ("raw_velocity", "<f4"),
        ("raw_acceleration", "<i2"),
        ("temperature", "i1"),  # [degC]
        ("reserve", "<u4", (2,)),
    ]
)
BATTERY_STATE = np.dtype(
    [
        ("version", "u1", (2,)),
        ("status", "u1"),
        ("soc", "u1"),  # [%]
        ("current", "<i4"),  # [mA]
        ("cycles", "<u2"),
        ("pack_temperature", "i1", (2,)),  # [degC]
        ("board_temperature", "i1", (2,)),  # [degC]
        ("cells", "u1", (BATTERY_CELLS,)),  # [CELL_QUANTUM_MV]
    ]
)
LOW_STATE = np.dtype(
    [
        ("header", HEADER),
        ("imu", IMU),
        ("motors", MOTOR_STATE, (MOTOR_SLOTS,)),
        ("battery", BATTERY_STATE),
        ("foot_force", "<i2", (4,)),
        ("foot_force_estimate", "<i2", (4,)),
        ("tick", "<u4"),  # [ms]
        ("remote", "u1", (REMOTE_BYTES,)),
        ("reserve", "<u4"),
        ("crc", "<u4"),
    ]
)
CMD_MOTORS_AT = LOW_CMD.fields["motors"][1]  # type: ignore[index]
STATE_MOTORS_AT = LOW_STATE.fields["motors"][1]  # type: ignore[index]


class WireError(Go1Error):
    """A packet or a command that must not cross the wire."""


class PacketLengthError(WireError):
    """Not as long as its kind of packet."""


class PacketHeaderError(WireError):
    """Not a low-level packet of the Go1."""


class PacketCrcError(WireError):
    """Damaged on the way, or not written by a robot."""


class BatteryOffError(WireError):
    """A command that would cut the robot's power."""


class FixedPointRangeError(WireError):
    """A value that is not finite, or that the packet's number format cannot hold."""


def require_array(name: str, values: np.ndarray, shape: Tuple[int, ...], dtype: np.dtype) -> None:
    """Raise unless `values` has `shape`, and `dtype` where that is an integer: a cast to it would wrap unseen."""
    if values.shape != shape or (dtype.kind != "f" and values.dtype != dtype):
        raise WireError(
            f"{name} of shape {shape} and type {'float' if dtype.kind == 'f' else dtype}",
            f"shape {values.shape}, type {values.dtype}",
            "Build the record with arrays in the wire's order.",
        )


_REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc32_mpeg2(words: bytes) -> int:
    """CRC-32/MPEG-2 over little-endian 32-bit words, each fed most significant byte first.

    zlib's CRC-32 has the same polynomial, but reads every byte mirrored, and mirrors and inverts its result.
    Mirroring the input's bytes and undoing the rest gives the same number at C speed. `len(words)` must be a
    multiple of 4. For little-endian machines, as all are that a Go1 or a laptop has.
    """
    most_significant_first = array("I", words)
    most_significant_first.byteswap()
    mirrored = zlib.crc32(most_significant_first.tobytes().translate(_REVERSED_BITS)) ^ 0xFFFFFFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED_BITS), "big")


def _covered_bytes(length: int) -> int:
    """How much of a packet its CRC covers: its whole words but for the last (608 and 800 bytes)."""
    return (length // 4 - 1) * 4


def seal(packet: bytearray) -> bytes:
    """Write the CRC into the last four bytes."""
    whole = bytes(packet)
    crc = crc32_mpeg2(whole[: _covered_bytes(len(whole))]).to_bytes(4, "little")
    packet[-4:] = crc
    return whole[:-4] + crc


def require_intact(kind: str, packet: bytes, length: int) -> None:
    """Raise unless `packet` has the length, head and CRC of its kind."""
    if len(packet) != length:
        raise PacketLengthError(f"a {kind} of {length} bytes", f"{len(packet)} bytes", "Check port and firmware.")
    if packet[:2] != HEAD:
        raise PacketHeaderError(f"{HEAD.hex()} at the start of a {kind}", packet[:2].hex(), "Check port and firmware.")
    computed, received = crc32_mpeg2(packet[: _covered_bytes(length)]), int.from_bytes(packet[-4:], "little")
    if computed != received:
        raise PacketCrcError(f"a {kind} with CRC {computed:#010x}", f"{received:#010x}", "Drop the packet.")
