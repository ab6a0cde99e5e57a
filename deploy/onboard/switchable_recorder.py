"""A recorder that a person starts and stops while the robot runs: one file a recording, numbered through the folder.

    logs/session_0001_20260314T101500_5f2c9a01.mcap
    logs/session_0002_...

Opening a file and waiting for a disk take time that the loop does not have: both happen on threads of their own, and
the loop only ever swaps a reference.
"""

from __future__ import annotations

import re
import threading
import time
import uuid
from pathlib import Path
from typing import Callable, Dict, List, Optional

from deploy.onboard.gate import GateDecision
from deploy.onboard.pilot import PilotStep
from deploy.onboard.recorder import NO_EPISODE, NoRecorder, Recorder, RecorderReport
from deploy.onboard.target import Mode
from deploy.onboard.wire import RobotState
from offline_data.log_schema import Ending, EventKind

_NUMBERED = re.compile(r"session_(\d+)_.*\.mcap")

OpenRecorder = Callable[[], Recorder]
"""Makes the recorder of a new file; may take its time, may raise OSError."""


def next_session_id(directory: Path) -> str:
    """A name for a new log: its number follows the highest in `directory`, so that a folder is continued.

    The date is for people (the robot's clock is wrong); the random part keeps two machines' folders apart when they are
    merged.
    """
    matches = (_NUMBERED.fullmatch(path.name) for path in directory.glob("session_*.mcap"))
    numbers = [int(match.group(1)) for match in matches if match]
    date = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    return f"session_{max(numbers, default=0) + 1:04d}_{date}_{uuid.uuid4().hex[:8]}"


class SwitchableRecorder:
    """Passes everything on to the recorder of the moment, or to none.

    A recording that starts or stops while the robot walks holds a part of an episode: a stop closes it as `stopped`,
    and a start is seen by its first policy tick, which is not number zero.
    """

    def __init__(self, open_recorder: OpenRecorder, record_at_once: bool) -> None:
        """With `record_at_once` the first file is opened here and now, where nothing moves yet.

        Raises:
            OSError: it could not be.
        """
        self._open_recorder = open_recorder
        self._nobody: Recorder = NoRecorder()
        self._recorder: Recorder = open_recorder() if record_at_once else self._nobody
        self._opening: Optional[threading.Thread] = None
        self._opened: Optional[Recorder] = None
        self._closing: List[threading.Thread] = []
        self._reports: List[RecorderReport] = []
        self._episode = NO_EPISODE
        self.error = ""
        """Why a recording could not be started; empty if it could."""

    @property
    def recording(self) -> bool:
        """Whether messages go into a file now."""
        return self._recorder is not self._nobody

    def toggle(self, time_s: float, mode: Mode) -> None:
        """Start recording, or stop it; takes effect at once or, while a file is being opened, a few ticks later."""
        if self.recording:
            self._stop(time_s, mode)
        elif self._opening is None:
            self.error = ""
            self._opening = threading.Thread(target=self._open, name="open_recording", daemon=True)
            self._opening.start()

    def mark(self, time_s: float, mode: Mode, text: str) -> None:
        """Write an operator's mark."""
        self._recorder.event(EventKind.MARK, mode, time_s, text, self._episode, Ending.NONE)

    def low_state(self, state: RobotState, time_s: float) -> None:
        """See `Recorder.low_state`."""
        self._recorder.low_state(state, time_s)

    def low_cmd(self, decision: GateDecision, mode: Mode, time_s: float, lateness_s: float) -> None:
        """See `Recorder.low_cmd`."""
        if self._opening is not None and not self._opening.is_alive():
            self._adopt(time_s, mode)
        self._recorder.low_cmd(decision, mode, time_s, lateness_s)

    def policy_tick(self, step: PilotStep, lateness_s: float) -> None:
        """See `Recorder.policy_tick`."""
        self._recorder.policy_tick(step, lateness_s)

    def event(self, kind: EventKind, mode: Mode, time_s: float, text: str, episode: int, ending: Ending) -> None:
        """See `Recorder.event`."""
        if kind is EventKind.EPISODE_START:
            self._episode = episode
        self._recorder.event(kind, mode, time_s, text, episode, ending)
        if kind is EventKind.EPISODE_END:
            self._episode = NO_EPISODE

    def close(self) -> RecorderReport:
        """Finish every file; the report is the sum of theirs. Closing twice gives the same report."""
        if self._opening is not None:
            self._opening.join()
            self._opening = None
        for late in (self._opened, self._recorder):
            if late is not None and late is not self._nobody:
                self._reports.append(late.close())
        self._opened, self._recorder = None, self._nobody
        for thread in self._closing:
            thread.join()
        self._closing.clear()
        return _sum(self._reports)

    def _open(self) -> None:
        try:
            self._opened = self._open_recorder()
        except OSError as error:
            self.error = f"recording not started: {error}"

    def _adopt(self, time_s: float, mode: Mode) -> None:
        """The new file is open: from now on it gets everything."""
        self._opening = None
        if self._opened is not None:
            self._recorder, self._opened = self._opened, None
            self._recorder.event(EventKind.MODE_CHANGE, mode, time_s, "recording started", self._episode, Ending.NONE)

    def _stop(self, time_s: float, mode: Mode) -> None:
        recorder, self._recorder = self._recorder, self._nobody
        if self._episode != NO_EPISODE:
            recorder.event(EventKind.EPISODE_END, mode, time_s, "recording stopped", self._episode, Ending.STOPPED)
        recorder.event(EventKind.STOP, mode, time_s, "recording stopped", NO_EPISODE, Ending.NONE)
        thread = threading.Thread(target=lambda: self._reports.append(recorder.close()), name="close_recording")
        self._closing.append(thread)
        thread.start()


def _sum(reports: List[RecorderReport]) -> RecorderReport:
    messages: Dict[str, int] = {}
    dropped: Dict[str, int] = {}
    for report in reports:
        for total, counts in ((messages, report.messages), (dropped, report.dropped)):
            for topic, count in counts.items():
                total[topic] = total.get(topic, 0) + count
    paths = ", ".join(sorted(report.path for report in reports if report.path))
    errors = "; ".join(report.error for report in reports if report.error)
    return RecorderReport(paths, messages, dropped, errors)
