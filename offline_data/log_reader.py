"""Reads the robot's MCAP logs, whole channels at a time, and keeps what damaged files still hold.

A session is one file, or several: a recorder that was killed is replaced by one that goes on in the next part
(`<session>.mcap`, `<session>_part2.mcap`, ...), beginning with what the dead one may not have got into its file. The
parts are read as one log, repeated messages dropped by their sequence numbers. What was lost to damage is listed in
`Log.damages` with its byte offset (`mcap_walk`); only a file that holds no readable session at all is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mcap.opcode import Opcode
from mcap.records import Channel as McapChannel
from mcap.records import Metadata, Schema

from offline_data.log_schema import CHANNELS, METADATA_NAME, SchemaError, SessionMetadata
from offline_data.mcap_walk import BROKEN_RECORD, MAGIC, MESSAGE_HEADER, Damage, Record, Walk, stream_of
from robot_configs.errors import Go1Error

_PART = re.compile(r"(?P<session>.+)_part(?P<number>[1-9]\d*)")


class LogError(Go1Error):
    """A file cannot be read as one of our logs."""


class ForeignLogError(LogError):
    """The file is something else, or another program's MCAP."""


class EmptyLogError(LogError):
    """The file was one of ours, but it ends or breaks before the first message."""


@dataclass(frozen=True)
class Log:
    """One session: its metadata and one structured array per topic (dtype `Channel.dtype`), in the order of recording.

    Where several processes wrote to a topic, its messages are in the order of `monotonic_ns`.
    """

    path: Path
    """Its file, or the first of them."""
    metadata: SessionMetadata
    channels: dict[str, np.ndarray]
    damages: tuple[Damage, ...]
    complete: bool
    """Whether the (last) recorder closed its file; False after a crash or a power cut."""

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
    """The `.mcap` files below `path`, by name, which is by time; of a session in parts only the first.

    A file given as `path` is returned as it is.
    """
    if path.is_file():
        return [path]
    found = sorted(path.rglob("*.mcap"), key=_session_and_part) if path.is_dir() else []
    if not found:
        raise LogError(
            expected=f"a log or a folder of logs (*.mcap) at {path}",
            found="no such path" if not path.exists() else "no .mcap file in it",
            remedy="Give the folder that was passed to the runner as --log-dir.",
        )
    first_parts: dict[tuple[Path, str], Path] = {}
    for file in found:
        first_parts.setdefault(_session_and_part(file)[:2], file)
    return list(first_parts.values())


def session_parts(path: Path) -> list[Path]:
    """`path` and the later parts of its session beside it, in order."""
    folder, session, number = _session_and_part(path)
    others = [file for file in folder.glob("*.mcap") if file.name.startswith(f"{session}_part")]
    places = {file: _session_and_part(file) for file in others}
    later = [file for file, place in places.items() if place[1] == session and place[2] > number]
    return [path, *sorted(later, key=lambda file: places[file][2])]


def _session_and_part(path: Path) -> tuple[Path, str, int]:
    match = _PART.fullmatch(path.stem)
    return (path.parent, match["session"], int(match["number"])) if match else (path.parent, path.stem, 1)


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
    """One session: the log at `path` with the parts that follow it.

    Raises:
        ForeignLogError: not an MCAP file, no metadata record of ours, or a topic of ours with another schema.
        EmptyLogError: it breaks before the first message.
        SchemaError: the metadata record is incomplete or of another format version.
    """
    parts = session_parts(path)
    collector = _Collector(parts)
    for part in parts:
        collector.read(part)
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
    return Log(path, collector.metadata, collector.arrays(), tuple(collector.damages), collector.complete)


class _Collector:
    """What a pass over the parts of a session brings together: payloads by topic, and what was damaged."""

    def __init__(self, parts: list[Path]) -> None:
        self.metadata: SessionMetadata | None = None
        self.damages: list[Damage] = []
        self.complete = False
        self.topics: set[str] = set()
        self.payloads: dict[str, list[memoryview]] = {topic: [] for topic in CHANNELS}
        self._parts = parts
        self._path = parts[0]
        self._channels: dict[str, set[int]] = {topic: set() for topic in CHANNELS}
        """Topic -> channels that brought messages."""
        self._schemas: dict[int, Schema] = {}
        self._sinks: dict[int, tuple[str, int]] = {}
        """Channel id -> its topic and its payloads' size; other programs' topics are absent."""
        self._newest: dict[int, int] = {}
        """Channel id -> highest sequence number so far."""
        self._repeated_until: dict[int, int] = {}
        """The same of the parts before this one."""

    def arrays(self) -> dict[str, np.ndarray]:
        """One read-only structured array per topic."""
        arrays = {}
        for topic, payloads in self.payloads.items():
            array = np.frombuffer(b"".join(payloads), dtype=CHANNELS[topic].dtype)
            if len(self._channels[topic]) > 1:
                array = array[np.argsort(array["monotonic_ns"], kind="stable")]
                array.flags.writeable = False
            arrays[topic] = array
        return arrays

    def read(self, part: Path) -> None:
        """Take in one file.

        Raises:
            ForeignLogError: the only file is not an MCAP file, or it is of another session than those before.
        """
        self._path, content = part, part.read_bytes()
        self._schemas, self._sinks, self._repeated_until = {}, {}, dict(self._newest)
        if not content.startswith(MAGIC):
            kind = "an empty file" if not content else f"the first bytes {content[:8]!r}"
            if len(self._parts) == 1:
                raise ForeignLogError(f"{part} to be an MCAP file ({MAGIC!r})", kind, "Remove it from the log folder.")
            self.damages.append(Damage(0, f"{part.name}: {kind}"))
            self.complete = False
            return
        walk = Walk(content)
        for record in walk.records():
            try:
                self._take(record, walk)
            except BROKEN_RECORD as error:
                walk.lost(record, error)
        prefix = f"{part.name}: " if len(self._parts) > 1 else ""
        self.damages += [Damage(damage.offset, prefix + damage.what) for damage in walk.damages]
        self.complete = walk.complete

    def _take(self, record: Record, walk: Walk) -> None:
        if record.opcode == Opcode.MESSAGE:
            self._message(record, walk)
        elif record.opcode == Opcode.SCHEMA:
            schema = Schema.read(stream_of(record.body))
            self._schemas[schema.id] = schema
        elif record.opcode == Opcode.CHANNEL:
            self._channel(McapChannel.read(stream_of(record.body)))
        elif record.opcode == Opcode.METADATA:
            metadata = Metadata.read(stream_of(record.body))
            if metadata.name == METADATA_NAME:
                self._session(SessionMetadata.from_record(metadata.metadata))

    def _session(self, metadata: SessionMetadata) -> None:
        if self.metadata is not None and metadata.session_id != self.metadata.session_id:
            raise ForeignLogError(
                expected=f"a part of session {self.metadata.session_id!r} in {self._path}",
                found=f"session {metadata.session_id!r}",
                remedy="Give the file a name of its own.",
            )
        self.metadata = self.metadata or metadata

    def _channel(self, channel: McapChannel) -> None:
        """Registers a channel after its schema proved to be ours to the letter."""
        self.topics.add(channel.topic)
        expected = CHANNELS.get(channel.topic)
        if expected is None:
            return
        schema = self._schemas.get(channel.schema_id)
        if schema is None or schema.data.decode("utf-8", errors="replace") != expected.ros2msg:
            raise ForeignLogError(
                expected=f"the schema {expected.schema_name} of this release on {channel.topic} in {self._path}",
                found="no schema" if schema is None else f"another text under the name {schema.name!r}",
                remedy="Read the log with the release that wrote it.",
            )
        self._sinks[channel.id] = (channel.topic, expected.dtype.itemsize)

    def _message(self, record: Record, walk: Walk) -> None:
        channel_id, sequence, _, _ = MESSAGE_HEADER.unpack_from(record.body)
        sink = self._sinks.get(channel_id)
        if sink is None or sequence <= self._repeated_until.get(channel_id, -1):
            return
        topic, size = sink
        payload = record.body[MESSAGE_HEADER.size :]
        if len(payload) != size:
            walk.damages.append(Damage(record.offset, f"message lost: {len(payload)} bytes, expected {size}"))
            return
        self.payloads[topic].append(payload)
        self._channels[topic].add(channel_id)
        self._newest[channel_id] = max(sequence, self._newest.get(channel_id, -1))
