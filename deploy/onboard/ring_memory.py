"""The shared memory of a ring of records: where its counters and slots are, who holds it, what became of its records.

One file, usually below /dev/shm, holds a ring of fixed-size slots for every topic:

    | magic | topic 0: head, lost, slots, ... | tail | topic 1 ... | slots of topic 0 | slots of topic 1 | ...
                                                                     | record | check |

    head   records committed since the ring was made; stored by the writer, after the record is complete
    tail   records that are in the log's file; stored by the reader, after `write` returned
    lost   records that found the ring full; the writer never waits

A file, not an anonymous memory: it belongs to no process, so what was committed outlives every process that touched
it, until the file is removed. `record_ring` has the two sides.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from pathlib import Path
from typing import Dict, Mapping, NamedTuple, Sequence

import numpy as np

from deploy.onboard.record_layout import RECORDS
from robot_configs.errors import Go1Error

SLOTS = {"/low_state": 4096, "/low_cmd": 4096, "/policy_tick": 512, "/event": 512}
"""Default number of slots: eight seconds at 500 Hz, ten at 50 Hz, 4 MB in all. A longer stall of the disk, or a killed
recorder that is not replaced for longer, costs records."""

_MAGIC = b"GO1RING1"
PAGE = 4096
BLOCK_WORDS = 16
"""Words of a topic's counters: the writer's on one cache line, the reader's on the next."""
HEAD, LOST, SLOT_COUNT, SLOT_BYTES, DATA_AT, TAIL, DAMAGED = 0, 1, 2, 3, 4, 8, 9
"""Words of a block."""
WRITERS_WORD, FIRST_BLOCK = 1, 16
CHECK = struct.Struct("<I")
WRITER_BYTE, READER_BYTE = 0, 1
"""Bytes of the file that its writer and its reader hold locked; the kernel unlocks them when the process ends."""
_FLOCK = struct.Struct("hhqqi")
"""struct flock of 64-bit Linux: type, whence, start, length, pid."""
_MAP_POPULATE = 0x8000
"""Linux's; `mmap.MAP_POPULATE` came with Python 3.10. The first lap of the ring costs no page faults."""


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


def create_ring(path: Path, slots: Mapping[str, int] = SLOTS) -> None:
    """Make an empty ring.

    Args:
        path: must not exist; below /dev/shm it is memory only.
        slots: number of them by topic.

    Raises:
        RingError: the file exists already, or cannot be made.
    """
    position, blocks = PAGE, []
    for topic, dtype in RECORDS.items():
        slot_bytes = dtype.itemsize + CHECK.size
        blocks.append((slots[topic], slot_bytes, position))
        position += -(-slots[topic] * slot_bytes // PAGE) * PAGE
    words = np.zeros(PAGE // 8, np.uint64)
    for index, block in enumerate(blocks):
        words[FIRST_BLOCK + index * BLOCK_WORDS + np.array([SLOT_COUNT, SLOT_BYTES, DATA_AT])] = block
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            # Taken now: a page that could not be had later would kill the writer with SIGBUS.
            os.posix_fallocate(descriptor, 0, position)
            os.pwrite(descriptor, words.tobytes(), 0)
            os.pwrite(descriptor, _MAGIC, 0)  # last: a file with the magic is complete
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RingError(f"to make a ring at {path}", str(error), "Remove what a dead run left there.") from error


class MappedRing:
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
            self._mmap = mmap.mmap(self._descriptor, 0, flags=mmap.MAP_SHARED | _MAP_POPULATE)
        except BaseException:
            os.close(self._descriptor)
            raise
        self.view = memoryview(self._mmap)
        # Native words: a cast memoryview and memcpy store them in one go, a little-endian struct byte by byte.
        self.words = self.view[:PAGE].cast("Q")

    def _lock(self, byte: int) -> None:
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
        except OSError as error:
            role = "writer" if byte == WRITER_BYTE else "reader"
            holder = f"process {self.holder(byte)}"
            raise RingBusyError(f"no other {role} of {self.path}", holder, "Stop it first.") from error

    def _check(self) -> None:
        expected = [dtype.itemsize + CHECK.size for dtype in RECORDS.values()]
        words = np.frombuffer(os.pread(self._descriptor, PAGE, 0).ljust(PAGE, b"\0"), np.uint64)
        found = [int(words[FIRST_BLOCK + index * BLOCK_WORDS + SLOT_BYTES]) for index in range(len(RECORDS))]
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


def ring_counts(path: Path) -> Dict[str, RingCounts]:
    """What became of the records of every topic, by topic.

    For processes that neither read nor write the ring: closing a file gives up all locks its process has on it.

    Raises:
        RingError: no ring there.
    """
    try:
        with open(path, "rb") as file:
            words = np.frombuffer(file.read(PAGE), np.uint64).tolist()
    except OSError as error:
        raise RingError(f"a ring at {path}", str(error), "Make it with create_ring first.") from error
    return counts_of(words)


def counts_of(words: Sequence[int]) -> Dict[str, RingCounts]:
    """The counts in the words of a ring's first page, by topic."""
    counts = {}
    for index, topic in enumerate(RECORDS):
        block = FIRST_BLOCK + index * BLOCK_WORDS
        head, tail, damaged = words[block + HEAD], words[block + TAIL], words[block + DAMAGED]
        counts[topic] = RingCounts(tail - damaged, head - tail, words[block + LOST] + damaged)
    return counts
