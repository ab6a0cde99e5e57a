"""What a log holds: one table of fields per topic, from which both the ros2msg text and the NumPy dtype are made.

Every message has a fixed size, and every table lists its wide fields first. CDR aligns a field to its own width,
counted from the end of the four-byte encapsulation header, so a table in that order needs no padding anywhere: the
bytes of a message are the bytes of one packed record, Foxglove, PlotJuggler and ROS 2 read them by the schema text,
and `np.frombuffer` reads a whole channel.

    | 00 01 00 00 | monotonic_ns | wall_ns | float32 fields ... | uint32 | int16 | uint8 ... |
      cdr_header    8 bytes        8 bytes

The robot's clocks are wrong and jump, so everything downstream orders and subtracts `monotonic_ns` only; `wall_ns` is
for people.
Joint arrays have the wire's order (`RobotModel.joint_names`), feet that of `RobotModel.foot_names`.
This module runs on the robot: Python 3.8, NumPy only.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np

from robot_configs.errors import Go1Error

FORMAT_VERSION = 1
"""Raised whenever a field is added, removed, moved or changes its meaning."""

PROFILE = "go1"
"""MCAP `profile` and `library` of our files; the reader does not insist on it, the metadata record decides."""

MESSAGE_ENCODING = "cdr"
SCHEMA_ENCODING = "ros2msg"
CDR_LITTLE_ENDIAN = 0x00000100
"""The encapsulation header 00 01 00 00 (plain CDR, little endian), read as a little-endian uint32."""

MAXIMUM_COMMAND_DIM = 16
TEXT_BYTES = 96
METADATA_NAME = "go1_session"

_NUMPY_TYPES = {
    "int64": "<i8",
    "float64": "<f8",
    "float32": "<f4",
    "uint32": "<u4",
    "int32": "<i4",
    "int16": "<i2",
    "int8": "i1",
    "uint8": "u1",
}


class SchemaError(Go1Error):
    """A field table, a message or a metadata record does not fit the log format."""


class Ending(enum.IntEnum):
    """Why an episode ended; the distinctions that learning depends on."""

    NONE = 0
    """It has not ended, or the event is not an ending."""
    TERMINATED = 1
    """The task failed (a fall, a fault of the robot): the value after it is zero."""
    TRUNCATED = 2
    """The planned time was over: the value after it is that of the state it stopped in."""
    INTERVENTION = 3
    """A person or a safety limit took over while the robot was still up."""
    STOPPED = 4
    """The recording ended for a reason that says nothing about the task (end of program, of file, of battery)."""


class EventKind(enum.IntEnum):
    """What an `/event` message reports."""

    MODE_CHANGE = 0
    FAULT = 1
    STOP = 2
    MARK = 3
    """An operator's mark, with free text."""
    EPISODE_START = 4
    EPISODE_END = 5
    BUNDLE_SWAP = 6
    RECORDER_DROPS = 7
    """The recorder lost messages; the text says how many of which topic."""


@dataclass(frozen=True)
class Field:
    """One fixed-size field of a message."""

    name: str
    kind: str
    """ros2msg primitive: float32, uint8, ..."""
    count: int
    """Elements; 1 is a scalar."""
    meaning: str
    """Unit and frame, written into the schema text as a comment."""

    @property
    def ros2msg(self) -> str:
        """The field's line of the ros2msg definition."""
        array = "" if self.count == 1 else f"[{self.count}]"
        return f"{self.kind}{array} {self.name}  # {self.meaning}"

    @property
    def numpy_field(self) -> tuple[object, ...]:
        """The field's entry of the NumPy dtype."""
        base = _NUMPY_TYPES[self.kind]
        return (self.name, base) if self.count == 1 else (self.name, base, (self.count,))


@dataclass(frozen=True)
class Channel:
    """One topic: its name, its message type, its fields in wire order (widest first)."""

    topic: str
    schema_name: str
    fields: tuple[Field, ...]

    def __post_init__(self) -> None:
        widths = [np.dtype(_NUMPY_TYPES[field.kind]).itemsize for field in self.fields]
        for index in range(1, len(widths)):
            if widths[index] > widths[index - 1]:
                raise SchemaError(
                    expected=f"the fields of {self.topic} from wide to narrow, so that CDR needs no padding",
                    found=f"{self.fields[index].name!r} ({widths[index]} bytes) after one of {widths[index - 1]} bytes",
                    remedy="Move it up the table.",
                )

    @property
    def dtype(self) -> np.dtype:
        """Packed dtype of one message, encapsulation header included."""
        return np.dtype([("cdr_header", "<u4")] + [field.numpy_field for field in self.fields])

    @property
    def ros2msg(self) -> str:
        """The message definition that goes into the MCAP schema record."""
        return "\n".join(field.ros2msg for field in self.fields) + "\n"

    def zeros(self, count: int) -> np.ndarray:
        """`count` messages of zeros with a valid header; `.tobytes()` of one is its MCAP payload."""
        messages = np.zeros(count, dtype=self.dtype)
        messages["cdr_header"] = CDR_LITTLE_ENDIAN
        return messages


_STAMPS = (
    Field("monotonic_ns", "int64", 1, "monotonic clock of the machine that logged it [ns]"),
    Field("wall_ns", "int64", 1, "wall clock [ns since 1970]; wrong on the robot, for people only"),
)

LOW_STATE = Channel(
    "/low_state",
    "go1/msg/LowState",
    _STAMPS
    + (
        Field("orientation_trunk_in_world", "float32", 4, "IMU quaternion, w x y z"),
        Field("angular_velocity_trunk_in_trunk", "float32", 3, "gyroscope [rad/s]"),
        Field("specific_force_imu_in_trunk", "float32", 3, "accelerometer [m/s^2], +9.81 on z at rest"),
        Field("joint_position", "float32", 12, "[rad]"),
        Field("joint_velocity", "float32", 12, "[rad/s]"),
        Field("joint_torque", "float32", 12, "the motors' own estimate [Nm]"),
        Field("sequence", "uint32", 1, "counts the received states; a step of more than one is a loss"),
        Field("tick_ms", "uint32", 1, "the motor controller's clock [ms]"),
        Field("battery_current_ma", "int32", 1, "[mA]"),
        Field("foot_force", "int16", 4, "raw airbag counts; unknown offset per foot, drifting"),
        Field("motor_mode", "uint8", 12, "0x0A servo, 0x00 damping, 0x08 overheated"),
        Field("motor_temperature", "int8", 12, "[degC]"),
        Field("imu_temperature", "int8", 1, "[degC]"),
        Field("battery_soc", "uint8", 1, "state of charge [%]"),
        Field("wireless_remote", "uint8", 40, "remote control, as received"),
    ),
)

LOW_CMD = Channel(
    "/low_cmd",
    "go1/msg/LowCmd",
    _STAMPS
    + (
        Field("joint_position_target", "float32", 12, "[rad]"),
        Field("joint_velocity_target", "float32", 12, "[rad/s]"),
        Field("stiffness", "float32", 12, "Kp [Nm/rad], as the fixed point carries it"),
        Field("damping", "float32", 12, "Kd [Nm s/rad], as the fixed point carries it"),
        Field("torque_feedforward", "float32", 12, "[Nm]"),
        Field("lateness_s", "float32", 1, "how long after its deadline the command left [s]"),
        Field("sequence", "uint32", 1, "counts the sent commands; a step of more than one is a loss"),
        Field("reasons", "uint32", 1, "bit set of the gate's interventions on this command"),
        Field("mode", "uint8", 1, "the gate's mode (deploy.onboard.target.Mode)"),
        Field("motor_mode", "uint8", 12, "0x0A servo, 0x00 damping"),
    ),
)

POLICY_TICK = Channel(
    "/policy_tick",
    "go1/msg/PolicyTick",
    _STAMPS
    + (
        Field("state_monotonic_ns", "int64", 1, "stamp of the /low_state the signals were read from [ns]"),
        Field("orientation_trunk_in_world", "float32", 4, "w x y z, the policy's input"),
        Field("angular_velocity_trunk_in_trunk", "float32", 3, "[rad/s], the policy's input"),
        Field("joint_position", "float32", 12, "[rad], the policy's input"),
        Field("joint_velocity", "float32", 12, "[rad/s], the policy's input"),
        Field("command", "float32", MAXIMUM_COMMAND_DIM, "physical units; the first command_dim entries count"),
        Field("noise", "float32", 12, "standard normal, zeros when deterministic"),
        Field("action", "float32", 12, "the sampled action, policy units and policy joint order"),
        Field("action_mean", "float32", 12, "policy units and policy joint order"),
        Field("action_std", "float32", 12, "policy units and policy joint order"),
        Field("joint_target", "float32", 12, "[rad], what the policy asked of the gate"),
        Field("log_prob", "float32", 1, "of the sampled action under the policy"),
        Field("inference_s", "float32", 1, "duration of the policy's step [s]"),
        Field("lateness_s", "float32", 1, "how long after its deadline the tick began [s]"),
        Field("tick", "uint32", 1, "policy step in this episode, from zero"),
        Field("episode", "uint32", 1, "episode in this session, from zero"),
        Field("bundle_version", "uint32", 1, "version counter of the bundle that acted"),
        Field("command_dim", "uint8", 1, "entries of command in use"),
        Field("bundle_sha256", "uint8", 32, "digest of the bundle that acted"),
    ),
)

EVENT = Channel(
    "/event",
    "go1/msg/Event",
    _STAMPS
    + (
        Field("episode", "uint32", 1, "episode in this session, from zero"),
        Field("kind", "uint8", 1, ", ".join(f"{kind.value} {kind.name.lower()}" for kind in EventKind)),
        Field("mode", "uint8", 1, "the gate's mode after the event (deploy.onboard.target.Mode)"),
        Field("ending", "uint8", 1, ", ".join(f"{ending.value} {ending.name.lower()}" for ending in Ending)),
        Field("text", "uint8", TEXT_BYTES, "UTF-8, padded with zeros"),
    ),
)

CHANNELS: dict[str, Channel] = {channel.topic: channel for channel in (LOW_STATE, LOW_CMD, POLICY_TICK, EVENT)}


def encode_text(text: str) -> np.ndarray:
    """UTF-8 bytes of `text` in a (96,) uint8 array, cut between characters where it is too long."""
    encoded = text.encode("utf-8")[:TEXT_BYTES].decode("utf-8", errors="ignore").encode("utf-8")
    return np.frombuffer(encoded.ljust(TEXT_BYTES, b"\0"), dtype=np.uint8)


def decode_text(text: np.ndarray) -> str:
    """The string in a (96,) uint8 array; bytes that are no UTF-8 show as replacement characters."""
    return text.astype(np.uint8).tobytes().split(b"\0", 1)[0].decode("utf-8", errors="replace")


@dataclass(frozen=True)
class SessionMetadata:
    """The MCAP metadata record `go1_session`, written when the file is opened: what makes a log readable on its own."""

    session_id: str
    """Names the run; equal in all files of one run."""
    contract_json: str
    """Canonical JSON of the policy contract (`PolicyContract.to_json`)."""
    bundle_sha256: str
    """Hex digest of the bundle the session started with."""
    robot_sha256: str
    """Hex digest of the robot configuration (`RobotModel.sha256`)."""
    settings_json: str
    """JSON of the runner's resolved settings."""
    format_version: int = FORMAT_VERSION

    def to_record(self) -> dict[str, str]:
        """The record's map; MCAP metadata holds strings only."""
        return {name: str(value) for name, value in asdict(self).items()}

    @classmethod
    def from_record(cls, record: Mapping[str, str]) -> SessionMetadata:
        """Inverse of `to_record`; raises SchemaError for a missing key or another format version."""
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if name not in record]
        if missing:
            raise SchemaError(
                expected=f"the keys {names} in the metadata record {METADATA_NAME!r}",
                found=f"{sorted(record)}, without {missing}",
                remedy="The file was not written by this project's recorder; it cannot be read as one of its logs.",
            )
        if record["format_version"] != str(FORMAT_VERSION):
            raise SchemaError(
                expected=f"log format version {FORMAT_VERSION}",
                found=repr(record["format_version"]),
                remedy="Read the log with the release that wrote it.",
            )
        strings = {name: record[name] for name in names if name != "format_version"}
        return cls(format_version=FORMAT_VERSION, **strings)
