"""Reads the robot's MCAP logs, whole channels at a time, and keeps what a damaged file still holds.

A recorder that lost its power leaves a file without footer and with half a chunk at the end; a bad card leaves a chunk
whose checksum is wrong. Both are logs of something worth knowing, so: a chunk with a wrong checksum is left out and
reading goes on after it, a broken record frame ends the file there, and both are listed in `Log.damages` with their
byte offset. Only a file that holds no readable session at all is refused.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.records import Channel as McapChannel
from mcap.records import Chunk, Metadata, Schema
from mcap.stream_reader import CRCValidationError, get_chunk_data_stream

from offline_data.log_schema import CHANNELS, METADATA_NAME, SchemaError, SessionMetadata
from robot_configs.errors import Go1Error

MAGIC = b"\x89MCAP0\r\n"
_FRAME = struct.Struct("<BQ")
"""A record's opcode and the length of its content."""
_MESSAGE_HEADER = struct.Struct("<HIQQ")
"""channel id, sequence, log time, publish time; the payload is the rest."""
_BROKEN_RECORD = (
    McapError,
    CRCValidationError,
    struct.error,
    UnicodeDecodeError,
    zstandard.ZstdError,
    RuntimeError,  # lz4's
)
"""What parsing or decompressing a record raises."""


class LogError(Go1Error):
    """A file cannot be read as one of our logs."""


class ForeignLogError(LogError):
    """The file is something else, or another program's MCAP."""


class EmptyLogError(LogError):
    """The file was one of ours, but it ends or breaks before the first message."""


@dataclass(frozen=True)
class Damage:
    """A place in a file where something was lost."""

    offset: int
    """Bytes from the start of the file."""
    what: str


@dataclass(frozen=True)
class Log:
    """One file: its metadata and one structured array per topic (dtype `Channel.dtype`), in the order of recording."""

    path: Path
    metadata: SessionMetadata
    channels: dict[str, np.ndarray]
    damages: tuple[Damage, ...]
    complete: bool
    """Whether the recorder closed the file; False after a crash or a power cut."""

    @property
    def low_state(self) -> np.ndarray:
        """The `/low_state` messages."""
        return self.channels["/low_state"]

    @property
    def low_cmd(self) -> np.ndarray:
        """The `/low_cmd` messages."""
        return self.channels["/low_cmd"]

    @property
    def policy_tick(self) -> np.ndarray:
        """The `/policy_tick` messages."""
        return self.channels["/policy_tick"]

    @property
    def event(self) -> np.ndarray:
        """The `/event` messages."""
        return self.channels["/event"]


@dataclass(frozen=True)
class LogFailure:
    """A file of a folder that could not be read, and why."""

    path: Path
    error: Go1Error


def log_paths(path: Path) -> list[Path]:
    """The `.mcap` files below `path` (or `path` itself where it is a file), by name, which is by time."""
    if path.is_file():
        return [path]
    found = sorted(path.rglob("*.mcap")) if path.is_dir() else []
    if not found:
        raise LogError(
            expected=f"a log or a folder of logs (*.mcap) at {path}",
            found="no such path" if not path.exists() else "no .mcap file in it",
            remedy="Give the folder that was passed to the runner as --log-dir.",
        )
    return found


def read_logs(path: Path) -> tuple[list[Log], list[LogFailure]]:
    """Every log below `path`, and the files that are none; one bad file takes nothing from the others."""
    logs: list[Log] = []
    failures: list[LogFailure] = []
    for file in log_paths(path):
        try:
            logs.append(read_log(file))
        except (LogError, SchemaError) as error:
            failures.append(LogFailure(file, error))
    return logs, failures


def read_log(path: Path) -> Log:
    """One log file.

    Raises:
        ForeignLogError: not an MCAP file, no metadata record of ours, or a topic of ours with another schema.
        EmptyLogError: the file breaks before the first message.
        SchemaError: the metadata record is incomplete or of another format version.
    """
    content = path.read_bytes()
    if not content.startswith(MAGIC):
        kind = "an empty file" if not content else f"the first bytes {content[:8]!r}"
        raise ForeignLogError(
            expected=f"{path} to be an MCAP file ({MAGIC!r})", found=kind, remedy="Remove it from the log folder."
        )
    collector = _Collector(path)
    complete = collector.walk(content)
    if collector.metadata is None:
        if collector.damages:
            raise EmptyLogError(
                expected=f"a metadata record {METADATA_NAME!r} in {path}",
                found=f"damage before it: {collector.damages[0].what}",
                remedy="Nothing can be recovered from this file; the other files of the session are not affected.",
            )
        raise ForeignLogError(
            expected=f"a metadata record {METADATA_NAME!r} in {path}",
            found=f"topics {sorted(collector.topics)}",
            remedy="The file was written by another program; remove it from the log folder.",
        )
    if not any(collector.payloads.values()):
        raise EmptyLogError(
            expected=f"messages in {path}",
            found="none" + (f"; {collector.damages[0].what}" if collector.damages else ""),
            remedy="The recorder stopped before it wrote any; the other files of the session are not affected.",
        )
    return Log(path, collector.metadata, collector.arrays(), tuple(collector.damages), complete)


class _Collector:
    """State of one pass over a file: payloads by topic, and what was damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: SessionMetadata | None = None
        self.damages: list[Damage] = []
        self.topics: set[str] = set()
        self.payloads: dict[str, list[memoryview]] = {topic: [] for topic in CHANNELS}
        self._schemas: dict[int, Schema] = {}
        self._sinks: dict[int, tuple[list[memoryview], int]] = {}
        """Channel id -> where its payloads go, and their size; other programs' topics are absent."""

    def arrays(self) -> dict[str, np.ndarray]:
        """One read-only structured array per topic."""
        return {
            topic: np.frombuffer(b"".join(payloads), dtype=CHANNELS[topic].dtype)
            for topic, payloads in self.payloads.items()
        }

    def walk(self, content: bytes) -> bool:
        """Reads the records of a file up to its data end; True where the recorder reached that."""
        view = memoryview(content)
        offset = len(MAGIC)
        while offset < len(view):
            if offset + _FRAME.size > len(view):
                return self._broken(offset, "the file ends inside a record's frame")
            opcode, length = _FRAME.unpack_from(view, offset)
            start = offset + _FRAME.size
            if not Opcode.HEADER <= opcode <= Opcode.DATA_END:
                return self._broken(offset, f"no MCAP record begins here (opcode {opcode:#04x})")
            if start + length > len(view):
                return self._broken(offset, f"the file ends {start + length - len(view)} bytes inside a record")
            if opcode == Opcode.DATA_END:
                return True
            self._record(opcode, view[start : start + length], offset)
            offset = start + length
        return self._broken(offset, "the file ends without a footer")

    def _broken(self, offset: int, what: str) -> bool:
        self.damages.append(Damage(offset, what))
        return False

    def _record(self, opcode: int, body: memoryview, offset: int) -> None:
        """One record of the data section, or of a chunk; `offset` is where to report damage."""
        try:
            if opcode == Opcode.MESSAGE:
                self._message(body, offset)
            elif opcode == Opcode.CHUNK:
                self._chunk(Chunk.read(_stream(body)), offset)
            elif opcode == Opcode.SCHEMA:
                schema = Schema.read(_stream(body))
                self._schemas[schema.id] = schema
            elif opcode == Opcode.CHANNEL:
                self._channel(McapChannel.read(_stream(body)))
            elif opcode == Opcode.METADATA:
                record = Metadata.read(_stream(body))
                if record.name == METADATA_NAME:
                    self.metadata = SessionMetadata.from_record(record.metadata)
        except _BROKEN_RECORD as error:
            self.damages.append(Damage(offset, f"{Opcode(opcode).name.lower()} record lost: {error}"))

    def _chunk(self, chunk: Chunk, offset: int) -> None:
        """The records inside a chunk whose checksum holds."""
        stream, length = get_chunk_data_stream(chunk, validate_crc=True)
        view = memoryview(stream.read(length))
        position = 0
        while position + _FRAME.size <= len(view):
            opcode, length = _FRAME.unpack_from(view, position)
            start = position + _FRAME.size
            if start + length > len(view):
                self.damages.append(Damage(offset, "the end of a chunk lost: its last record is cut short"))
                return
            self._record(opcode, view[start : start + length], offset)
            position = start + length

    def _channel(self, channel: McapChannel) -> None:
        """Registers a channel after its schema proved to be ours to the letter."""
        self.topics.add(channel.topic)
        expected = CHANNELS.get(channel.topic)
        if expected is None:
            return
        schema = self._schemas.get(channel.schema_id)
        if schema is None or schema.data.decode("utf-8", errors="replace") != expected.ros2msg:
            raise ForeignLogError(
                expected=f"the schema {expected.schema_name} of this release on {channel.topic} in {self.path}",
                found="no schema" if schema is None else f"another text under the name {schema.name!r}",
                remedy="Read the log with the release that wrote it.",
            )
        self._sinks[channel.id] = (self.payloads[channel.topic], expected.dtype.itemsize)

    def _message(self, body: memoryview, offset: int) -> None:
        channel_id = _MESSAGE_HEADER.unpack_from(body)[0]
        sink = self._sinks.get(channel_id)
        if sink is None:
            return
        payloads, size = sink
        payload = body[_MESSAGE_HEADER.size :]
        if len(payload) == size:
            payloads.append(payload)
        else:
            self.damages.append(Damage(offset, f"message lost: {len(payload)} bytes, expected {size}"))


def _stream(body: memoryview) -> ReadDataStream:
    return ReadDataStream(io.BytesIO(body))
