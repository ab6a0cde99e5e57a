"""Both sides of a ring of records: one process writes, another reads, and either may be killed at any instant.

Head, tail and lost (see `ring_memory`) are only ever stored whole, eight aligned bytes at a time, and by one side.
Killed before the store of the head, a writer leaves a slot that nobody looks at and the next writer fills; killed
before the store of the tail, a reader leaves records that the next reader takes again, which the log's reader knows
by their sequence numbers.

A slot's check is a CRC-32 of the record that starts from the record's number. Python cannot order one core's stores
for another core to see (an ARM may show the new head before the record), and a slot may hold what was there a lap ago:
a record whose check is wrong is not there yet.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Dict, List, NamedTuple

import numpy as np

from deploy.onboard.record_layout import RECORDS
from deploy.onboard.ring_memory import (
    BLOCK_WORDS,
    CHECK,
    DAMAGED,
    DATA_AT,
    FIRST_BLOCK,
    HEAD,
    LOST,
    READER_BYTE,
    SLOT_BYTES,
    SLOT_COUNT,
    TAIL,
    WRITER_BYTE,
    WRITERS_WORD,
    MappedRing,
    RingCounts,
    counts_of,
)

_SEQUENCE_MASK = 2**32 - 1


class TakenRecords(NamedTuple):
    """A topic's next records, not yet released."""

    topic: str
    records: np.ndarray
    """(n,) of `record_layout.RECORDS[topic]`, a copy."""


class TopicWriter:
    """Writes one topic's records."""

    def __init__(self, ring: MappedRing, index: int, record_bytes: int) -> None:
        block = FIRST_BLOCK + index * BLOCK_WORDS
        self._words, self._view = ring.words, ring.view
        self._head_word, self._lost_word, self._tail_word = block + HEAD, block + LOST, block + TAIL
        self._slots, self._slot_bytes = self._words[block + SLOT_COUNT], self._words[block + SLOT_BYTES]
        self._data_at = self._words[block + DATA_AT]
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
        self._ring = MappedRing(path, WRITER_BYTE)
        self.topics: Dict[str, TopicWriter] = {
            topic: TopicWriter(self._ring, index, dtype.itemsize)
            for index, (topic, dtype) in enumerate(RECORDS.items())
        }
        self._ring.words[WRITERS_WORD] += 1

    def close(self) -> None:
        """Give the ring up; closing twice is allowed."""
        self._ring.close()


class RingReader:
    """The reading side. A new reader goes on where a killed one stopped.

    Raises:
        RingError: no ring there, or one of another release.
        RingBusyError: another process reads it.
    """

    def __init__(self, path: Path) -> None:
        self._ring = MappedRing(path, READER_BYTE)
        self._doubted: Dict[str, int] = {}
        self._taken: Dict[int, int] = {}
        """Tail to store, by its word, once what was taken is in the file."""

    @property
    def has_writer(self) -> bool:
        """Whether a process has the ring open to write. Blind to a writer in this process: locks are between them."""
        return self._ring.holder(WRITER_BYTE) != 0

    @property
    def was_written(self) -> bool:
        """Whether it ever had a writer."""
        return self._ring.words[WRITERS_WORD] != 0

    def counts(self) -> Dict[str, RingCounts]:
        """What became of the records of every topic."""
        return counts_of(self._ring.words)

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
        words, block, dtype = self._ring.words, FIRST_BLOCK + index * BLOCK_WORDS, RECORDS[topic]
        tail, slots, slot_bytes = words[block + TAIL], words[block + SLOT_COUNT], words[block + SLOT_BYTES]
        count = min(words[block + HEAD] - tail, slots - tail % slots, limit)
        start = words[block + DATA_AT] + tail % slots * slot_bytes
        content = bytes(self._ring.view[start : start + count * slot_bytes])
        good = _intact_records(content, count, slot_bytes, tail)
        if count and not good:
            self._skip_if_damaged(block, topic, tail)
            return TakenRecords(topic, np.empty(0, dtype))
        self._taken[block + TAIL] = tail + good
        rows = np.frombuffer(content, np.dtype([("record", dtype), ("check", "<u4")]), good)
        return TakenRecords(topic, rows["record"].copy())

    def _skip_if_damaged(self, block: int, topic: str, tail: int) -> None:
        """A record that is still not there at the second look never will be: memory was damaged."""
        words = self._ring.words
        if self._doubted.get(topic) == tail:
            words[block + DAMAGED] += 1
            words[block + TAIL] = tail + 1
        self._doubted[topic] = tail


def _intact_records(content: bytes, count: int, slot_bytes: int, first: int) -> int:
    """How many of `count` slots, the first of them with number `first`, begin with records whose check is right."""
    view, record_bytes = memoryview(content), slot_bytes - CHECK.size
    for row in range(count):
        end = row * slot_bytes + record_bytes
        check = zlib.crc32(view[end - record_bytes : end], (first + row) & _SEQUENCE_MASK)
        if check != CHECK.unpack_from(content, end)[0]:
            return row
    return count
