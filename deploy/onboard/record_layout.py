"""What the loop hands over to be recorded: one flat record of raw bytes per state, command, policy step and event.

The loop has a few microseconds for a record, and converting a dozen arrays to the log's types costs more than that. So
a record holds the arrays' own bytes as they are, float64 commands included, and whoever writes the file converts a
whole batch at once (`record_conversion`):

    loop ──► pack_*: bytes ──► a ring or a list ──► `record_conversion.message_block`: MCAP message records ──► file

These layouts live no longer than a process and are never stored; the log's format is `offline_data.log_schema`.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Dict, Sequence

import numpy as np

from deploy.onboard.packet_layout import MOTORS, REMOTE_BYTES
from offline_data.log_schema import (
    EVENT,
    LOW_CMD,
    LOW_STATE,
    MAXIMUM_COMMAND_DIM,
    POLICY_TICK,
    TEXT_BYTES,
    Ending,
    EventKind,
    encode_text,
)

# Only named in signatures: the recorder process, which must start quickly, has no use for gate, pilot and onnxruntime.
if TYPE_CHECKING:
    from deploy.onboard.gate import GateDecision
    from deploy.onboard.pilot import PilotStep
    from deploy.onboard.target import Mode
    from deploy.onboard.wire import RobotState

_JOINTS = (MOTORS,)

# Every layout begins with the clock's time and the channel's count of messages, lost ones included.
_HEAD = [("time_s", "<f8"), ("sequence", "<u4")]
_STATE_ARRAYS = [
    ("orientation_trunk_in_world", "<f4", (4,)),
    ("angular_velocity_trunk_in_trunk", "<f4", (3,)),
    ("specific_force_imu_in_trunk", "<f4", (3,)),
    ("joint_position", "<f4", _JOINTS),
    ("joint_velocity", "<f4", _JOINTS),
    ("joint_torque", "<f4", _JOINTS),
]
_COMMAND_ARRAYS = [
    ("joint_position_target", "<f8", _JOINTS),
    ("joint_velocity_target", "<f8", _JOINTS),
    ("stiffness", "<f8", _JOINTS),
    ("damping", "<f8", _JOINTS),
    ("torque_feedforward", "<f8", _JOINTS),
]
_TICK_ARRAYS = [
    ("orientation_trunk_in_world", "<f4", (4,)),
    ("angular_velocity_trunk_in_trunk", "<f4", (3,)),
    ("joint_position", "<f4", _JOINTS),
    ("joint_velocity", "<f4", _JOINTS),
    ("noise", "<f4", _JOINTS),
    ("action", "<f4", _JOINTS),
    ("action_mean", "<f4", _JOINTS),
    ("action_std", "<f4", _JOINTS),
    ("joint_target", "<f4", _JOINTS),
]

RECORDS: Dict[str, np.dtype] = {
    LOW_STATE.topic: np.dtype(
        _HEAD
        + [("tick_ms", "<u4"), ("battery_current_ma", "<i4"), ("imu_temperature", "i1"), ("battery_soc", "u1")]
        + _STATE_ARRAYS
        + [
            ("foot_force", "<i2", (4,)),
            ("motor_mode", "u1", _JOINTS),
            ("motor_temperature", "i1", _JOINTS),
            ("wireless_remote", "u1", (REMOTE_BYTES,)),
        ]
    ),
    LOW_CMD.topic: np.dtype(
        _HEAD
        + [("reasons", "<u4"), ("lateness_s", "<f4"), ("mode", "u1")]
        + _COMMAND_ARRAYS
        + [("motor_mode", "u1", _JOINTS)]
    ),
    POLICY_TICK.topic: np.dtype(
        _HEAD
        + [
            ("state_time_s", "<f8"),
            ("log_prob", "<f4"),
            ("inference_s", "<f4"),
            ("lateness_s", "<f4"),
            ("tick", "<u4"),
            ("episode", "<u4"),
            ("bundle_version", "<u4"),
            ("command_dim", "u1"),
            ("command", "<f4", (MAXIMUM_COMMAND_DIM,)),
            ("bundle_sha256", "u1", (32,)),
        ]
        + _TICK_ARRAYS
    ),
    EVENT.topic: np.dtype(
        _HEAD + [("episode", "<u4"), ("kind", "u1"), ("mode", "u1"), ("ending", "u1"), ("text", "u1", (TEXT_BYTES,))]
    ),
}
"""Layout of a raw record by topic."""

_STATE_SCALARS = struct.Struct("<dIIibB")
_COMMAND_SCALARS = struct.Struct("<dIIfB")
_TICK_SCALARS = struct.Struct(f"<dIdfffIIIB{4 * MAXIMUM_COMMAND_DIM}s32s")
_EVENT = struct.Struct(f"<dIIBBB{TEXT_BYTES}s")
_STATE_BYTES, _COMMAND_BYTES = RECORDS[LOW_STATE.topic].itemsize, RECORDS[LOW_CMD.topic].itemsize
_TICK_BYTES = RECORDS[POLICY_TICK.topic].itemsize


def pack_state(state: RobotState, time_s: float, sequence: int) -> bytes:
    """The `/low_state` record of a state received at `time_s`."""
    scalars = _STATE_SCALARS.pack(
        time_s,
        sequence,
        state.tick_ms,
        state.battery_current_ma,
        state.imu_temperature,
        state.battery_soc_percent,
    )
    record = b"".join(
        (
            scalars,
            state.orientation_trunk_in_world.tobytes(),
            state.angular_velocity_trunk_in_trunk.tobytes(),
            state.accelerometer_trunk_in_trunk.tobytes(),
            state.joint_position.tobytes(),
            state.joint_velocity.tobytes(),
            state.joint_torque.tobytes(),
            state.foot_force.tobytes(),
            state.joint_mode.tobytes(),
            state.joint_temperature.tobytes(),
            state.remote,
        )
    )
    # Shapes and integer types are the record's own promise; what is left to find out is whether a float is a float32.
    # One length tells, where asking six arrays would cost as much as copying them.
    if len(record) == _STATE_BYTES:
        return record
    arrays = (
        state.orientation_trunk_in_world,
        state.angular_velocity_trunk_in_trunk,
        state.accelerometer_trunk_in_trunk,
        state.joint_position,
        state.joint_velocity,
        state.joint_torque,
    )
    rest = (state.foot_force, state.joint_mode, state.joint_temperature)
    return b"".join((scalars, _bytes_as("<f4", arrays), *(array.tobytes() for array in rest), state.remote))


def pack_command(decision: GateDecision, mode: Mode, time_s: float, lateness_s: float, sequence: int) -> bytes:
    """The `/low_cmd` record of a command sent at `time_s`; gains as asked, not yet as the fixed point carries them."""
    command = decision.command
    scalars = _COMMAND_SCALARS.pack(time_s, sequence, decision.reasons, lateness_s, mode)
    record = b"".join(
        (
            scalars,
            command.position.tobytes(),
            command.velocity.tobytes(),
            command.stiffness.tobytes(),
            command.damping.tobytes(),
            command.torque.tobytes(),
            command.mode.tobytes(),
        )
    )
    if len(record) == _COMMAND_BYTES:
        return record
    arrays = (command.position, command.velocity, command.stiffness, command.damping, command.torque)
    return b"".join((scalars, _bytes_as("<f8", arrays), command.mode.tobytes()))


def pack_tick(step: PilotStep, lateness_s: float, bundle_version: int, bundle_digest: bytes, sequence: int) -> bytes:
    """The `/policy_tick` record of a step; `bundle_digest` is the 32 bytes of the acting bundle's SHA-256."""
    output, state, command = step.output, step.state, step.command
    command_bytes = command.tobytes()
    if len(command_bytes) != 4 * len(command):
        command_bytes = _bytes_as("<f4", (command,))
    scalars = _TICK_SCALARS.pack(
        step.time_s,
        sequence,
        step.state_time_s,
        output.log_prob,
        step.inference_s,
        lateness_s,
        step.tick,
        step.episode,
        bundle_version,
        len(command),
        command_bytes,
        bundle_digest,
    )
    record = b"".join(
        (
            scalars,
            state.orientation_trunk_in_world.tobytes(),
            state.angular_velocity_trunk_in_trunk.tobytes(),
            state.joint_position.tobytes(),
            state.joint_velocity.tobytes(),
            step.noise.tobytes(),
            output.action.tobytes(),
            output.action_mean.tobytes(),
            output.action_std.tobytes(),
            output.joint_target.tobytes(),
        )
    )
    if len(record) == _TICK_BYTES:
        return record
    of_state = (
        state.orientation_trunk_in_world,
        state.angular_velocity_trunk_in_trunk,
        state.joint_position,
        state.joint_velocity,
    )
    of_policy = (step.noise, output.action, output.action_mean, output.action_std, output.joint_target)
    return scalars + _bytes_as("<f4", of_state + of_policy)


def pack_event(
    kind: EventKind, mode: Mode, time_s: float, text: str, episode: int, ending: Ending, sequence: int
) -> bytes:
    """The `/event` record."""
    return _EVENT.pack(time_s, sequence, episode, kind, mode, ending, encode_text(text).tobytes())


def _bytes_as(dtype: str, arrays: Sequence[np.ndarray]) -> bytes:
    return b"".join([np.asarray(array, dtype).tobytes() for array in arrays])
