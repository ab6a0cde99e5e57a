"""Slots in shared memory: what is read was written, whole, whatever happens to whom at which instant."""

from __future__ import annotations

import mmap
import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.onboard import shared_slot
from deploy.onboard.shared_slot import CELLS, SHARED_MEMORY, SharedSlotError, SlotReader, SlotWriter, create_slot

LAYOUT = np.dtype([("count", "<u8"), ("values", "<f8", (50,))])


@pytest.fixture
def descriptor() -> Iterator[int]:
    slot = create_slot(LAYOUT)
    yield slot
    os.close(slot)


def record(count: int) -> np.ndarray:
    """Record in which every value tells the count."""
    content = np.zeros((), LAYOUT)
    content["count"], content["values"] = count, count
    return content


def test_what_was_written_last_is_read(descriptor: int) -> None:
    writer, reader = SlotWriter(descriptor, LAYOUT), SlotReader(descriptor, LAYOUT)
    assert reader.read() is None
    assert reader.newest_number() == 0
    for count in range(1, 3 * CELLS):
        writer.write(record(count))
        found = reader.read()
        assert found is not None
        assert (found.number, found.record["count"], set(found.record["values"])) == (count, count, {float(count)})
        assert reader.read(newer_than=count) is None
    assert reader.newest_number() == 3 * CELLS - 1


def test_where_everything_is(descriptor: int) -> None:
    """A header of 64 bytes, then four cells of whole cache lines: 16 bytes and a record of 408 take seven of 64."""
    writer = SlotWriter(descriptor, LAYOUT)
    for count in range(1, 8):
        writer.write(record(count))
    content = os.pread(descriptor, 1_000_000, 0)
    assert len(content) == 64 + 4 * 448
    assert content[:12] == b"GO1SLOT\0\x01\0\0\0"
    assert struct.unpack_from("<Q", content, 16) == (408,)
    for cell, count in enumerate((4, 5, 6, 7)):
        start = 64 + 448 * cell
        assert struct.unpack_from("<Q", content, start) == (count,)
        assert content[start + 16 : start + 448] == record(count).tobytes() + bytes(24)


@pytest.mark.parametrize(("record_bytes", "lines"), [(1, 1), (48, 1), (49, 2), (112, 2), (113, 3)])
def test_a_cell_takes_as_many_lines_as_it_needs(record_bytes: int, lines: int) -> None:
    slot = create_slot(np.dtype([("bytes", "u1", (record_bytes,))]))
    assert os.fstat(slot).st_size == 64 + 4 * 64 * lines
    os.close(slot)


def test_a_reader_that_is_overtaken_looks_three_times(descriptor: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that it saw numbered is overwritten before it looks: it begins anew twice, and then has waited enough."""
    writer, reader = SlotWriter(descriptor, LAYOUT), SlotReader(descriptor, LAYOUT)
    writer.write(record(1))
    look, overtakes = shared_slot._numbers, [0]

    def look_and_be_overtaken(*place: Any) -> list[int]:
        found = look(*place)
        if overtakes[0]:
            overtakes[0] -= 1
            for _ in range(4):
                writer.write(record(1))
        return found

    monkeypatch.setattr(shared_slot, "_numbers", look_and_be_overtaken)
    for overtakes[0], expected in ((1, 5), (2, 13), (3, None)):
        found = reader.read()
        assert (None if found is None else found.number) == expected


def test_what_is_newer_than_another_is_above_it(descriptor: int) -> None:
    writer, reader = SlotWriter(descriptor, LAYOUT), SlotReader(descriptor, LAYOUT)
    for count in range(1, 4):
        writer.write(record(count))
    found = reader.read(newer_than=2)
    assert found is not None and found.number == 3
    assert reader.read(newer_than=3) is None
    assert reader.read(newer_than=100) is None


def test_a_new_writer_goes_on_where_the_old_one_stopped(descriptor: int) -> None:
    SlotWriter(descriptor, LAYOUT).write(record(7))
    SlotWriter(descriptor, LAYOUT).write(record(8))
    found = SlotReader(descriptor, LAYOUT).read(newer_than=1)
    assert found is not None
    assert (found.number, found.record["count"]) == (2, 8)


def test_a_damaged_record_is_passed_over_for_the_one_before(descriptor: int) -> None:
    """Any byte of the newest cell: number, seal or record, as a writer killed half way leaves them."""
    writer, reader = SlotWriter(descriptor, LAYOUT), SlotReader(descriptor, LAYOUT)
    writer.write(record(1))
    writer.write(record(2))
    spare = range(12, 16)
    with mmap.mmap(descriptor, 0) as memory:
        start = memory.find(record(2).tobytes()) - 16
        for damaged in range(16 + LAYOUT.itemsize):
            memory[start + damaged] ^= 0x10
            found = reader.read()
            assert found is not None
            assert found.record["count"] == (2 if damaged in spare else 1), f"byte {damaged}"
            memory[start + damaged] ^= 0x10


def test_a_reader_cannot_write(descriptor: int) -> None:
    reader = SlotReader(descriptor, LAYOUT)
    with pytest.raises(TypeError, match="readonly"):
        reader._memory[0:1] = b"x"


def test_the_memory_has_no_name_and_is_gone_with_its_last_user() -> None:
    before = set(Path(SHARED_MEMORY).iterdir())
    slot = create_slot(LAYOUT)
    assert set(Path(SHARED_MEMORY).iterdir()) <= before
    assert os.fstat(slot).st_nlink == 0
    os.close(slot)


def test_another_layout_is_refused(descriptor: int) -> None:
    other = np.dtype([("count", "<u8"), ("other", "<f8", (50,))])
    for side in (SlotReader, SlotWriter):
        with pytest.raises(SharedSlotError, match="same version"):
            side(descriptor, other)


@pytest.mark.parametrize("first", [b"\0", b"\xff"])
def test_something_else_is_refused(tmp_path: Path, first: bytes) -> None:
    (tmp_path / "file").write_bytes(first + bytes(64 + 4 * 448 - 1))
    descriptor = os.open(tmp_path / "file", os.O_RDWR)
    for side in (SlotReader, SlotWriter):
        with pytest.raises(SharedSlotError, match="begin with"):
            side(descriptor, LAYOUT)
    os.close(descriptor)


@pytest.mark.parametrize("more", [-1, 1])
def test_a_slot_of_another_size_is_refused(descriptor: int, more: int) -> None:
    os.truncate(descriptor, 64 + 4 * 448 + more)
    with pytest.raises(SharedSlotError, match=f"found {64 + 4 * 448 + more} bytes"):
        SlotReader(descriptor, LAYOUT)


def test_a_slot_of_another_version_is_shown_with_it(descriptor: int) -> None:
    os.pwrite(descriptor, b"\x02", 8)
    with pytest.raises(SharedSlotError, match=r"version 1 .* begin with b'GO1SLOT\\x00\\x02\\x00\\x00\\x00'[.]"):
        SlotWriter(descriptor, LAYOUT)


def test_without_shared_memory_there_is_no_slot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shared_slot, "SHARED_MEMORY", str(tmp_path / "absent"))
    with pytest.raises(SharedSlotError, match="1856 bytes below .*absent"):
        create_slot(LAYOUT)


def write_for_ever(descriptor: int) -> int:
    """Fork a process that writes as fast as it can; returns its id."""
    pid = os.fork()
    if pid == 0:
        try:
            writer = SlotWriter(descriptor, LAYOUT)
            count = writer._number
            while True:
                count += 1
                writer.write(record(count))
        finally:
            os._exit(1)
    return pid


def test_no_record_is_torn_while_another_process_writes_as_fast_as_it_can(descriptor: int) -> None:
    pid = write_for_ever(descriptor)
    try:
        reader, last, reads = SlotReader(descriptor, LAYOUT), 0, 0
        deadline_s = time.monotonic() + 5.0
        while reads < 5_000 and time.monotonic() < deadline_s:
            found = reader.read(newer_than=last)
            if found is None:
                continue
            assert found.number == found.record["count"] > last
            assert np.all(found.record["values"] == found.number)
            last, reads = found.number, reads + 1
        assert reads >= 10
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_a_writer_killed_at_any_instant_leaves_the_slot_readable(descriptor: int) -> None:
    reader, last = SlotReader(descriptor, LAYOUT), 0
    generator = np.random.default_rng(0)
    for _ in range(15):
        pid = write_for_ever(descriptor)
        while reader.newest_number() < last + 10:
            time.sleep(0.0005)
        time.sleep(generator.uniform(0.0, 0.002))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        found = reader.read()
        assert found is not None
        assert np.all(found.record["values"] == found.record["count"])
        assert found.record["count"] > last
        last = found.number
