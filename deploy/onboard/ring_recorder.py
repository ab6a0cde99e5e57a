"""The recorder of a process that must not wait: every record goes into a ring in shared memory, nothing else happens.

`recorder_process` takes the records out and writes the file. A process has one ring of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from deploy.onboard.gate import GateDecision
from deploy.onboard.pilot import PilotStep
from deploy.onboard.record_layout import pack_command, pack_event, pack_state, pack_tick
from deploy.onboard.record_ring import RingWriter
from deploy.onboard.recorder import RecorderReport
from deploy.onboard.target import Mode
from deploy.onboard.wire import RobotState
from offline_data.log_schema import EVENT, LOW_CMD, LOW_STATE, POLICY_TICK, Ending, EventKind


class RingRecorder:
    """A `Recorder` that fills the ring at `ring`.

    Args:
        ring: made with `ring_memory.create_ring`; a new process may go on where a killed one stopped.
        bundle_sha256, bundle_version: of the bundle that acts.

    Raises:
        RingError: no ring there, or one of another release.
        RingBusyError: another process writes it.
    """

    def __init__(self, ring: Path, bundle_sha256: str, bundle_version: int) -> None:
        self._writer = RingWriter(ring)
        self._bundle_digest, self._bundle_version = bytes.fromhex(bundle_sha256), bundle_version
        topics = self._writer.topics
        self._states, self._commands = topics[LOW_STATE.topic], topics[LOW_CMD.topic]
        self._ticks, self._events = topics[POLICY_TICK.topic], topics[EVENT.topic]
        self._report: Optional[RecorderReport] = None

    def low_state(self, state: RobotState, time_s: float) -> None:
        """See `Recorder.low_state`."""
        self._states.write(pack_state(state, time_s, self._states.sequence))

    def low_cmd(self, decision: GateDecision, mode: Mode, time_s: float, lateness_s: float) -> None:
        """See `Recorder.low_cmd`."""
        self._commands.write(pack_command(decision, mode, time_s, lateness_s, self._commands.sequence))

    def policy_tick(self, step: PilotStep, lateness_s: float) -> None:
        """See `Recorder.policy_tick`."""
        record = pack_tick(step, lateness_s, self._bundle_version, self._bundle_digest, self._ticks.sequence)
        self._ticks.write(record)

    def event(self, kind: EventKind, mode: Mode, time_s: float, text: str, episode: int, ending: Ending) -> None:
        """See `Recorder.event`."""
        self._events.write(pack_event(kind, mode, time_s, text, episode, ending, self._events.sequence))

    def close(self) -> RecorderReport:
        """Say that nothing more will come; the report counts what went into the ring, not what reached the file."""
        if self._report is None:
            topics = self._writer.topics.items()
            self._report = RecorderReport(
                path="",
                messages={topic: writer.committed for topic, writer in topics},
                dropped={topic: writer.lost for topic, writer in topics},
                error="",
            )
            self._writer.close()
        return self._report
