"""A slot in shared memory that always holds the newest record: one process writes, any number read, nobody waits.

    | header: magic, version, layout, record bytes | cell 0 | cell 1 | cell 2 | cell 3 |
                                                      └─ number u64, CRC-32 u32, spare u32, record

Record n goes into cell n mod 4, and nothing points to it: a reader looks at all four numbers and takes the highest.
Four cells, because then a writer that is killed or stopped in the middle of a record spoils only the oldest one, where
an ordinary sequence lock, left odd, would shut every reader out for ever.

Each cell is sealed with a CRC-32 of number and record. Python has no memory barriers, and the robot's ARM cores may
show another core the stores out of order: the number alone could vouch for half a record there. A record is taken when
its seal fits, or not at all.

The memory is a file below /dev/shm that never had a name (O_TMPFILE): processes get it by inheriting its descriptor, it
disappears with the last of them, however they end, and no other program can open it. Who only reads maps it read-only,
so that a process gone wild can destroy nothing but what it writes anyway.
"""

from __future__ import annotations

import mmap
import os
import struct
import tempfile
import zlib
from typing import List, NamedTuple, Optional

import numpy as np

from robot_configs.errors import Go1Error

SHARED_MEMORY = "/dev/shm"
"""Memory-backed file system of every Linux; world-writable, so nobody needs to be root."""

CELLS = 4

_MAGIC = b"GO1SLOT\0"
_VERSION = 1
_HEADER = struct.Struct("<8sIIQ")
"""Magic, version, CRC-32 of the layout, bytes of a record."""
_HEADER_BYTES = 64
_NUMBER = struct.Struct("<Q")
_SEAL = struct.Struct("<QI4x")
_ALIGNMENT = 64
"""Of cells: a cache line, so that writing one does not disturb who reads another [bytes]."""
_ATTEMPTS = 3
"""A reader starts over when the cell it copied was overwritten meanwhile; at 500 Hz once in a blue moon."""


class SharedSlotError(Go1Error):
    """Shared memory cannot be had, or holds something else than expected."""


class Numbered(NamedTuple):
    """A record as it was written."""

    number: int
    """Records written up to this one, from 1."""
    record: np.void
    """The reader's own copy."""


def create_slot(layout: np.dtype) -> int:
    """A new, empty slot for records of `layout`; returns the descriptor, which the caller closes.

    Raises:
        SharedSlotError: there is no shared memory, or it is full.
    """
    size = _HEADER_BYTES + CELLS * _cell_bytes(layout)
    try:
        with tempfile.TemporaryFile(dir=SHARED_MEMORY) as file:
            # Written, not truncated to size: memory that is missing must show here, not as a SIGBUS at 500 Hz.
            file.write(_header(layout).ljust(size, b"\0"))
            file.flush()
            return os.dup(file.fileno())
    except OSError as error:
        raise SharedSlotError(f"{size} bytes below {SHARED_MEMORY}", str(error), "Free memory there.") from error


class SlotWriter:
    """The one writer of a slot."""

    def __init__(self, descriptor: int, layout: np.dtype) -> None:
        """Map the slot; `descriptor` may be closed afterwards.

        Raises:
            SharedSlotError: it is no slot for records of `layout`.
        """
        self._memory = _map(descriptor, layout, mmap.PROT_READ | mmap.PROT_WRITE)
        self._layout, self._stride = layout, _cell_bytes(layout)
        self._number = max(_numbers(self._memory, self._stride))

    def write(self, record: np.ndarray) -> None:
        """Publish a record (a scalar array of the layout)."""
        number = self._number + 1
        content = record.tobytes()
        start = _HEADER_BYTES + number % CELLS * self._stride
        seal = zlib.crc32(content, zlib.crc32(_NUMBER.pack(number)))
        # The seal goes last on machines that keep the order; on the others it does not matter.
        self._memory[start + _SEAL.size : start + _SEAL.size + len(content)] = content
        _SEAL.pack_into(self._memory, start, number, seal)
        self._number = number


class SlotReader:
    """One of the readers of a slot."""

    def __init__(self, descriptor: int, layout: np.dtype) -> None:
        """Map the slot read-only; `descriptor` may be closed afterwards.

        Raises:
            SharedSlotError: it is no slot for records of `layout`.
        """
        self._memory = _map(descriptor, layout, mmap.PROT_READ)
        self._layout, self._stride = layout, _cell_bytes(layout)

    def newest_number(self) -> int:
        """Number of the newest record, 0 before the first: a quick look, without a check of the record."""
        return max(_numbers(self._memory, self._stride))

    def read(self, newer_than: int = 0) -> Optional[Numbered]:
        """The newest intact record, or None if there is none with a number above `newer_than`."""
        for _ in range(_ATTEMPTS):
            candidates = [number for number in _numbers(self._memory, self._stride) if number > newer_than]
            if not candidates:
                return None
            for number in sorted(candidates, reverse=True):
                record = self._take(number)
                if record is not None:
                    return Numbered(number, record)
        return None

    def _take(self, number: int) -> Optional[np.void]:
        start = _HEADER_BYTES + number % CELLS * self._stride
        cell = self._memory[start : start + _SEAL.size + self._layout.itemsize]
        found, seal = _SEAL.unpack_from(cell)
        content = cell[_SEAL.size :]
        if found != number or seal != zlib.crc32(content, zlib.crc32(_NUMBER.pack(number))):
            return None
        record: np.void
        (record,) = np.frombuffer(content, self._layout)
        return record


def _numbers(memory: mmap.mmap, stride: int) -> List[int]:
    return [_NUMBER.unpack_from(memory, _HEADER_BYTES + cell * stride)[0] for cell in range(CELLS)]


def _cell_bytes(layout: np.dtype) -> int:
    return -(-(_SEAL.size + layout.itemsize) // _ALIGNMENT) * _ALIGNMENT


def _header(layout: np.dtype) -> bytes:
    return _HEADER.pack(_MAGIC, _VERSION, zlib.crc32(repr(layout.descr).encode()), layout.itemsize)


def _map(descriptor: int, layout: np.dtype, protection: int) -> mmap.mmap:
    size = _HEADER_BYTES + CELLS * _cell_bytes(layout)
    found = os.pread(descriptor, _HEADER.size, 0)
    if found != _header(layout) or os.fstat(descriptor).st_size != size:
        raise SharedSlotError(
            f"a slot of version {_VERSION} for records of {layout.itemsize} bytes",
            f"{os.fstat(descriptor).st_size} bytes that begin with {found[:12]!r}",
            "Writer and readers must run the same version of this program.",
        )
    return mmap.mmap(descriptor, size, mmap.MAP_SHARED, protection)
