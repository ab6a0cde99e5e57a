"""The recorder process: what was committed reaches the log, whoever is killed and whatever the disk does."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.onboard.log_file import SystemDisk
from deploy.onboard.record_ring import RingReader
from deploy.onboard.recorder_process import LogKeeper, RecorderJob, keep_log
from deploy.onboard.ring_memory import RingBusyError, create_ring
from deploy.onboard.ring_recorder import RingRecorder
from deploy.onboard.target import Mode
from offline_data.log_reader import read_log
from offline_data.log_schema import Ending, EventKind, SessionMetadata, decode_text
from tests.deploy.onboard.test_log_file import UnreliableDisk

ROOT = Path(__file__).resolve().parents[3]
METADATA = SessionMetadata("session", "{}", "ab" * 32, "cd" * 32, "{}")
SLOTS = {"/low_state": 64, "/low_cmd": 64, "/policy_tick": 16, "/event": 16}
PATIENCE_S = 60.0


class Writer:
    """A gate of sorts: records numbered states into its ring."""

    def __init__(self, ring: Path, make_state: Any) -> None:
        create_ring(ring, SLOTS)
        self.ring, self._state, self.number = ring, make_state(), 0
        self.recorder = RingRecorder(ring, METADATA.bundle_sha256, 1)

    def states(self, count: int) -> None:
        for _ in range(count):
            state = replace(self._state, tick_ms=2 * self.number)
            self.recorder.low_state(state, 100.0 + 0.002 * self.number)
            self.number += 1


@pytest.fixture
def writer(tmp_path: Path, make_state: Any) -> Iterator[Writer]:
    gate = Writer(tmp_path / "gate.ring", make_state)
    yield gate
    gate.recorder.close()


@pytest.fixture
def job(tmp_path: Path) -> RecorderJob:
    return RecorderJob(str(tmp_path / "logs"), METADATA, (("gate", str(tmp_path / "gate.ring")),), 0)


def log_of(job: RecorderJob) -> Any:
    return read_log(Path(job.directory) / "session.mcap")


def test_a_job_survives_its_way_through_json(job: RecorderJob) -> None:
    assert RecorderJob.from_json(job.to_json()) == job


def test_states_reach_the_log(writer: Writer, job: RecorderJob) -> None:
    keeper = LogKeeper(job, SystemDisk())
    for _ in range(10):
        writer.states(20)
        assert keeper.drain()
    report = keeper.finish(PATIENCE_S)
    assert (report.messages["/low_state"], report.dropped["/low_state"], report.error) == (200, 0, "")
    log = log_of(job)
    assert log.complete and not log.damages and log.path == Path(report.path)
    assert log.low_state["tick_ms"].tolist() == list(range(0, 400, 2))
    assert log.low_state["sequence"].tolist() == list(range(200))


def test_two_processes_meet_in_one_log_in_order_of_time(tmp_path: Path, make_state: Any, job: RecorderJob) -> None:
    gate, pilot = Writer(tmp_path / "gate.ring", make_state), Writer(tmp_path / "pilot.ring", make_state)
    both = replace(job, rings=(*job.rings, ("pilot", str(tmp_path / "pilot.ring"))))
    keeper = LogKeeper(both, SystemDisk())
    times_s = [100.0, 100.1, 100.2, 100.3, 100.4]
    for number, time_s in enumerate(times_s):
        source = (gate, pilot)[number % 2]
        source.recorder.event(EventKind.MARK, Mode.WALK, time_s, str(number), 0, Ending.NONE)
    keeper.drain()
    assert keeper.finish(PATIENCE_S).messages["/event"] == 5
    assert [decode_text(text) for text in log_of(job).event["text"]] == ["0", "1", "2", "3", "4"]
    gate.recorder.close()
    pilot.recorder.close()


def test_a_killed_recorder_is_replaced_without_loss(writer: Writer, job: RecorderJob) -> None:
    """As if killed after the write and before the release: the next part begins with a chunk that is in the first."""
    keeper = LogKeeper(job, SystemDisk())
    writer.states(30)
    keeper.drain()
    writer.states(10)
    file = keeper._opened_file()
    keeper._add_chunk(file)
    file.flush()
    file.close()
    for ring in keeper._readers:
        ring.close()
    successor = LogKeeper(job, SystemDisk())
    writer.states(5)
    successor.drain()
    report = successor.finish(PATIENCE_S)
    assert report.path.endswith("session_part2.mcap")
    assert report.messages["/low_state"] == 45  # of the session, not of the part
    log = log_of(job)
    assert log.low_state["sequence"].tolist() == list(range(45))
    assert log.complete
    assert [damage.what for damage in log.damages] == ["session.mcap: the file ends without a footer"]
    assert len(read_log(Path(report.path)).low_state) == 15


def test_a_full_disk_costs_what_the_ring_cannot_hold_and_nothing_else(writer: Writer, job: RecorderJob) -> None:
    disk = UnreliableDisk()
    keeper = LogKeeper(job, disk)
    writer.states(50)
    assert keeper.drain()
    disk.room = 0
    writer.states(20)
    assert not keeper.drain()
    writer.states(60)  # 64 slots, 20 of them taken but not released
    assert not keeper.drain()
    disk.room = None
    assert keeper.drain()
    writer.states(1)
    keeper._next_note_s = 0.0
    keeper.drain()
    report = keeper.finish(PATIENCE_S)
    assert (report.messages["/low_state"], report.dropped["/low_state"]) == (115, 16)
    assert "No space left" in report.error
    log = log_of(job)
    assert log.low_state["tick_ms"].tolist() == [2 * number for number in (*range(114), 130)]
    assert log.low_state["sequence"].tolist() == [*range(114), 130]
    assert [decode_text(text) for text in log.event["text"]] == ["lost 16 of /low_state"]
    assert log.complete and not log.damages


def test_a_disk_that_stays_full_leaves_a_count_of_everything(writer: Writer, job: RecorderJob) -> None:
    disk = UnreliableDisk()
    keeper = LogKeeper(job, disk)
    writer.states(40)
    keeper.drain()
    disk.room = 0
    writer.states(100)
    keeper.drain()
    report = keeper.finish(patience_s=0.0)
    assert (report.messages["/low_state"], report.dropped["/low_state"]) == (40, 100)
    assert not log_of(job).complete
    assert log_of(job).low_state["sequence"].tolist() == list(range(40))


class StallingDisk(SystemDisk):
    """A disk whose writes hang until they are let go."""

    def __init__(self) -> None:
        self.released, self.hanging = threading.Event(), threading.Event()

    def write(self, descriptor: int, content: bytes, offset: int) -> int:
        self.hanging.set()
        assert self.released.wait(PATIENCE_S)
        return super().write(descriptor, content, offset)


def test_a_write_that_hangs_costs_only_what_finds_the_ring_full(writer: Writer, job: RecorderJob) -> None:
    disk = StallingDisk()
    keeper = LogKeeper(job, disk)
    writer.states(10)
    drain = threading.Thread(target=keeper.drain)
    drain.start()
    assert disk.hanging.wait(PATIENCE_S)
    writer.states(54 + 9)  # 64 slots; the ten are not released before they are in the file
    disk.released.set()
    drain.join()
    report = keeper.finish(PATIENCE_S)
    assert (report.messages["/low_state"], report.dropped["/low_state"], report.error) == (64, 9, "")
    assert log_of(job).low_state["sequence"].tolist() == list(range(64))


def test_a_folder_that_cannot_be_written_yet(writer: Writer, job: RecorderJob) -> None:
    """Read-only, not mounted: asked for again and again, while the ring holds what it can."""
    folder = Path(job.directory)
    folder.write_text("in the way of the folder")
    keeper = LogKeeper(job, SystemDisk())
    writer.states(40)
    assert not keeper.drain()
    folder.unlink()
    assert keeper.drain()
    report = keeper.finish(PATIENCE_S)
    assert (report.messages["/low_state"], report.dropped["/low_state"]) == (40, 0)
    assert "File exists" in report.error
    assert len(log_of(job).low_state) == 40


def test_two_recorders_in_a_row_do_not_overwrite(writer: Writer, job: RecorderJob) -> None:
    paths = []
    for _ in range(3):
        writer.states(10)
        paths.append(Path(keep_log(job, lambda: True).path).name)
    assert paths == ["session.mcap", "session_part2.mcap", "session_part3.mcap"]
    assert log_of(job).low_state["sequence"].tolist() == list(range(30))


class Recorder:
    """The real process."""

    def __init__(self, job: RecorderJob, folder: Path) -> None:
        (folder / "job.json").write_text(job.to_json())
        self.process = subprocess.Popen(
            [sys.executable, "-m", "deploy.onboard.recorder_process", str(folder / "job.json")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_until_written(self, path: Path) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not (path.exists() and path.stat().st_size):
            assert time.monotonic() < end_s and self.process.poll() is None
            time.sleep(0.01)

    def report(self) -> dict[str, Any]:
        output, _ = self.process.communicate(timeout=PATIENCE_S)
        return dict(json.loads(output))


@pytest.fixture
def recorder(writer: Writer, job: RecorderJob, tmp_path: Path) -> Iterator[Recorder]:
    writer.states(10)
    process = Recorder(job, tmp_path)
    process.wait_until_written(Path(job.directory) / "session.mcap")
    yield process
    process.process.kill()
    process.process.wait()


def test_the_process_ends_when_its_writer_has_gone(writer: Writer, job: RecorderJob, recorder: Recorder) -> None:
    with pytest.raises(RingBusyError, match=f"process {recorder.process.pid}"):
        RingReader(writer.ring)
    writer.states(10)
    recorder.process.send_signal(signal.SIGINT)  # Ctrl-C in the terminal goes to every process; it must not listen
    writer.recorder.close()
    # Somebody else has the last word; the recorder does not leave at once.
    last = RingRecorder(writer.ring, METADATA.bundle_sha256, 1)
    last.event(EventKind.STOP, Mode.FAULT, 101.0, "the gate was killed", 0, Ending.NONE)
    last.close()
    report = recorder.report()
    assert (report["messages"]["/low_state"], report["dropped"]["/low_state"], report["error"]) == (20, 0, "")
    assert report["messages"]["/event"] == 1
    assert log_of(job).complete


def test_the_process_drains_before_it_obeys(writer: Writer, job: RecorderJob, recorder: Recorder) -> None:
    writer.states(10)
    recorder.process.send_signal(signal.SIGTERM)
    assert recorder.report()["messages"]["/low_state"] == 20
    assert recorder.process.returncode == 0
    assert log_of(job).low_state["sequence"].tolist() == list(range(20))


def test_the_process_killed_while_it_records(
    writer: Writer, job: RecorderJob, recorder: Recorder, tmp_path: Path
) -> None:
    writer.states(10)
    recorder.process.kill()
    recorder.process.wait()
    writer.states(10)
    successor = Recorder(job, tmp_path)
    successor.wait_until_written(Path(job.directory) / "session_part2.mcap")
    writer.recorder.close()
    assert successor.report()["messages"]["/low_state"] == 30
    assert np.array_equal(log_of(job).low_state["sequence"], np.arange(30))
