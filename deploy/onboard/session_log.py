"""The log of a session in several processes: a ring for each who speaks, and the recorder that empties them."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import List, Optional, Sequence

from deploy.onboard.child_process import PARENT_DIED, Done, Reporter
from deploy.onboard.exchange import Report
from deploy.onboard.recorder import NO_EPISODE, NoRecorder, Recorder, RecorderReport
from deploy.onboard.recorder_process import RecorderJob, keep_log
from deploy.onboard.ring_memory import create_ring
from deploy.onboard.ring_recorder import RingRecorder
from deploy.onboard.session import RunSettings, make_metadata
from deploy.onboard.shared_slot import SHARED_MEMORY
from deploy.onboard.target import Mode
from offline_data.log_schema import Ending, EventKind
from policy.bundle import Bundle
from robot_configs.robot import RobotModel

GATE_RING, PILOT_RING = "gate", "pilot"
"""In this order: it numbers the channels of the log."""


class SessionLog:
    """Rings, made before the processes are, and what each process does with them.

    Args:
        log_dir: where the log goes; None records nothing.
    """

    def __init__(self, log_dir: Optional[Path], bundle: Bundle, robot: RobotModel, settings: RunSettings) -> None:
        self.recorded = log_dir is not None
        self._bundle = bundle
        self._rings: List[Path] = []
        if log_dir is None:
            return
        metadata = make_metadata(bundle, robot, settings)
        self._job = RecorderJob(
            directory=str(log_dir),
            metadata=metadata,
            rings=tuple(
                (name, f"{SHARED_MEMORY}/go1_{metadata.session_id}_{name}.ring") for name in (GATE_RING, PILOT_RING)
            ),
            wall_minus_clock_ns=time.time_ns() - time.monotonic_ns(),
        )
        for _, path in self._job.rings:
            create_ring(Path(path))
            self._rings.append(Path(path))

    def open_gate_recorder(self) -> Recorder:
        """For the gate's process to write into."""
        return self._open_recorder(0)

    def open_pilot_recorder(self) -> Recorder:
        """For the pilot's process to write into."""
        return self._open_recorder(1)

    def _open_recorder(self, source: int) -> Recorder:
        if not self.recorded:
            return NoRecorder()
        return RingRecorder(self._rings[source], self._bundle.sha256, self._bundle.version)

    def close_for_gate(self, reason: str, report: Optional[Report], time_s: float) -> None:
        """Write what a killed gate can not any more: that it has died, and with it the episode and the session.

        Args:
            report: the gate's last; None if there was none.
        """
        recorder = self.open_gate_recorder()
        recorder.event(EventKind.FAULT, Mode.FAULT, time_s, reason, NO_EPISODE, Ending.NONE)
        if report is not None and report.mode is Mode.WALK:
            recorder.event(EventKind.EPISODE_END, Mode.FAULT, time_s, reason, report.episode, Ending.STOPPED)
        recorder.event(EventKind.STOP, Mode.FAULT, time_s, reason, NO_EPISODE, Ending.NONE)
        recorder.close()

    def run_recorder(self, reporter: Reporter) -> None:
        """Body of the recorder's process: ends when gate and pilot have, with a complete log.

        It outlives a supervisor that dies, and then cleans up in its place.
        """
        stopped: List[int] = []
        orphaned: List[int] = []
        signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
        signal.signal(PARENT_DIED, lambda number, frame: orphaned.append(number))
        reporter.ready()
        report = keep_log(self._job, lambda: bool(stopped))
        reporter.send(Done(report))
        if orphaned and not report.error:
            self.clean_up()  # who would have done it is dead

    def report(self, parts: Sequence[RecorderReport]) -> RecorderReport:
        """What the session's recorders did, the last of them first asked; they count for all before them."""
        return parts[-1] if parts else NoRecorder().close()

    def clean_up(self) -> None:
        """Remove the rings, in which nothing is left."""
        for ring in self._rings:
            try:
                ring.unlink()
            except FileNotFoundError:
                continue
