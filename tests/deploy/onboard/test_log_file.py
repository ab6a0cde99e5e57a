"""The recorder's file: whole again after every refusal of the disk, synced without waiting for it."""

from __future__ import annotations

import errno
import threading
from pathlib import Path
from typing import Optional

import numpy as np
import pytest

from deploy.onboard.log_file import LogFile, SystemDisk
from deploy.onboard.record_conversion import message_block
from deploy.onboard.record_layout import RECORDS
from offline_data.log_reader import read_log
from offline_data.log_schema import SessionMetadata

METADATA = SessionMetadata("session", "{}", "ab" * 32, "cd" * 32, "{}")
PATIENCE_S = 30.0


class UnreliableDisk(SystemDisk):
    """A disk that takes `room` bytes in all, at most `bite` at a time, and syncs when it is let."""

    def __init__(self) -> None:
        self.room: Optional[int] = None
        self.bite = 2**30
        self.sync_error: Optional[OSError] = None
        self.may_sync, self.syncing = threading.Event(), threading.Event()
        self.may_sync.set()
        self.syncs = 0

    def write(self, descriptor: int, content: bytes, offset: int) -> int:
        taken = min(len(content), self.bite)
        if self.room is not None:
            taken = min(taken, self.room - offset)
            if taken <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(descriptor, content[:taken], offset)

    def sync(self, descriptor: int) -> None:
        self.syncing.set()
        assert self.may_sync.wait(PATIENCE_S)
        if self.sync_error:
            raise self.sync_error
        super().sync(descriptor)
        self.syncs += 1


def states(first: int, count: int) -> np.ndarray:
    rows = np.zeros(count, RECORDS["/low_state"])
    rows["sequence"] = np.arange(first, first + count)
    rows["time_s"] = 100.0 + 0.002 * rows["sequence"]
    return rows


def add_states(file: LogFile, first: int, count: int) -> None:
    file.add([message_block("/low_state", states(first, count), 0, 0)])


def numbers(path: Path) -> list[int]:
    return read_log(path).low_state["sequence"].tolist()


def test_what_was_flushed_is_in_the_file_at_once(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "a.mcap", METADATA, ("gate",), SystemDisk())
    add_states(file, 0, 10)
    assert file.pending
    file.flush()
    assert not file.pending
    assert numbers(file.path) == list(range(10))
    file.close()


def test_a_full_disk_is_asked_again_and_the_file_is_whole(tmp_path: Path) -> None:
    disk = UnreliableDisk()
    file = LogFile(tmp_path / "a.mcap", METADATA, ("gate",), disk)
    add_states(file, 0, 10)
    file.flush()
    disk.room = file.path.stat().st_size + 100
    add_states(file, 10, 10)
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            file.flush()
    assert file.path.stat().st_size == disk.room  # the torn beginning of the second chunk
    disk.room = None
    file.flush()
    file.add_index()
    file.flush()
    file.close()
    log = read_log(file.path)
    assert log.low_state["sequence"].tolist() == list(range(20))
    assert log.complete and not log.damages


def test_a_disk_that_takes_a_few_bytes_at_a_time(tmp_path: Path) -> None:
    disk = UnreliableDisk()
    disk.bite = 7
    file = LogFile(tmp_path / "a.mcap", METADATA, ("gate",), disk)
    add_states(file, 0, 3)
    file.flush()
    file.close()
    assert numbers(file.path) == [0, 1, 2]


def test_writes_go_on_while_a_sync_takes_its_time(tmp_path: Path) -> None:
    disk = UnreliableDisk()
    disk.may_sync.clear()
    file = LogFile(tmp_path / "a.mcap", METADATA, ("gate",), disk)
    add_states(file, 0, 1)
    file.flush()
    assert disk.syncing.wait(PATIENCE_S)
    for number in range(1, 20):
        add_states(file, number, 1)
        file.flush()
    assert numbers(file.path) == list(range(20))
    assert disk.syncs == 0
    disk.may_sync.set()
    file.close()


def test_closing_syncs_what_was_written_last(tmp_path: Path) -> None:
    disk = UnreliableDisk()
    file = LogFile(tmp_path / "a.mcap", METADATA, ("gate",), disk)
    file.close()
    assert disk.syncs >= 1


def test_a_failed_sync_is_reported_and_stops_nothing(tmp_path: Path) -> None:
    disk = UnreliableDisk()
    disk.sync_error = OSError(errno.EIO, "Input/output error")
    file = LogFile(tmp_path / "a.mcap", METADATA, ("gate",), disk)
    add_states(file, 0, 5)
    file.flush()
    file.close()
    assert "Input/output error" in file.sync_error
    assert numbers(file.path) == list(range(5))


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        LogFile(tmp_path / "a.mcap", METADATA, ("gate",), SystemDisk())
    assert (tmp_path / "a.mcap").read_bytes() == b"precious"
