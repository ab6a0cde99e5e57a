"""Slots in shared memory: what is read was written, whole, whatever happens to whom at which instant."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

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


def test_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(4096))
    descriptor = os.open(tmp_path / "file", os.O_RDWR)
    with pytest.raises(SharedSlotError, match="begin with"):
        SlotReader(descriptor, LAYOUT)
    os.close(descriptor)


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
