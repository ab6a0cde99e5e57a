"""Walks the records of an MCAP file that may be damaged, and notes what it could not read.

A recorder that lost its power leaves a file without footer and with half a chunk at the end; a bad card leaves a chunk
whose checksum is wrong; a file system that lost its power leaves zeros where blocks were not written yet. So: a record
that cannot be parsed and a chunk with a wrong checksum are left out and the walk goes on after them; a broken record
frame ends the file there.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Chunk
from mcap.stream_reader import CRCValidationError, get_chunk_data_stream

MAGIC = b"\x89MCAP0\r\n"
_FRAME = struct.Struct("<BQ")
"""A record's opcode and the length of its content."""
MESSAGE_HEADER = struct.Struct("<HIQQ")
"""channel id, sequence, log time, publish time; the payload is the rest."""
BROKEN_RECORD = (
    McapError,
    CRCValidationError,
    struct.error,
    UnicodeDecodeError,
    zstandard.ZstdError,
    RuntimeError,  # lz4's
)
"""What parsing or decompressing a record raises."""


@dataclass(frozen=True)
class Damage:
    """A place in a file where something was lost."""

    offset: int
    """Bytes from the start of the file."""
    what: str


class Record(NamedTuple):
    """One record of the data section, or of a chunk."""

    opcode: int
    body: memoryview
    offset: int
    """Where to report damage: of the record, or of its chunk [bytes from the start of the file]."""


class Walk:
    """One pass over a file's bytes, which must begin with `MAGIC`."""

    def __init__(self, content: bytes) -> None:
        self._view = memoryview(content)
        self.damages: list[Damage] = []
        self.complete = False
        """Whether the walk came to the data section's end: the recorder closed the file."""
        self.end = len(MAGIC)
        """Where the walk stands: after it, where the last whole record ends [bytes from the start of the file]."""

    def records(self) -> Iterator[Record]:
        """Every record up to the data section's end; chunks are opened, their records follow each other."""
        view = self._view
        while self.end < len(view):
            offset = self.end
            if offset + _FRAME.size > len(view):
                return self._broken("the file ends inside a record's frame")
            opcode, length = _FRAME.unpack_from(view, offset)
            start = offset + _FRAME.size
            if not Opcode.HEADER <= opcode <= Opcode.DATA_END:
                return self._broken(f"no MCAP record begins here (opcode {opcode:#04x})")
            if start + length > len(view):
                return self._broken(f"the file ends {start + length - len(view)} bytes inside a record")
            if opcode == Opcode.DATA_END:
                self.complete = True
                return
            record = Record(opcode, view[start : start + length], offset)
            if opcode == Opcode.CHUNK:
                yield from self._opened(record)
            else:
                yield record
            self.end = start + length
        self._broken("the file ends without a footer")

    def lost(self, record: Record, error: Exception) -> None:
        """Note that a record cannot be used."""
        self.damages.append(Damage(record.offset, f"{Opcode(record.opcode).name.lower()} record lost: {error}"))

    def _broken(self, what: str) -> None:
        self.damages.append(Damage(self.end, what))

    def _opened(self, record: Record) -> Iterator[Record]:
        """The records inside a chunk whose checksum holds."""
        try:
            stream, length = get_chunk_data_stream(Chunk.read(stream_of(record.body)), validate_crc=True)
        except BROKEN_RECORD as error:
            return self.lost(record, error)
        view = memoryview(stream.read(length))
        position = 0
        while position + _FRAME.size <= len(view):
            opcode, length = _FRAME.unpack_from(view, position)
            start = position + _FRAME.size
            if start + length > len(view):
                self.damages.append(Damage(record.offset, "the end of a chunk lost: its last record is cut short"))
                return
            yield Record(opcode, view[start : start + length], record.offset)
            position = start + length


def stream_of(body: memoryview) -> ReadDataStream:
    """A record's body for the mcap package's own `read` methods."""
    return ReadDataStream(io.BytesIO(body))
