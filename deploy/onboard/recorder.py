"""The recorder: every state, command, policy step and event into one MCAP file, at a bounded cost to the loop.

    loop ──► raw records ──► (enough of them, or time is up) ──► queue ──► writer thread: compress, write ──► disk

The loop only ever copies bytes. A slow or full disk costs messages, which are counted; it never costs a tick and never
raises: what went wrong is in the `RecorderReport` at the end.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Protocol

import numpy as np

from deploy.onboard.disk_writer import DiskWriter
from deploy.onboard.mcap_blocks import MessageBlock
from deploy.onboard.record_conversion import message_block
from deploy.onboard.record_layout import RECORDS, pack_command, pack_event, pack_state, pack_tick
from deploy.onboard.target import Mode
from offline_data.log_schema import (
    EVENT,
    LOW_CMD,
    LOW_STATE,
    POLICY_TICK,
    Ending,
    EventKind,
    SessionMetadata,
)

if TYPE_CHECKING:  # as in record_layout
    from deploy.onboard.gate import GateDecision
    from deploy.onboard.pilot import PilotStep
    from deploy.onboard.wire import RobotState

CAPACITIES = {"/low_state": 256, "/low_cmd": 256, "/policy_tick": 32, "/event": 32}
"""Messages a chunk holds of a topic: about half a second at 500 and 50 Hz, whatever `flush_s` says."""

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


class _Batch:
    """One topic's records since the last chunk."""

    def __init__(self, topic: str) -> None:
        self.topic = topic
        self.capacity = CAPACITIES[topic]
        self.records: List[bytes] = []
        self.sequence = 0
        """Number of the next record."""

    def take(self, wall_minus_clock_ns: int) -> MessageBlock:
        """The records as messages; starts over."""
        records = np.frombuffer(b"".join(self.records), RECORDS[self.topic])
        self.records.clear()
        return message_block(self.topic, records, 0, wall_minus_clock_ns)


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
        self._bundle_digest = bytes.fromhex(metadata.bundle_sha256)
        self._wall_minus_clock_ns = time.time_ns() - round(start_s * 1e9)
        self._flush_s, self._next_flush_s = flush_s, start_s + flush_s
        self._newest_s = start_s
        self._states, self._commands = _Batch(LOW_STATE.topic), _Batch(LOW_CMD.topic)
        self._ticks, self._events = _Batch(POLICY_TICK.topic), _Batch(EVENT.topic)
        self._batches = (self._states, self._commands, self._ticks, self._events)
        self._disk = DiskWriter(self.path, metadata, wait_for_disk)
        self._report: Optional[RecorderReport] = None

    def low_state(self, state: RobotState, time_s: float) -> None:
        """See `Recorder.low_state`."""
        self._add(self._states, pack_state(state, time_s, self._states.sequence), time_s)

    def low_cmd(self, decision: GateDecision, mode: Mode, time_s: float, lateness_s: float) -> None:
        """See `Recorder.low_cmd`."""
        self._add(self._commands, pack_command(decision, mode, time_s, lateness_s, self._commands.sequence), time_s)

    def policy_tick(self, step: PilotStep, lateness_s: float) -> None:
        """See `Recorder.policy_tick`."""
        record = pack_tick(step, lateness_s, self._bundle_version, self._bundle_digest, self._ticks.sequence)
        self._add(self._ticks, record, step.time_s)

    def event(self, kind: EventKind, mode: Mode, time_s: float, text: str, episode: int, ending: Ending) -> None:
        """See `Recorder.event`."""
        self._add(self._events, pack_event(kind, mode, time_s, text, episode, ending, self._events.sequence), time_s)

    def close(self) -> RecorderReport:
        """See `Recorder.close`."""
        if self._report is None:
            self._note_drops()
            self._hand_over()
            self._disk.close()
            disk = self._disk
            self._report = RecorderReport(str(self.path), dict(disk.written), dict(disk.dropped), disk.error)
        return self._report

    def _add(self, batch: _Batch, record: bytes, time_s: float) -> None:
        batch.records.append(record)
        batch.sequence += 1
        self._newest_s = time_s
        if len(batch.records) == batch.capacity or time_s >= self._next_flush_s:
            self._next_flush_s = time_s + self._flush_s
            self._hand_over()

    def _note_drops(self) -> None:
        """Say in the log itself what is missing from it, if the disk lets us."""
        lost = [f"{count} of {topic}" for topic, count in self._disk.dropped.items() if count]
        if lost:
            text = "lost " + ", ".join(lost)
            self.event(EventKind.RECORDER_DROPS, Mode.DAMP, self._newest_s, text, NO_EPISODE, Ending.NONE)

    def _hand_over(self) -> None:
        blocks = [batch.take(self._wall_minus_clock_ns) for batch in self._batches if batch.records]
        if blocks:
            self._disk.put(blocks)
