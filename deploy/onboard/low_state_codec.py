"""`RobotState` to LowState's 807 bytes and back.

Encoder and decoder each own one buffer and NumPy views of its fields, made once: making them anew costs more than
filling them. Neither may be shared between threads.
"""

from __future__ import annotations

import math
import struct

import numpy as np

from deploy.onboard.packet_layout import (
    CELL_QUANTUM_MV,
    HEAD,
    LEVEL_HIGH,
    LEVEL_LOW,
    LOW_STATE,
    MOTOR_STATE,
    MOTORS,
    REMOTE_BYTES,
    STATE_MOTORS_AT,
    TORQUE_QUANTUM,
    FixedPointRangeError,
    PacketHeaderError,
    require_intact,
    seal,
)
from deploy.onboard.robot_state import RobotState

_TORQUE_UNIT = np.float32(TORQUE_QUANTUM)
_CELL_UNIT = np.int16(CELL_QUANTUM_MV)
_CELL_END_MV = 2**8 * CELL_QUANTUM_MV
_TORQUE_BEGIN, _TORQUE_END = -(2**15), 2**15  # [TORQUE_QUANTUM]

# Lone numbers are quicker without NumPy; each of these is followed by what stands behind it in the packet.
_IMU_TEMPERATURE = struct.Struct("<b")
_CHARGE_AND_CURRENT = struct.Struct("<Bi")
_TICK_AND_REMOTE = struct.Struct(f"<I{REMOTE_BYTES}s")


def _offset(*path: str) -> int:
    """Where a field, given by its names from the outside in, begins in the packet."""
    offset, layout = 0, LOW_STATE
    for name in path:
        layout, begins, *_ = layout.fields[name]  # type: ignore[index]
        offset += begins
    return offset


_IMU_TEMPERATURE_AT = _offset("imu", "temperature")
_CHARGE_AT = _offset("battery", "soc")
_TICK_AT = _offset("tick")


class _Views:
    """The array fields of a LowState over one buffer."""

    def __init__(self) -> None:
        self.buffer = bytearray(LOW_STATE.itemsize)
        record = np.ndarray((), LOW_STATE, self.buffer)
        motors = np.frombuffer(self.buffer, dtype=MOTOR_STATE, count=MOTORS, offset=STATE_MOTORS_AT)
        imu, battery = record["imu"], record["battery"]
        self.quaternion = imu["quaternion"]
        self.gyroscope = imu["gyroscope"]
        self.accelerometer = imu["accelerometer"]
        self.roll_pitch_yaw = imu["roll_pitch_yaw"]
        self.mode = motors["mode"]
        self.position = motors["position"]
        self.velocity = motors["velocity"]
        self.torque = motors["torque"]
        self.temperature = motors["temperature"]
        self.cells = battery["cells"]
        self.foot_force = record["foot_force"]


class LowStateEncoder:
    """States to packets; acceleration, raw and reserved fields are zero, as are unused motors."""

    def __init__(self) -> None:
        self._views = _Views()
        self._views.buffer[:2], self._views.buffer[2] = HEAD, LEVEL_LOW
        self._torque_counts = np.empty(MOTORS, dtype=np.float32)
        self._said_cells = b""

    def encode(self, state: RobotState) -> bytes:
        """The 807 bytes a robot in `state` sends.

        Floating-point fields may be non-finite: a twin must be able to send what a broken sensor sends.

        Raises:
            FixedPointRangeError: an integer or fixed-point field cannot hold its value.
        """
        views = self._views
        views.quaternion[:] = state.orientation_trunk_in_world
        views.gyroscope[:] = state.angular_velocity_trunk_in_trunk
        views.accelerometer[:] = state.accelerometer_trunk_in_trunk
        views.roll_pitch_yaw[:] = state.roll_pitch_yaw
        temperature = _fitting("imu_temperature", state.imu_temperature, -(2**7), 2**7)
        _IMU_TEMPERATURE.pack_into(views.buffer, _IMU_TEMPERATURE_AT, temperature)
        views.mode[:] = state.joint_mode
        views.position[:] = state.joint_position
        views.velocity[:] = state.joint_velocity
        views.torque[:] = self._in_torque_counts(state.joint_torque)
        views.temperature[:] = state.joint_temperature
        charge = _fitting("battery_soc_percent", state.battery_soc_percent, 0, 2**8)
        current = _fitting("battery_current_ma", state.battery_current_ma, -(2**31), 2**31)
        _CHARGE_AND_CURRENT.pack_into(views.buffer, _CHARGE_AT, charge, current)
        self._write_cells(state.battery_cell_mv)
        views.foot_force[:] = state.foot_force
        tick = _fitting("tick_ms", state.tick_ms, 0, 2**32)
        _TICK_AND_REMOTE.pack_into(views.buffer, _TICK_AT, tick, state.remote)
        return seal(views.buffer)

    def _write_cells(self, cell_mv: np.ndarray) -> None:
        # By value: whoever made the state may write into its arrays. Cells change once in a hundred packets.
        says = cell_mv.tobytes()
        if says == self._said_cells:
            return
        cells = cell_mv.tolist()
        for millivolts in (min(cells), max(cells)):
            _fitting("battery_cell_mv", millivolts, 0, _CELL_END_MV)
        self._views.cells[:] = cell_mv // _CELL_UNIT
        self._said_cells = says

    def _in_torque_counts(self, torque: np.ndarray) -> np.ndarray:
        counts = self._torque_counts
        counts[:] = torque
        np.divide(counts, _TORQUE_UNIT, out=counts)
        numbers = counts.tolist()
        # Truncation toward zero keeps what lies above the first count less one.
        fits = max(numbers) < _TORQUE_END and min(numbers) > _TORQUE_BEGIN - 1
        # A NaN may hide from min and max; it does not from the sum.
        if not (fits and math.isfinite(sum(numbers))):
            raise FixedPointRangeError(
                f"joint_torque / TORQUE_QUANTUM within [{_TORQUE_BEGIN}, {_TORQUE_END})",
                repr(counts),
                "Correct the simulated state.",
            )
        return counts


class LowStateDecoder:
    """Packets to states."""

    def __init__(self) -> None:
        self._views = _Views()

    def decode(self, packet: bytes) -> RobotState:
        """What a robot measured, out of 807 bytes.

        Raises:
            PacketLengthError, PacketHeaderError, PacketCrcError: not an intact LowState.
        """
        require_intact("LowState", packet, LOW_STATE.itemsize)
        if packet[2] == LEVEL_HIGH:  # the vendor SDK accepts every other level, so robots may send one
            raise PacketHeaderError(
                f"a level other than {LEVEL_HIGH:#04x}", f"{packet[2]:#04x}", "Switch sport mode off."
            )
        views = self._views
        views.buffer[:] = packet
        (imu_temperature,) = _IMU_TEMPERATURE.unpack_from(packet, _IMU_TEMPERATURE_AT)
        charge, current = _CHARGE_AND_CURRENT.unpack_from(packet, _CHARGE_AT)
        tick, remote = _TICK_AND_REMOTE.unpack_from(packet, _TICK_AT)
        return RobotState.unchecked(
            tick_ms=tick,
            orientation_trunk_in_world=views.quaternion.copy(),
            angular_velocity_trunk_in_trunk=views.gyroscope.copy(),
            accelerometer_trunk_in_trunk=views.accelerometer.copy(),
            roll_pitch_yaw=views.roll_pitch_yaw.copy(),
            imu_temperature=imu_temperature,
            joint_position=views.position.copy(),
            joint_velocity=views.velocity.copy(),
            joint_torque=views.torque * _TORQUE_UNIT,
            joint_temperature=views.temperature.copy(),
            joint_mode=views.mode.copy(),
            foot_force=views.foot_force.copy(),
            battery_soc_percent=charge,
            battery_current_ma=current,
            battery_cell_mv=np.multiply(views.cells, _CELL_UNIT, dtype=np.int16),
            remote=remote,
        )


def _fitting(name: str, value: int, begin: int, end: int) -> int:
    """`value` if it lies within [begin, end)."""
    if not begin <= value < end:
        raise FixedPointRangeError(f"{name} within [{begin}, {end})", repr(value), "Correct the simulated state.")
    return value
