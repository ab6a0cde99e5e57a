"""A ring of records in shared memory: one process writes, another reads, and either may be killed at any instant.

One file, usually below /dev/shm, holds a ring of fixed-size slots for every topic:

    | magic, source | topic 0: head, lost, slots, ... | tail | topic 1 ... | slots of topic 0 | slots of topic 1 | ...
                                                                             | record | check |

    head   records committed since the ring was made; stored by the writer, after the record is complete
    tail   records that are in the log's file; stored by the reader, after `write` returned
    lost   records that found the ring full; the writer never waits

Head, tail and lost are only ever stored whole (eight aligned bytes) and by one side. Killed before the store of the
head, a writer leaves a slot that nobody looks at and the next writer fills; killed before the store of the tail, a
reader leaves records that the next reader takes again, which the log's reader knows by their sequence number.

The check is a CRC-32 of the record that starts from the record's number. Python cannot order one core's stores for
another core to see (an ARM may show the new head before the record), and a slot may hold what was there a lap ago: a
record whose check is wrong is not there yet. The memory belongs to the file, not to a process: what was committed
outlives every process, until the file is removed.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import zlib
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple

import numpy as np

from deploy.onboard.record_layout import RECORDS
from robot_configs.errors import Go1Error

SLOTS = {"/low_state": 2048, "/low_cmd": 2048, "/policy_tick": 256, "/event": 256}
"""Default number of slots: four seconds at 500 Hz, five at 50 Hz. A longer stall of the disk costs records."""

_MAGIC = b"GO1RING1"
_PAGE = 4096
_BLOCK_WORDS = 16
"""Words of a topic's counters: the writer's on one cache line, the reader's on the next."""
_HEAD, _LOST, _SLOTS, _SLOT_BYTES, _DATA_AT, _TAIL, _DAMAGED = 0, 1, 2, 3, 4, 8, 9
_SOURCE_WORD, _CLOSED_WORD, _WRITERS_WORD, _FIRST_BLOCK = 1, 2, 3, 16
_CHECK = struct.Struct("<I")
_SEQUENCE_MASK = 2**32 - 1
_WRITER_BYTE, _READER_BYTE = 0, 1
"""Bytes of the file that its writer and its reader hold locked; the kernel unlocks them when the process ends."""
_FLOCK = struct.Struct("hhqqi")
"""struct flock of 64-bit Linux: type, whence, start, length, pid."""


class RingError(Go1Error):
    """A ring cannot be made or opened."""


class RingBusyError(RingError):
    """The ring has a writer, or a reader, already."""


class RingCounts(NamedTuple):
    """What happened to one topic's records."""

    logged: int
    """In the log's file."""
    waiting: int
    """Committed, not yet in the file."""
    lost: int
    """Found the ring full, or damaged in it."""


class TakenRecords(NamedTuple):
    """A topic's next records, not yet released."""

    topic: str
    records: np.ndarray
    """(n,) of `record_layout.RECORDS[topic]`, a copy."""


def create_ring(path: Path, source: int, slots: Mapping[str, int] = SLOTS) -> None:
    """Make an empty ring.

    Args:
        path: must not exist; below /dev/shm it is memory only.
        source: number of the process that will write (0 the gate, 1 the pilot): sequence numbers count per source.

    Raises:
        RingError: the file exists already, or cannot be made.
    """
    position, blocks = _PAGE, []
    for topic, dtype in RECORDS.items():
        slot_bytes = dtype.itemsize + _CHECK.size
        blocks.append((slots[topic], slot_bytes, position))
        position += -(-slots[topic] * slot_bytes // _PAGE) * _PAGE
    words = np.zeros(_PAGE // 8, np.uint64)
    words[_SOURCE_WORD] = source
    for index, block in enumerate(blocks):
        words[_FIRST_BLOCK + index * _BLOCK_WORDS + np.array([_SLOTS, _SLOT_BYTES, _DATA_AT])] = block
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, position)
            os.pwrite(descriptor, words.tobytes(), 0)
            os.pwrite(descriptor, _MAGIC, 0)  # last: a file with the magic is complete
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RingError(
            f"to make a ring at {path}", str(error), "Remove what a dead run left, or free memory."
        ) from error


class _MappedRing:
    """The file in memory, and its counters as 64-bit words."""

    def __init__(self, path: Path, locked_byte: int) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise RingError(f"a ring at {path}", str(error), "Make it with create_ring first.") from error
        try:
            self._lock(locked_byte)
            self._check()
            self._mmap = mmap.mmap(self._descriptor, 0)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.view = memoryview(self._mmap)
        # Native words: a cast memoryview and memcpy store them in one go, a little-endian struct byte by byte.
        self.words = self.view[:_PAGE].cast("Q")
        self.source = self.words[_SOURCE_WORD]

    def _lock(self, byte: int) -> None:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            role = "writer" if byte == _WRITER_BYTE else "reader"
            raise RingBusyError(
                f"no other {role} of {self.path}", f"process {self.holder(byte)}", "Stop it."
            ) from error

    def _check(self) -> None:
        expected = [dtype.itemsize + _CHECK.size for dtype in RECORDS.values()]
        words = np.frombuffer(os.pread(self._descriptor, _PAGE, 0).ljust(_PAGE, b"\0"), np.uint64)
        found = [int(words[_FIRST_BLOCK + index * _BLOCK_WORDS + _SLOT_BYTES]) for index in range(len(RECORDS))]
        if words[:1].tobytes() != _MAGIC or found != expected:
            raise RingError(
                f"a ring with slots of {expected} bytes at {self.path}",
                f"{words[:1].tobytes()!r}, slots of {found}",
                "Start writer and reader from the same release.",
            )

    def holder(self, byte: int) -> int:
        """Process that holds the lock of `byte`, 0 if none does (or this one)."""
        query = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, byte, 1, 0)
        kind, _, _, _, process = _FLOCK.unpack(fcntl.fcntl(self._descriptor, fcntl.F_GETLK, query))
        return 0 if kind == fcntl.F_UNLCK else process

    @property
    def closed(self) -> bool:
        """Whether the memory is no longer mapped."""
        return self._mmap.closed

    def close(self) -> None:
        """Unmap the memory and give the lock back; closing twice is allowed."""
        if not self.closed:
            self.words.release()
            self.view.release()
            self._mmap.close()
            os.close(self._descriptor)


class TopicWriter:
    """Writes one topic's records."""

    def __init__(self, ring: _MappedRing, index: int, record_bytes: int) -> None:
        block = _FIRST_BLOCK + index * _BLOCK_WORDS
        self._words, self._view = ring.words, ring.view
        self._head_word, self._lost_word, self._tail_word = block + _HEAD, block + _LOST, block + _TAIL
        self._slots, self._slot_bytes = self._words[block + _SLOTS], self._words[block + _SLOT_BYTES]
        self._data_at = self._words[block + _DATA_AT]
        self._slot = struct.Struct(f"<{record_bytes}sI")
        self._head, self._lost = self._words[self._head_word], self._words[self._lost_word]
        self._room_until = self._words[self._tail_word] + self._slots

    @property
    def sequence(self) -> int:
        """Number the next record shall carry; a lost one uses its number up."""
        return (self._head + self._lost) & _SEQUENCE_MASK

    @property
    def committed(self) -> int:
        """Records in the ring since it was made, by any writer."""
        return self._head

    @property
    def lost(self) -> int:
        """Records that found it full."""
        return self._lost

    def write(self, record: bytes) -> None:
        """Commit a record, or count it as lost: never waits, never raises."""
        head = self._head
        if head >= self._room_until:
            self._room_until = self._words[self._tail_word] + self._slots
            if head >= self._room_until:
                self._lost += 1
                self._words[self._lost_word] = self._lost
                return
        offset = self._data_at + head % self._slots * self._slot_bytes
        self._slot.pack_into(self._view, offset, record, zlib.crc32(record, head & _SEQUENCE_MASK))
        self._head = head + 1
        self._words[self._head_word] = self._head


class RingWriter:
    """The writing side. A new writer goes on where a killed one stopped.

    Raises:
        RingError: no ring there, or one of another release.
        RingBusyError: another process writes it.
    """

    def __init__(self, path: Path) -> None:
        self._ring = _MappedRing(path, _WRITER_BYTE)
        self.source = self._ring.source
        self.topics: Dict[str, TopicWriter] = {
            topic: TopicWriter(self._ring, index, dtype.itemsize)
            for index, (topic, dtype) in enumerate(RECORDS.items())
        }
        self._ring.words[_CLOSED_WORD] = 0
        self._ring.words[_WRITERS_WORD] += 1

    def close(self) -> None:
        """Say that nothing more will come; closing twice is allowed."""
        if not self._ring.closed:
            self._ring.words[_CLOSED_WORD] = 1
            self._ring.close()


class RingReader:
    """The reading side. A new reader goes on where a killed one stopped.

    Raises:
        RingError: no ring there, or one of another release.
        RingBusyError: another process reads it.
    """

    def __init__(self, path: Path) -> None:
        self._ring = _MappedRing(path, _READER_BYTE)
        self.source = self._ring.source
        self._doubted: Dict[str, int] = {}
        self._taken: Dict[int, int] = {}
        """Tail to store, by its word, once what was taken is in the file."""

    @property
    def abandoned(self) -> bool:
        """Whether nothing more will come: the writer closed it, or its process is gone. False before the first writer.

        Does not see a writer in this very process: the kernel's locks are between processes.
        """
        words = self._ring.words
        return bool(words[_CLOSED_WORD] or (words[_WRITERS_WORD] and not self._ring.holder(_WRITER_BYTE)))

    def take(self, limit: int) -> List[TakenRecords]:
        """The oldest of every topic that are not in the file yet, `limit` each at most; [] if none are."""
        taken = [self._take_topic(index, topic, limit) for index, topic in enumerate(RECORDS)]
        return [topic for topic in taken if len(topic.records)]

    def release(self) -> None:
        """Free the slots of what the last `take` gave; to be called once the file has it."""
        for word, tail in self._taken.items():
            self._ring.words[word] = tail
        self._taken.clear()

    def close(self) -> None:
        """Leave the ring to the next reader; closing twice is allowed."""
        self._ring.close()

    def _take_topic(self, index: int, topic: str, limit: int) -> TakenRecords:
        words, block, dtype = self._ring.words, _FIRST_BLOCK + index * _BLOCK_WORDS, RECORDS[topic]
        tail, slots, slot_bytes = words[block + _TAIL], words[block + _SLOTS], words[block + _SLOT_BYTES]
        count = min(words[block + _HEAD] - tail, slots - tail % slots, limit)
        start = words[block + _DATA_AT] + tail % slots * slot_bytes
        content = bytes(self._ring.view[start : start + count * slot_bytes])
        good = _intact_records(content, count, slot_bytes, tail)
        if count and not good:
            self._skip_if_damaged(block, topic, tail)
            return TakenRecords(topic, np.empty(0, dtype))
        self._taken[block + _TAIL] = tail + good
        rows = np.frombuffer(content, np.dtype([("record", dtype), ("check", "<u4")]), good)
        return TakenRecords(topic, rows["record"].copy())

    def _skip_if_damaged(self, block: int, topic: str, tail: int) -> None:
        """A record that is still not there at the second look never will be: memory was damaged."""
        words = self._ring.words
        if self._doubted.get(topic) == tail:
            words[block + _DAMAGED] += 1
            words[block + _TAIL] = tail + 1
        self._doubted[topic] = tail


def ring_counts(path: Path) -> Dict[str, RingCounts]:
    """What became of the records of every topic; for processes that neither read nor write the ring.

    Raises:
        RingError: no ring there.
    """
    try:
        words = np.frombuffer(path.read_bytes()[:_PAGE], np.uint64).astype(int).tolist()
    except OSError as error:
        raise RingError(f"a ring at {path}", str(error), "Make it with create_ring first.") from error
    counts = {}
    for index, topic in enumerate(RECORDS):
        block = _FIRST_BLOCK + index * _BLOCK_WORDS
        head, tail, damaged = words[block + _HEAD], words[block + _TAIL], words[block + _DAMAGED]
        counts[topic] = RingCounts(tail - damaged, head - tail, words[block + _LOST] + damaged)
    return counts


def _intact_records(content: bytes, count: int, slot_bytes: int, first: int) -> int:
    """How many of `count` slots, the first of them with number `first`, begin with records whose check is right."""
    view, record_bytes = memoryview(content), slot_bytes - _CHECK.size
    for row in range(count):
        end = row * slot_bytes + record_bytes
        check = zlib.crc32(view[end - record_bytes : end], (first + row) & _SEQUENCE_MASK)
        if check != _CHECK.unpack_from(content, end)[0]:
            return row
    return count
