"""The recorder: every state, command, policy step and event into one MCAP file, at a bounded cost to the loop.

    loop ──► rows of preallocated arrays ──► (block full) ──► queue ──► writer thread: compress, write, flush ──► disk

The loop only ever copies rows. A slow or full disk costs messages, which are counted; it never costs a tick and never
raises: what went wrong is in the `RecorderReport` at the end.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Protocol

import numpy as np

from deploy.onboard.disk_writer import DiskWriter
from deploy.onboard.gate import GateDecision
from deploy.onboard.mcap_blocks import MessageBlock, channel_ids, message_records
from deploy.onboard.pilot import PilotStep
from deploy.onboard.target import Mode
from deploy.onboard.wire import RobotState
from offline_data import log_schema
from offline_data.log_schema import Ending, EventKind, SessionMetadata
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM

CAPACITIES = {"/low_state": 256, "/low_cmd": 256, "/policy_tick": 32, "/event": 32}
"""Messages a block holds: about half a second at 500 and 50 Hz, whatever `flush_s` says."""


NO_EPISODE = 2**32 - 1
"""`episode` of an event that belongs to none."""


@dataclass(frozen=True)
class RecorderReport:
    """What a recorder did."""

    path: str
    """The file; empty where nothing was recorded."""
    messages: Dict[str, int]
    """Messages handed to the file, by topic."""
    dropped: Dict[str, int]
    """Messages lost because the disk was slow or failed, by topic."""
    error: str
    """Why writing failed; empty if it did not."""

    def to_dict(self) -> Dict[str, Any]:
        """Plain values for a summary."""
        return asdict(self)


class Recorder(Protocol):
    """Takes down what happens. No method raises for a reason outside the program."""

    def low_state(self, state: RobotState, time_s: float) -> None:
        """A state was received."""
        ...

    def low_cmd(self, decision: GateDecision, mode: Mode, time_s: float, lateness_s: float) -> None:
        """A command was sent."""
        ...

    def policy_tick(self, step: PilotStep, lateness_s: float) -> None:
        """The policy made a step."""
        ...

    def event(self, kind: EventKind, mode: Mode, time_s: float, text: str, episode: int, ending: Ending) -> None:
        """Something happened that is worth a line."""
        ...

    def close(self) -> RecorderReport:
        """Finish the file; closing twice gives the same report."""
        ...


class NoRecorder:
    """Records nothing."""

    def low_state(self, state: RobotState, time_s: float) -> None:
        """Nothing."""

    def low_cmd(self, decision: GateDecision, mode: Mode, time_s: float, lateness_s: float) -> None:
        """Nothing."""

    def policy_tick(self, step: PilotStep, lateness_s: float) -> None:
        """Nothing."""

    def event(self, kind: EventKind, mode: Mode, time_s: float, text: str, episode: int, ending: Ending) -> None:
        """Nothing."""

    def close(self) -> RecorderReport:
        """An empty report."""
        return RecorderReport(path="", messages={}, dropped={}, error="")


def nanoseconds(time_s: float) -> int:
    """A clock time as the log's `monotonic_ns`; equal times give equal stamps, so records can be joined on them."""
    return round(time_s * 1e9)


class _ChannelBuffer:
    """One topic's rows, filled from the front."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.channel_id = channel_ids()[topic]
        self.records = message_records(log_schema.CHANNELS[topic], self.channel_id, CAPACITIES[topic])
        payload = self.records["payload"]
        # Views of the columns, looked up once: indexing a structured array by name costs more than the copy itself.
        self.columns: Dict[str, np.ndarray] = {name: payload[name] for name in payload.dtype.names or ()}
        self.sequences, self.log_times = self.records["sequence"], self.records["log_time"]
        self.publish_times = self.records["publish_time"]
        self.capacity = len(self.records)
        self.used = 0
        self.sequence = 0

    def begin_row(self, monotonic_ns: int, wall_ns: int) -> int:
        """Stamp the next row; returns its number."""
        row = self.used
        self.used = row + 1
        self.sequences[row] = self.sequence
        self.sequence += 1
        self.log_times[row] = self.publish_times[row] = wall_ns
        self.columns["monotonic_ns"][row] = monotonic_ns
        self.columns["wall_ns"][row] = wall_ns
        return row

    def take(self) -> MessageBlock:
        """Copy the used rows out and start over."""
        used = self.records[: self.used]
        block = MessageBlock(self.channel_id, used["log_time"].astype(np.int64), used.tobytes())
        self.used = 0
        return block


class McapRecorder:
    """Writes `<session_id>.mcap`.

    Args:
        directory: created if missing.
        metadata: makes the log readable on its own.
        bundle_version: version counter of the bundle that acts.
        start_s: the loop's clock now; with the wall clock of this moment it dates every message.
        flush_s: a chunk is handed to the writer at least this often [s of the loop's clock].
        wait_for_disk: block the loop instead of dropping when the disk is behind (lockstep: virtual time can wait).

    Raises:
        OSError: the file exists already or cannot be created (at that time the motors are not on yet).
    """

    def __init__(
        self,
        directory: Path,
        metadata: SessionMetadata,
        bundle_version: int,
        start_s: float,
        flush_s: float = 0.2,
        wait_for_disk: bool = False,
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{metadata.session_id}.mcap"
        self._bundle_version = bundle_version
        self._bundle_digest = np.frombuffer(bytes.fromhex(metadata.bundle_sha256), np.uint8)
        self._wall_minus_clock_ns = time.time_ns() - nanoseconds(start_s)
        self._flush_s, self._next_flush_s = flush_s, start_s + flush_s
        self._newest_s = start_s
        self._states, self._commands = _ChannelBuffer("/low_state"), _ChannelBuffer("/low_cmd")
        self._ticks, self._events = _ChannelBuffer("/policy_tick"), _ChannelBuffer("/event")
        self._buffers = (self._states, self._commands, self._ticks, self._events)
        self._disk = DiskWriter(self.path, metadata, wait_for_disk)
        self._report: Optional[RecorderReport] = None

    def low_state(self, state: RobotState, time_s: float) -> None:
        """See `Recorder.low_state`."""
        buffer = self._states
        row, columns = self._begin_row(buffer, time_s), buffer.columns
        columns["orientation_trunk_in_world"][row] = state.orientation_trunk_in_world
        columns["angular_velocity_trunk_in_trunk"][row] = state.angular_velocity_trunk_in_trunk
        columns["specific_force_imu_in_trunk"][row] = state.accelerometer_trunk_in_trunk
        columns["joint_position"][row] = state.joint_position
        columns["joint_velocity"][row] = state.joint_velocity
        columns["joint_torque"][row] = state.joint_torque
        columns["sequence"][row] = buffer.sequence - 1
        columns["tick_ms"][row] = state.tick_ms
        columns["battery_current_ma"][row] = state.battery_current_ma
        columns["foot_force"][row] = state.foot_force
        columns["motor_mode"][row] = state.joint_mode
        columns["motor_temperature"][row] = state.joint_temperature
        columns["imu_temperature"][row] = state.imu_temperature
        columns["battery_soc"][row] = state.battery_soc_percent
        columns["wireless_remote"][row] = np.frombuffer(state.remote, np.uint8)
        self._end_row(buffer, time_s)

    def low_cmd(self, decision: GateDecision, mode: Mode, time_s: float, lateness_s: float) -> None:
        """See `Recorder.low_cmd`."""
        buffer, command = self._commands, decision.command
        row, columns = self._begin_row(buffer, time_s), buffer.columns
        columns["joint_position_target"][row] = command.position
        columns["joint_velocity_target"][row] = command.velocity
        columns["stiffness"][row] = command.stiffness
        columns["damping"][row] = command.damping
        columns["torque_feedforward"][row] = command.torque
        columns["lateness_s"][row] = lateness_s
        columns["sequence"][row] = buffer.sequence - 1
        columns["reasons"][row] = decision.reasons
        columns["mode"][row] = mode
        columns["motor_mode"][row] = command.mode
        self._end_row(buffer, time_s)

    def policy_tick(self, step: PilotStep, lateness_s: float) -> None:
        """See `Recorder.policy_tick`."""
        buffer, output, state = self._ticks, step.output, step.state
        row, columns = self._begin_row(buffer, step.time_s), buffer.columns
        columns["state_monotonic_ns"][row] = nanoseconds(step.state_time_s)
        columns["orientation_trunk_in_world"][row] = state.orientation_trunk_in_world
        columns["angular_velocity_trunk_in_trunk"][row] = state.angular_velocity_trunk_in_trunk
        columns["joint_position"][row] = state.joint_position
        columns["joint_velocity"][row] = state.joint_velocity
        columns["command"][row, : len(step.command)] = step.command
        columns["noise"][row] = step.noise
        columns["action"][row] = output.action
        columns["action_mean"][row] = output.action_mean
        columns["action_std"][row] = output.action_std
        columns["joint_target"][row] = output.joint_target
        columns["log_prob"][row] = output.log_prob
        columns["inference_s"][row] = step.inference_s
        columns["lateness_s"][row] = lateness_s
        columns["tick"][row] = step.tick
        columns["episode"][row] = step.episode
        columns["bundle_version"][row] = self._bundle_version
        columns["command_dim"][row] = len(step.command)
        columns["bundle_sha256"][row] = self._bundle_digest
        self._end_row(buffer, step.time_s)

    def event(self, kind: EventKind, mode: Mode, time_s: float, text: str, episode: int, ending: Ending) -> None:
        """See `Recorder.event`."""
        buffer = self._events
        row, columns = self._begin_row(buffer, time_s), buffer.columns
        columns["episode"][row] = episode
        columns["kind"][row] = kind
        columns["mode"][row] = mode
        columns["ending"][row] = ending
        columns["text"][row] = log_schema.encode_text(text)
        self._end_row(buffer, time_s)

    def close(self) -> RecorderReport:
        """See `Recorder.close`."""
        if self._report is None:
            self._note_drops()
            self._hand_over()
            self._disk.close()
            disk = self._disk
            self._report = RecorderReport(str(self.path), dict(disk.written), dict(disk.dropped), disk.error)
        return self._report

    def _begin_row(self, buffer: _ChannelBuffer, time_s: float) -> int:
        self._newest_s = time_s
        monotonic_ns = nanoseconds(time_s)
        return buffer.begin_row(monotonic_ns, monotonic_ns + self._wall_minus_clock_ns)

    def _end_row(self, buffer: _ChannelBuffer, time_s: float) -> None:
        if buffer.used == buffer.capacity or time_s >= self._next_flush_s:
            self._next_flush_s = time_s + self._flush_s
            self._hand_over()

    def _note_drops(self) -> None:
        """Say in the log itself what is missing from it, if the disk lets us."""
        lost = [f"{count} of {topic}" for topic, count in self._disk.dropped.items() if count]
        if lost:
            text = "lost " + ", ".join(lost)
            self.event(EventKind.RECORDER_DROPS, Mode.DAMP, self._newest_s, text, NO_EPISODE, Ending.NONE)

    def _hand_over(self) -> None:
        _quantize_gains(self._commands)
        blocks = [buffer.take() for buffer in self._buffers if buffer.used]
        if blocks:
            self._disk.put(blocks)


def _quantize_gains(commands: _ChannelBuffer) -> None:
    """Round the rows' gains as the wire's fixed point does, a whole block at a time."""
    for name, quantum in (("stiffness", STIFFNESS_QUANTUM), ("damping", DAMPING_QUANTUM)):
        column = commands.columns[name][: commands.used]
        column[:] = np.floor(column / quantum) * quantum
