"""Commands to the motors and states from them, as records in SI units, and the packets that carry them.

One record and one pair of functions per packet: `JointCommand` and LowCmd, `RobotState` and LowState; the layout of the
bytes is in `packet_layout`. The vendor's encoder lets what its fixed point cannot hold wrap around (200 Nm leaves as
-56 Nm); ours refuses it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, Tuple, TypeVar

import numpy as np

from deploy.onboard.packet_layout import (
    BATTERY_CELLS,
    CELL_QUANTUM_MV,
    CMD_MOTORS_AT,
    HEAD,
    LEVEL_HIGH,
    LEVEL_LOW,
    LOW_CMD,
    LOW_STATE,
    MOTOR_CMD,
    MOTOR_STATE,
    MOTORS,
    REMOTE_BYTES,
    STATE_MOTORS_AT,
    TORQUE_QUANTUM,
    BatteryOffError,
    FixedPointRangeError,
    PacketHeaderError,
    WireError,
    require_intact,
    seal,
)
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM, RobotModel, load_robot

POSITION_STOP = 2.146e9  # [rad] the vendor's PosStopF: no position term
VELOCITY_STOP = 16000.0  # [rad/s] the vendor's VelStopF: no velocity term

# Motor modes, in commands and in states.
MOTOR_MODE_DAMPING = 0x00
MOTOR_MODE_OVERHEATED = 0x08
MOTOR_MODE_SERVO = 0x0A

Number = TypeVar("Number", int, np.ndarray)


def _require_array(name: str, array: np.ndarray, shape: Tuple[int, ...], dtype: np.dtype) -> None:
    """Raise unless `array` has `shape`, and `dtype` where that is an integer: a cast to it would wrap unseen."""
    if array.shape != shape or (dtype.kind != "f" and array.dtype != dtype):
        raise WireError(
            f"{name} of shape {shape} and type {'float' if dtype.kind == 'f' else dtype}",
            f"shape {array.shape}, type {array.dtype}",
            "Build the record with arrays in the wire's order.",
        )


_UINT8, _INT8, _INT16, _FLOAT32 = (np.dtype(kind) for kind in ("u1", "i1", "i2", "f4"))


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
        _require_array("mode", self.mode, (MOTORS,), _UINT8)
        for name in _COMMAND_FIELDS:
            _require_array(name, getattr(self, name), (MOTORS,), _FLOAT32)

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
        for name, length, dtype in _STATE_ARRAYS:
            _require_array(name, getattr(self, name), (length,), dtype)
        if len(self.remote) != REMOTE_BYTES:
            raise WireError(f"{REMOTE_BYTES} remote bytes", str(len(self.remote)), "Use remote.encode_remote.")


_STATE_ARRAYS = (
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

_COMMAND_FIELDS = ("position", "velocity", "torque", "stiffness", "damping")
_FLOAT32_MAX = float(np.finfo(np.float32).max)
# One row per command field, so that one comparison checks all. The upper ends of fixed-point fields are the last
# float32 that still fits. Negative gains are refused even where they would truncate to zero: they would feed energy
# into a joint.
_LOWER = np.array([[-_FLOAT32_MAX], [-_FLOAT32_MAX], [-(2**15) * TORQUE_QUANTUM], [0.0], [0.0]])
_FIXED_END = np.array([2**15 * TORQUE_QUANTUM, 2**16 * STIFFNESS_QUANTUM, 2**16 * DAMPING_QUANTUM], dtype=np.float32)
_UPPER = np.array([_FLOAT32_MAX, _FLOAT32_MAX, *np.nextafter(_FIXED_END, np.float32(0))]).reshape(5, 1)
_COUNTS_PER_UNIT = np.array([[1.0], [1.0], [1 / TORQUE_QUANTUM], [1 / STIFFNESS_QUANTUM], [1 / DAMPING_QUANTUM]])
_COUNTS_PER_UNIT = _COUNTS_PER_UNIT.astype(np.float32)


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


def checked_fields(command: JointCommand) -> np.ndarray:
    """Position, velocity, torque, stiffness and damping as rows of a (5, 12) float64 array, each fit for the wire.

    Raises:
        FixedPointRangeError: a value is not finite or does not fit; names the joint and the field.
    """
    fields = (command.position, command.velocity, command.torque, command.stiffness, command.damping)
    values = np.array(fields, dtype=np.float64)
    # Written so that NaN, which compares false with everything, is refused as well.
    if not ((values >= _LOWER) & (values <= _UPPER)).all():
        _refuse(values)
    return values


def encode_low_cmd(command: JointCommand) -> bytes:
    """The 614 bytes of `command`; the battery-off byte is always zero.

    Fixed-point fields are truncated toward zero, as the vendor's encoder does (`quantize_gains` tells what arrives).

    Raises:
        FixedPointRangeError: a value is not finite or does not fit; names the joint and the field.
    """
    counts = checked_fields(command).astype(np.float32) * _COUNTS_PER_UNIT
    packet = bytearray(_LOW_CMD_TEMPLATE)
    motors = np.frombuffer(packet, dtype=MOTOR_CMD, count=MOTORS, offset=CMD_MOTORS_AT)
    motors["mode"] = command.mode
    for row, name in enumerate(_COMMAND_FIELDS):
        motors[name] = counts[row]  # a float assigned to an integer field is truncated toward zero
    return seal(packet)


def decode_low_cmd(packet: bytes) -> JointCommand:
    """What the motors read out of 614 bytes.

    Raises:
        PacketLengthError, PacketHeaderError, PacketCrcError: not an intact LowCmd.
        BatteryOffError: its battery-off byte is set.
    """
    require_intact("LowCmd", packet, LOW_CMD.itemsize)
    if packet[2] != LEVEL_LOW:
        raise PacketHeaderError(f"level {LEVEL_LOW:#04x}", f"{packet[2]:#04x}", "Send low-level commands to this port.")
    battery_off = packet[LOW_CMD.fields["battery_off"][1]]  # type: ignore[index]
    if battery_off:
        raise BatteryOffError("a battery-off byte of 0", f"{battery_off:#04x}", "Leave LowCmd.bms alone.")
    motors = np.frombuffer(packet, dtype=MOTOR_CMD, count=MOTORS, offset=CMD_MOTORS_AT)
    return JointCommand(
        mode=motors["mode"].copy(),
        position=motors["position"].copy(),
        velocity=motors["velocity"].copy(),
        torque=motors["torque"] * np.float32(TORQUE_QUANTUM),
        stiffness=motors["stiffness"] * np.float32(STIFFNESS_QUANTUM),
        damping=motors["damping"] * np.float32(DAMPING_QUANTUM),
    )


def encode_low_state(state: RobotState) -> bytes:
    """The 807 bytes a robot in `state` sends; acceleration, raw and reserved fields are zero, as are unused motors.

    Floating-point fields may be non-finite: a twin must be able to send what a broken sensor sends.

    Raises:
        FixedPointRangeError: an integer or fixed-point field cannot hold its value.
    """
    packet = bytearray(LOW_STATE.itemsize)
    packet[:2], packet[2] = HEAD, LEVEL_LOW
    record = np.frombuffer(packet, dtype=LOW_STATE)[0]
    motors = np.frombuffer(packet, dtype=MOTOR_STATE, count=MOTORS, offset=STATE_MOTORS_AT)
    imu, battery = record["imu"], record["battery"]
    imu["quaternion"] = state.orientation_trunk_in_world
    imu["gyroscope"] = state.angular_velocity_trunk_in_trunk
    imu["accelerometer"] = state.accelerometer_trunk_in_trunk
    imu["roll_pitch_yaw"] = state.roll_pitch_yaw
    imu["temperature"] = _fitting("imu_temperature", state.imu_temperature, -(2**7), 2**7)
    motors["mode"] = state.joint_mode
    motors["position"] = state.joint_position
    motors["velocity"] = state.joint_velocity
    torque = np.asarray(state.joint_torque, dtype=np.float32) / np.float32(TORQUE_QUANTUM)
    motors["torque"] = _fitting("joint_torque / TORQUE_QUANTUM", torque, -(2**15), 2**15)
    motors["temperature"] = state.joint_temperature
    battery["soc"] = _fitting("battery_soc_percent", state.battery_soc_percent, 0, 2**8)
    battery["current"] = _fitting("battery_current_ma", state.battery_current_ma, -(2**31), 2**31)
    cells = state.battery_cell_mv // CELL_QUANTUM_MV
    battery["cells"] = _fitting("battery_cell_mv / CELL_QUANTUM_MV", cells, 0, 2**8)
    record["foot_force"] = state.foot_force
    record["tick"] = _fitting("tick_ms", state.tick_ms, 0, 2**32)
    record["remote"] = np.frombuffer(state.remote, dtype=np.uint8)
    return seal(packet)


def decode_low_state(packet: bytes) -> RobotState:
    """What a robot measured, out of 807 bytes.

    Raises:
        PacketLengthError, PacketHeaderError, PacketCrcError: not an intact LowState.
    """
    require_intact("LowState", packet, LOW_STATE.itemsize)
    if packet[2] == LEVEL_HIGH:  # the vendor SDK accepts every other level, so robots may send one
        raise PacketHeaderError(f"a level other than {LEVEL_HIGH:#04x}", f"{packet[2]:#04x}", "Switch sport mode off.")
    record = np.frombuffer(packet, dtype=LOW_STATE)[0]
    motors = np.frombuffer(packet, dtype=MOTOR_STATE, count=MOTORS, offset=STATE_MOTORS_AT)
    imu, battery = record["imu"], record["battery"]
    return RobotState(
        tick_ms=int(record["tick"]),
        orientation_trunk_in_world=imu["quaternion"].copy(),
        angular_velocity_trunk_in_trunk=imu["gyroscope"].copy(),
        accelerometer_trunk_in_trunk=imu["accelerometer"].copy(),
        roll_pitch_yaw=imu["roll_pitch_yaw"].copy(),
        imu_temperature=int(imu["temperature"]),
        joint_position=motors["position"].copy(),
        joint_velocity=motors["velocity"].copy(),
        joint_torque=motors["torque"] * np.float32(TORQUE_QUANTUM),
        joint_temperature=motors["temperature"].copy(),
        joint_mode=motors["mode"].copy(),
        foot_force=record["foot_force"].copy(),
        battery_soc_percent=int(battery["soc"]),
        battery_current_ma=int(battery["current"]),
        battery_cell_mv=battery["cells"].astype(np.int16) * np.int16(CELL_QUANTUM_MV),
        remote=record["remote"].tobytes(),
    )


def quantize_gains(stiffness: np.ndarray, damping: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The gains, (12,) float32 each, that a motor really receives when these (12,) are sent.

    Raises:
        FixedPointRangeError: a gain is not finite, negative, or does not fit.
    """
    zeros = np.zeros(MOTORS)
    mode = np.full(MOTORS, MOTOR_MODE_SERVO, dtype=np.uint8)
    received = decode_low_cmd(encode_low_cmd(JointCommand(mode, zeros, zeros, zeros, stiffness, damping)))
    return received.stiffness, received.damping


def _fitting(name: str, value: Number, begin: int, end: int) -> Number:
    """`value`, scalar or array, if all of it lies within [begin, end)."""
    # Truncation toward zero keeps what lies above begin - 1; NaN compares false and is refused.
    fits = (value > begin - 1) & (value < end)
    if not (fits if isinstance(fits, bool) else fits.all()):
        raise FixedPointRangeError(f"{name} within [{begin}, {end})", repr(value), "Correct the simulated state.")
    return value


def _refuse(values: np.ndarray) -> NoReturn:
    """Raise for the first entry of `values` (5, 12) outside its field's range."""
    row, motor = np.argwhere(~((values >= _LOWER) & (values <= _UPPER)))[0]
    field, joint = _COMMAND_FIELDS[row], load_robot().joint_names[motor]
    raise FixedPointRangeError(
        f"{field} of {joint} within [{_LOWER[row, 0]:.9g}, {_UPPER[row, 0]:.9g}]",
        repr(float(values[row, motor])),
        "Limit the command before it is encoded: on the wire the value would wrap around.",
    )
