"""The recorder process: takes the records of all processes out of their rings and keeps the session's log.

    gate ──► ring ─┐
                   ├─► every 20 ms: take, convert, write, release ──► <session>.mcap ──► sync (a thread, every 80 ms)
    pilot ─► ring ─┘

A record leaves its ring only after the file has it, so the ring is the one queue: a slow, full or read-only disk fills
it, and what then finds it full is counted by the process that lost it. Killed, the recorder loses nothing: the next one
goes on in `<session>_part2.mcap`, perhaps with a chunk that the first part has too (`offline_data.log_reader` drops
repeated sequence numbers). It ends when no ring has a writer any more, or when told to by SIGTERM, and drains first.

    python -m deploy.onboard.recorder_process JOB.json
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from deploy.onboard.log_file import Disk, LogFile, SystemDisk
from deploy.onboard.record_conversion import message_block
from deploy.onboard.record_layout import RECORDS, pack_event
from deploy.onboard.record_ring import RingReader
from deploy.onboard.recorder import NO_EPISODE, RecorderReport
from deploy.onboard.ring_memory import RingCounts
from deploy.onboard.target import Mode
from offline_data.log_schema import CHANNELS, EVENT, Ending, EventKind, SessionMetadata

WRITE_PERIOD_S = 0.02
"""From one write to the next [s]."""

CHUNK_RECORDS = 256
"""Records of a topic in one chunk at most: after a stall the rings are full."""

DESERTED_S = 0.5
"""How long no ring must have had a writer for the session to be over [s]: who ends it in the place of a killed process
still has something to say."""

FINISHING_S = 2.0
"""How long a disk that refuses is asked again when the session is over [s]."""

NOTE_PERIOD_S = 1.0
"""Losses are noted in the log at most this often [s]."""

SOURCE = "recorder"
"""Name of the recorder's own messages in the log."""


@dataclass(frozen=True)
class RecorderJob:
    """What a recorder process has to do."""

    directory: str
    """Where the log goes; created if missing."""
    metadata: SessionMetadata
    rings: Tuple[Tuple[str, str], ...]
    """(name, path) of every ring, in the same order for every recorder of a session: channel numbers follow it."""
    wall_minus_clock_ns: int
    """What to add to the rings' clock for the wall clock, for people [ns]."""

    def to_json(self) -> str:
        """For `from_json` in another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> RecorderJob:
        """Inverse of `to_json`."""
        content = json.loads(text)
        metadata = SessionMetadata(**content.pop("metadata"))
        rings = tuple((name, path) for name, path in content.pop("rings"))
        return cls(metadata=metadata, rings=rings, **content)


class LogKeeper:
    """Moves records from the rings into the session's file.

    Raises:
        RingError: a ring is missing, or another recorder reads it.
    """

    def __init__(self, job: RecorderJob, disk: Disk) -> None:
        self._job, self._disk = job, disk
        self._readers = [RingReader(Path(path)) for _, path in job.rings]
        self._file: Optional[LogFile] = None
        self._notes: List[bytes] = []
        self._first_note = self._notes_made = 0
        self._losses_noted, self._next_note_s = 0, 0.0
        self._error = ""

    @property
    def has_writers(self) -> bool:
        """Whether a process is there that may write into a ring."""
        return any(reader.has_writer for reader in self._readers)

    @property
    def was_written(self) -> bool:
        """Whether a process ever was."""
        return any(reader.was_written for reader in self._readers)

    def drain(self) -> bool:
        """Bring what is in the rings into the file; False if the disk refused: it will be asked again."""
        if time.monotonic() >= self._next_note_s:
            self._note_losses()
        return self._tried(self._write_all)

    def finish(self, patience_s: float) -> RecorderReport:
        """Drain, add the index, sync and close; a disk that refuses is asked again for `patience_s` [s]."""
        deadline_s = time.monotonic() + patience_s
        self._insist(self._write_all, deadline_s)
        self._note_losses()
        if self._insist(self._write_all, deadline_s) and self._file is not None:
            self._file.add_index()
            self._insist(self._file.flush, deadline_s)
        if self._file is not None:
            self._file.close()
            self._error = self._error or self._file.sync_error
        return self._report()

    def _write_all(self) -> None:
        file = self._opened_file()
        while file.pending or self._add_chunk(file):
            file.flush()
            # Now, and not before: whoever takes over from a killed recorder finds them still in the rings.
            for reader in self._readers:
                reader.release()

    def _opened_file(self) -> LogFile:
        """The session's file, made at the first call that the disk allows; a later recorder's is the next part."""
        part = 0
        directory, session_id = Path(self._job.directory), self._job.metadata.session_id
        while self._file is None:
            part += 1
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / (f"{session_id}.mcap" if part == 1 else f"{session_id}_part{part}.mcap")
            sources = [name for name, _ in self._job.rings] + [SOURCE]
            try:
                self._file = LogFile(path, self._job.metadata, sources, self._disk)
            except FileExistsError:
                continue
            # The parts' own notes are no repetitions of each other.
            self._first_note = part << 16
        return self._file

    def _add_chunk(self, file: LogFile) -> bool:
        blocks = [
            message_block(topic, records, source, self._job.wall_minus_clock_ns)
            for source, reader in enumerate(self._readers)
            for topic, records in reader.take(CHUNK_RECORDS)
        ]
        if self._notes:
            notes = np.frombuffer(bytearray().join(self._notes), RECORDS[EVENT.topic])
            notes["sequence"] += self._first_note
            blocks.append(message_block(EVENT.topic, notes, len(self._readers), self._job.wall_minus_clock_ns))
            self._notes.clear()
        file.add(blocks)
        return file.pending

    def _note_losses(self) -> None:
        """Say in the log itself what is missing from it, as soon as the disk lets us."""
        now_s = time.monotonic()
        lost = {topic: counts.lost for topic, counts in self._counts().items() if counts.lost}
        if sum(lost.values()) != self._losses_noted:
            text = "lost " + ", ".join(f"{count} of {topic}" for topic, count in lost.items())
            kind, number = EventKind.RECORDER_DROPS, self._notes_made
            self._notes.append(pack_event(kind, Mode.DAMP, now_s, text, NO_EPISODE, Ending.NONE, number))
            self._notes_made += 1
            self._losses_noted = sum(lost.values())
        self._next_note_s = now_s + NOTE_PERIOD_S

    def _tried(self, action: Callable[[], None]) -> bool:
        try:
            action()
        except OSError as error:
            self._error = self._error or str(error)
            return False
        return True

    def _insist(self, action: Callable[[], None], deadline_s: float) -> bool:
        while not self._tried(action):
            if time.monotonic() > deadline_s:
                return False
            time.sleep(WRITE_PERIOD_S)
        return True

    def _counts(self) -> Dict[str, RingCounts]:
        """Of every topic, over all rings."""
        of_rings = [reader.counts() for reader in self._readers]
        return {topic: RingCounts(*map(sum, zip(*(counts[topic] for counts in of_rings)))) for topic in CHANNELS}

    def _report(self) -> RecorderReport:
        counts = self._counts()
        for reader in self._readers:
            reader.close()
        return RecorderReport(
            path=str(self._file.path) if self._file else "",
            messages={topic: count.logged for topic, count in counts.items()},
            dropped={topic: count.lost + count.waiting for topic, count in counts.items()},
            error=self._error,
        )


def keep_log(
    job: RecorderJob, should_stop: Callable[[], bool], disk: Optional[Disk] = None, deserted_s: float = DESERTED_S
) -> RecorderReport:
    """Record until no ring has a writer any more, or `should_stop`; then drain and close.

    Rings that never had a writer are waited for as long as the parent process lives.

    Args:
        deserted_s: how long no ring must have had a writer [s].

    Returns:
        What the session's recorders did so far, all of its parts together; `path` is this recorder's part. What the
        rings still hold at the end counts as dropped.

    Raises:
        RingError: a ring is missing, or another recorder reads it.
    """
    keeper, parent = LogKeeper(job, SystemDisk() if disk is None else disk), os.getppid()
    next_s = inhabited_s = time.monotonic()
    while not should_stop():
        # Looked at before the last look into the rings: what was written until then is in there.
        if keeper.has_writers or not (keeper.was_written or os.getppid() != parent):
            inhabited_s = time.monotonic()
        elif time.monotonic() - inhabited_s >= deserted_s:
            break
        keeper.drain()
        next_s = max(next_s + WRITE_PERIOD_S, time.monotonic())
        time.sleep(max(0.0, next_s - time.monotonic()))
    return keeper.finish(FINISHING_S)


def main(arguments: Sequence[str]) -> int:
    """Do the job in the file named on the command line; the report goes to standard output as JSON."""
    stopped: List[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    # A terminal sends its Ctrl-C to every process; the recorder is to see the others end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = RecorderJob.from_json(Path(arguments[0]).read_text(encoding="utf-8"))
    report = keep_log(job, lambda: bool(stopped))
    print(json.dumps(report.to_dict()))
    return 1 if report.error else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
