"""The ring: nothing half-written is read, nothing committed is lost, and what finds it full is counted exactly."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from deploy.onboard.record_layout import RECORDS
from deploy.onboard.record_ring import RingReader, RingWriter, TopicWriter
from deploy.onboard.ring_memory import (
    DATA_AT,
    FIRST_BLOCK,
    HEAD,
    PAGE,
    RingBusyError,
    RingCounts,
    RingError,
    create_ring,
    ring_counts,
)

ROOT = Path(__file__).resolve().parents[3]
TOPIC = "/low_state"
SLOTS = 8
DATA_AT_BYTE = 8 * (FIRST_BLOCK + DATA_AT)
HEAD_BYTE = 8 * (FIRST_BLOCK + HEAD)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    ring = tmp_path / "ring"
    create_ring(ring, dict.fromkeys(RECORDS, SLOTS))
    return ring


@pytest.fixture
def writer(path: Path) -> Iterator[RingWriter]:
    ring = RingWriter(path)
    yield ring
    ring.close()


@pytest.fixture
def reader(path: Path) -> Iterator[RingReader]:
    ring = RingReader(path)
    yield ring
    ring.close()


def record(number: int) -> bytes:
    """A state record of which every byte depends on its number."""
    row = np.full(1, number, "u1").repeat(RECORDS[TOPIC].itemsize).view(RECORDS[TOPIC])
    row["sequence"] = number
    return row.tobytes()


def write(topic: TopicWriter, count: int) -> None:
    for _ in range(count):
        topic.write(record(topic.sequence))


def taken(reader: RingReader, limit: int = 100) -> list[int]:
    """Numbers of the records in one take."""
    return [int(number) for topic in reader.take(limit) for number in topic.records["sequence"]]


def drained(reader: RingReader) -> list[int]:
    numbers: list[int] = []
    while found := taken(reader):
        numbers += found
        reader.release()
    return numbers


def test_records_come_out_in_order_lap_after_lap(writer: RingWriter, reader: RingReader) -> None:
    numbers = []
    for batch in (3, 8, 1, 7, 5, 8):  # 32 records through 8 slots, the ends of the ring met at every offset
        write(writer.topics[TOPIC], batch)
        numbers += drained(reader)
    assert numbers == list(range(32))


def test_a_record_comes_out_as_it_went_in(writer: RingWriter, reader: RingReader) -> None:
    writer.topics[TOPIC].write(record(200))
    ((topic, records),) = reader.take(1)
    assert (topic, records.tobytes()) == (TOPIC, record(200))


def test_take_gives_no_more_than_asked(writer: RingWriter, reader: RingReader) -> None:
    write(writer.topics[TOPIC], 5)
    assert taken(reader, limit=2) == [0, 1]


def test_topics_do_not_mix(writer: RingWriter, reader: RingReader) -> None:
    for topic, dtype in RECORDS.items():
        writer.topics[topic].write(bytes([len(topic)]) * dtype.itemsize)
    found = {topic: records.tobytes() for topic, records in reader.take(10)}
    assert found == {topic: bytes([len(topic)]) * dtype.itemsize for topic, dtype in RECORDS.items()}


def test_a_full_ring_loses_and_counts_exactly(writer: RingWriter, reader: RingReader, path: Path) -> None:
    topic = writer.topics[TOPIC]
    write(topic, SLOTS + 3)
    assert (topic.committed, topic.lost) == (SLOTS, 3)
    assert ring_counts(path)[TOPIC] == RingCounts(logged=0, waiting=SLOTS, lost=3)
    assert drained(reader) == list(range(SLOTS))
    write(topic, 1)
    assert drained(reader) == [SLOTS + 3]  # the hole shows in the numbers
    assert ring_counts(path)[TOPIC] == RingCounts(logged=SLOTS + 1, waiting=0, lost=3)
    assert reader.counts()[TOPIC] == ring_counts(path)[TOPIC]


def test_taking_frees_nothing_before_the_release(writer: RingWriter, reader: RingReader) -> None:
    write(writer.topics[TOPIC], SLOTS)
    taken(reader)
    write(writer.topics[TOPIC], 1)
    assert writer.topics[TOPIC].lost == 1
    reader.release()
    write(writer.topics[TOPIC], 1)
    assert writer.topics[TOPIC].lost == 1


def test_the_next_reader_takes_what_the_last_did_not_release(writer: RingWriter, path: Path) -> None:
    write(writer.topics[TOPIC], 5)
    first = RingReader(path)
    assert taken(first, limit=3) == [0, 1, 2]
    first.release()
    assert taken(first) == [3, 4]
    first.close()
    second = RingReader(path)
    assert drained(second) == [3, 4]
    second.close()


def test_the_next_writer_goes_on_where_the_last_stopped(path: Path, reader: RingReader) -> None:
    first = RingWriter(path)
    write(first.topics[TOPIC], SLOTS + 2)  # two lost
    first.close()
    second = RingWriter(path)
    assert second.topics[TOPIC].sequence == SLOTS + 2
    assert drained(reader) == list(range(SLOTS))
    write(second.topics[TOPIC], 2)
    assert drained(reader) == [SLOTS + 2, SLOTS + 3]
    assert second.topics[TOPIC].lost == 2
    second.close()


def test_what_is_written_but_not_committed_is_not_read(path: Path, reader: RingReader, writer: RingWriter) -> None:
    """As a writer leaves it that dies between the last byte of the record and the store of the head."""
    write(writer.topics[TOPIC], 1)
    with path.open("r+b") as file:
        file.seek(HEAD_BYTE)
        file.write(bytes(8))
    assert drained(reader) == []


def test_a_head_that_is_seen_before_its_record_is_not_believed(
    path: Path, reader: RingReader, writer: RingWriter
) -> None:
    """As another core may see it for a moment; the record of a lap ago in the slot is no substitute."""
    write(writer.topics[TOPIC], SLOTS)
    assert drained(reader) == list(range(SLOTS))
    with path.open("r+b") as file:
        file.seek(HEAD_BYTE)
        file.write((SLOTS + 1).to_bytes(8, sys.byteorder))
    assert taken(reader) == []
    write(writer.topics[TOPIC], 1)  # the record arrives
    assert drained(reader) == [SLOTS]
    assert reader.counts()[TOPIC].lost == 0


def test_a_record_damaged_in_memory_is_skipped_and_counted(path: Path, reader: RingReader, writer: RingWriter) -> None:
    write(writer.topics[TOPIC], 3)
    with path.open("r+b") as file:
        file.seek(DATA_AT_BYTE)
        (start,) = np.frombuffer(file.read(8), np.uint64)
        file.seek(int(start) + RECORDS[TOPIC].itemsize + 4 + 10)  # into the second record
        file.write(b"\xff")
    assert taken(reader) == [0]
    reader.release()
    assert taken(reader) == [] and taken(reader) == []  # it might still come; then it is given up
    assert drained(reader) == [2]
    assert ring_counts(path)[TOPIC] == RingCounts(logged=2, waiting=0, lost=1)


def test_an_existing_ring_is_not_overwritten(path: Path) -> None:
    with pytest.raises(RingError, match="File exists"):
        create_ring(path)


def test_a_ring_that_does_not_fit_into_memory_is_refused_at_once(tmp_path: Path) -> None:
    """Not by a SIGBUS at the first record that finds no page."""
    with pytest.raises(RingError, match="to make a ring"):
        create_ring(tmp_path / "ring", dict.fromkeys(RECORDS, 2**50))


def test_what_is_no_ring_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="No such file"):
        RingWriter(tmp_path / "none")
    (tmp_path / "short").write_bytes(b"GO1")
    with pytest.raises(RingError, match="slots of"):
        RingReader(tmp_path / "short")
    (tmp_path / "zeros").write_bytes(bytes(PAGE))
    with pytest.raises(RingError, match="slots of"):
        RingReader(tmp_path / "zeros")
    with pytest.raises(RingError, match="a ring at"):
        ring_counts(tmp_path / "none")


def test_closing_twice_is_allowed(path: Path) -> None:
    writer, reader = RingWriter(path), RingReader(path)
    for side in (writer, writer, reader, reader):
        side.close()


WRITER = """
import sys
from pathlib import Path
import numpy as np
from deploy.onboard.record_layout import RECORDS
from deploy.onboard.record_ring import RingWriter
topic = RingWriter(Path(sys.argv[1])).topics["/low_state"]
print("ready", flush=True)
row = np.zeros(1, RECORDS["/low_state"])
while True:
    row["sequence"] = topic.sequence
    row["joint_torque"] = topic.sequence
    topic.write(row.tobytes())
"""


@pytest.fixture
def other_process(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes as fast as it can."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.communicate()


def test_only_one_process_may_write(path: Path, other_process: subprocess.Popen[str], reader: RingReader) -> None:
    assert reader.has_writer and reader.was_written
    with pytest.raises(RingBusyError, match=f"process {other_process.pid}"):
        RingWriter(path)
    other_process.kill()
    other_process.wait()
    assert not reader.has_writer and reader.was_written
    RingWriter(path).close()


def test_nothing_torn_is_read_from_a_racing_writer_and_nothing_committed_is_lost(
    other_process: subprocess.Popen[str], reader: RingReader, path: Path
) -> None:
    """Eight slots and a writer at full speed: both sides are in the same slots all the time. Then kill -9."""
    numbers: list[int] = []
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s or len(numbers) < 1000:
        for _, records in reader.take(SLOTS):
            assert np.all(records["joint_torque"] == records["sequence"][:, None])
            numbers += records["sequence"].tolist()
        reader.release()
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    numbers += drained(reader)
    counts = ring_counts(path)[TOPIC]
    assert numbers == sorted(set(numbers))
    assert (counts.logged, counts.waiting) == (len(numbers), 0)
    assert numbers[-1] + 1 - len(numbers) <= counts.lost  # every hole was counted by the writer
