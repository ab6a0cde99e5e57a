"""`JointCommand` to LowCmd's 614 bytes and back.

Encoder and decoder each own one buffer and NumPy views of its fields, made once: making them anew costs more than
filling them. Neither may be shared between threads.
"""

from __future__ import annotations

from typing import NoReturn

import numpy as np

from deploy.onboard.joint_command import COMMAND_FIELDS, MOTOR_MODE_SERVO, JointCommand
from deploy.onboard.packet_layout import (
    CMD_MOTORS_AT,
    HEAD,
    LEVEL_LOW,
    LOW_CMD,
    MOTOR_CMD,
    MOTORS,
    POSITION_STOP,
    TORQUE_QUANTUM,
    VELOCITY_STOP,
    BatteryOffError,
    FixedPointRangeError,
    PacketHeaderError,
    require_intact,
    seal,
)
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM, load_robot

_FLOAT32_MAX = float(np.finfo(np.float32).max)
# One row per command field, so that one comparison checks all. The upper ends of fixed-point fields are the last
# float32 that still fits. Negative gains are refused even where they would truncate to zero: they would feed energy
# into a joint.
_LOWER = np.array([[-_FLOAT32_MAX], [-_FLOAT32_MAX], [-(2**15) * TORQUE_QUANTUM], [0.0], [0.0]])
_FIXED_END = np.array([2**15 * TORQUE_QUANTUM, 2**16 * STIFFNESS_QUANTUM, 2**16 * DAMPING_QUANTUM], dtype=np.float32)
_UPPER = np.array([_FLOAT32_MAX, _FLOAT32_MAX, *np.nextafter(_FIXED_END, np.float32(-np.inf))]).reshape(5, 1)
_COUNTS_PER_UNIT = np.array([[1.0], [1.0], [1 / TORQUE_QUANTUM], [1 / STIFFNESS_QUANTUM], [1 / DAMPING_QUANTUM]])
_COUNTS_PER_UNIT = _COUNTS_PER_UNIT.astype(np.float32)
_UNITS_PER_COUNT = tuple(np.float32(quantum) for quantum in (TORQUE_QUANTUM, STIFFNESS_QUANTUM, DAMPING_QUANTUM))
_BATTERY_OFF_AT = LOW_CMD.fields["battery_off"][1]  # type: ignore[index]


def _low_cmd_template() -> bytes:
    """A LowCmd as the vendor's `InitCmdData` leaves it, CRC aside: also what the eight unused motor slots must say."""
    packet = np.zeros((), dtype=LOW_CMD)
    packet["header"]["head"] = np.frombuffer(HEAD, dtype=np.uint8)
    packet["header"]["level"] = LEVEL_LOW
    packet["motors"]["mode"] = MOTOR_MODE_SERVO
    packet["motors"]["position"] = POSITION_STOP
    packet["motors"]["velocity"] = VELOCITY_STOP
    return packet.tobytes()


_LOW_CMD_TEMPLATE = _low_cmd_template()


class LowCmdEncoder:
    """Commands to packets; a command that says the same as the one before gives the same packet, without the work."""

    def __init__(self) -> None:
        self._buffer = bytearray(_LOW_CMD_TEMPLATE)
        motors = np.frombuffer(self._buffer, dtype=MOTOR_CMD, count=MOTORS, offset=CMD_MOTORS_AT)
        self._mode = motors["mode"]
        self._rows = tuple(motors[name] for name in COMMAND_FIELDS)
        self._counts = np.empty((len(COMMAND_FIELDS), MOTORS), dtype=np.float32)
        self._said = b""
        self._packet = b""

    def encode(self, command: JointCommand) -> bytes:
        """The 614 bytes of `command`; the battery-off byte is always zero.

        Fixed-point fields are truncated toward zero, as the vendor's encoder does (`wire.quantize_gains` tells what
        arrives).

        Raises:
            FixedPointRangeError: a value is not finite or does not fit; names the joint and the field.
        """
        values = _fields(command)
        # By value: whoever made the command may write into its arrays.
        says = values.tobytes() + command.mode.tobytes()
        if says != self._said:
            _require_fit(values)
            self._packet = self._write(values, command.mode)
            self._said = says
        return self._packet

    def _write(self, values: np.ndarray, mode: np.ndarray) -> bytes:
        self._mode[:] = mode
        np.multiply(values.astype(np.float32), _COUNTS_PER_UNIT, out=self._counts)
        for row, counts in zip(self._rows, self._counts):
            row[:] = counts  # a float assigned to an integer field is truncated toward zero
        return seal(self._buffer)


class LowCmdDecoder:
    """Packets to commands, as the motors read them."""

    def __init__(self) -> None:
        self._buffer = bytearray(LOW_CMD.itemsize)
        motors = np.frombuffer(self._buffer, dtype=MOTOR_CMD, count=MOTORS, offset=CMD_MOTORS_AT)
        self._mode = motors["mode"]
        self._position, self._velocity, self._torque, self._stiffness, self._damping = (
            motors[name] for name in COMMAND_FIELDS
        )

    def decode(self, packet: bytes) -> JointCommand:
        """What the motors read out of 614 bytes.

        Raises:
            PacketLengthError, PacketHeaderError, PacketCrcError: not an intact LowCmd.
            BatteryOffError: its battery-off byte is set.
        """
        require_intact("LowCmd", packet, LOW_CMD.itemsize)
        if packet[2] != LEVEL_LOW:
            raise PacketHeaderError(
                f"level {LEVEL_LOW:#04x}", f"{packet[2]:#04x}", "Send low-level commands to this port."
            )
        battery_off = packet[_BATTERY_OFF_AT]
        if battery_off:
            raise BatteryOffError("a battery-off byte of 0", f"{battery_off:#04x}", "Leave LowCmd.bms alone.")
        self._buffer[:] = packet
        torque_unit, stiffness_unit, damping_unit = _UNITS_PER_COUNT
        return JointCommand(
            mode=self._mode.copy(),
            position=self._position.copy(),
            velocity=self._velocity.copy(),
            torque=self._torque * torque_unit,
            stiffness=self._stiffness * stiffness_unit,
            damping=self._damping * damping_unit,
        )


def checked_fields(command: JointCommand) -> np.ndarray:
    """Position, velocity, torque, stiffness and damping as rows of a (5, 12) float64 array, each fit for the wire.

    Raises:
        FixedPointRangeError: a value is not finite or does not fit; names the joint and the field.
    """
    values = _fields(command)
    _require_fit(values)
    return values


def _fields(command: JointCommand) -> np.ndarray:
    fields = (command.position, command.velocity, command.torque, command.stiffness, command.damping)
    return np.array(fields, dtype=np.float64)


def _require_fit(values: np.ndarray) -> None:
    # Written so that NaN, which compares false with everything, is refused as well.
    fits = (values >= _LOWER) & (values <= _UPPER)
    if not fits.all():
        _refuse(values, fits)


def _refuse(values: np.ndarray, fits: np.ndarray) -> NoReturn:
    """Raise for the first entry of `values` (5, 12) where `fits` (5, 12) is False."""
    row, motor = divmod(int(fits.argmin()), MOTORS)
    (lower,), (upper,) = _LOWER[row], _UPPER[row]
    field, joint = COMMAND_FIELDS[row], load_robot().joint_names[motor]
    raise FixedPointRangeError(
        f"{field} of {joint} within [{lower:.9g}, {upper:.9g}]",
        repr(float(values[row, motor])),
        "Limit the command before it is encoded: on the wire the value would wrap around.",
    )
