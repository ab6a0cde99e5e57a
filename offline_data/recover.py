"""Makes one clean, indexed MCAP file of whatever is left of a session, and says what is not.

The messages are copied as they are, by the stock MCAP writer, in the order they were found in; the input is only read.
Recovering what was recovered gives the same bytes again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mcap.opcode import Opcode
from mcap.records import Channel, Metadata, Schema
from mcap.writer import Writer

from offline_data.log_reader import ForeignLogError, LogError, session_parts
from offline_data.log_schema import METADATA_NAME, PROFILE
from offline_data.mcap_walk import BROKEN_RECORD, MAGIC, MESSAGE_HEADER, Record, Walk, stream_of


@dataclass(frozen=True)
class RecoverReport:
    """What came out of a session's files."""

    out: str
    parts: tuple[str, ...]
    """The files that were read, in order."""
    messages: dict[str, int]
    """Messages in the new file, by topic."""
    missing: dict[str, int]
    """Messages older than the newest one found that are in no file, by topic: damaged, or lost before the disk. A log
    that is not `complete` may have lost more, behind its newest message, which no file can count."""
    repeated: int
    """Messages that two parts held."""
    damages: tuple[str, ...]
    """What could not be read, and at which byte."""
    complete: bool
    """Whether the last part had been closed properly."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def recover_log(path: Path, out: Path) -> RecoverReport:
    """Write what is left of the log at `path`, and of the parts that follow it, to the new file `out`.

    Raises:
        ForeignLogError: no part is an MCAP file, or the parts are of different sessions.
        LogError: `path` does not exist, or `out` does.
    """
    if not path.is_file():
        raise LogError(f"a log at {path}", "no such file", "Give the .mcap file, of a divided session the first part.")
    parts = session_parts(path)
    contents = {part: part.read_bytes() for part in parts}
    if not any(content.startswith(MAGIC) for content in contents.values()):
        raise ForeignLogError(
            f"an MCAP file at {path}", f"{len(contents[path])} bytes that do not begin as one", "There is none to save."
        )
    with _new_file(out) as stream:
        copier = _Copier(stream)
        for part, content in contents.items():
            copier.copy(part, content)
        copier.writer.finish()
    return RecoverReport(
        str(out),
        tuple(part.name for part in parts),
        copier.messages,
        copier.missing(),
        copier.repeated,
        tuple(copier.damages),
        copier.complete,
    )


@contextmanager
def _new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when it is whole, or not at all."""
    if path.exists():
        raise LogError(f"no file at {path}", "one", "Choose another name with --out: nothing is ever overwritten.")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with unfinished.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class _Copier:
    """Copies records of one file after the other, channels and schemas renumbered."""

    def __init__(self, stream: BinaryIO) -> None:
        self.writer = Writer(stream)
        self.writer.start(profile=PROFILE, library=PROFILE)
        self.messages: dict[str, int] = {}
        self.repeated = 0
        self.damages: list[str] = []
        self.complete = False
        self._session: str | None = None
        self._metadata_seen: set[str] = set()
        self._known_schemas: dict[tuple[str, str, bytes], int] = {}
        self._known_channels: dict[tuple[Any, ...], int] = {}
        self._schemas: dict[int, int] = {}
        self._channels: dict[int, tuple[int, str]] = {}
        """Channel in the part -> channel in the new file, and its topic."""
        self._newest: dict[int, int] = {}
        """Channel in the new file -> highest sequence number so far."""
        self._counts: dict[int, int] = {}
        self._repeated_until: dict[int, int] = {}

    def copy(self, part: Path, content: bytes) -> None:
        """Copy what is left of one part."""
        self._schemas, self._channels, self._repeated_until = {}, {}, dict(self._newest)
        if not content.startswith(MAGIC):
            self.damages.append(f"{part.name}: no MCAP file ({len(content)} bytes)")
            self.complete = False
            return
        walk = Walk(content)
        for record in walk.records():
            try:
                self._take(record, part)
            except BROKEN_RECORD as error:
                walk.lost(record, error)
        self.damages += [f"{part.name}: {damage.what} (at byte {damage.offset})" for damage in walk.damages]
        self.complete = walk.complete

    def missing(self) -> dict[str, int]:
        """Holes in the numbers of messages, by topic."""
        missing = dict.fromkeys(self.messages, 0)
        topics = {channel: key[0] for key, channel in self._known_channels.items()}
        for channel, newest in self._newest.items():
            # A writer that does not number its messages leaves all of them at zero.
            missing[topics[channel]] += max(0, newest + 1 - self._counts[channel])
        return missing

    def _take(self, record: Record, part: Path) -> None:
        if record.opcode == Opcode.MESSAGE:
            self._message(record)
        elif record.opcode == Opcode.SCHEMA:
            schema = Schema.read(stream_of(record.body))
            text = (schema.name, schema.encoding, schema.data)
            if text not in self._known_schemas:
                self._known_schemas[text] = self.writer.register_schema(*text)
            self._schemas[schema.id] = self._known_schemas[text]
        elif record.opcode == Opcode.CHANNEL:
            self._channel(Channel.read(stream_of(record.body)))
        elif record.opcode == Opcode.METADATA:
            self._metadata(Metadata.read(stream_of(record.body)), part)

    def _channel(self, channel: Channel) -> None:
        schema = self._schemas.get(channel.schema_id, 0)  # 0: MCAP's number for "no schema"
        description = (channel.topic, channel.message_encoding, schema)
        known = (*description, tuple(sorted(channel.metadata.items())))
        if known not in self._known_channels:
            self._known_channels[known] = self.writer.register_channel(*description, metadata=channel.metadata)
        self._channels[channel.id] = (self._known_channels[known], channel.topic)

    def _metadata(self, metadata: Metadata, part: Path) -> None:
        if metadata.name == METADATA_NAME:
            session = metadata.metadata.get("session_id")
            if self._session not in (None, session):
                raise ForeignLogError(
                    f"a part of session {self._session!r} in {part}", f"{session!r}", "Give the file a name of its own."
                )
            self._session = session
        if metadata.name not in self._metadata_seen:
            self._metadata_seen.add(metadata.name)
            self.writer.add_metadata(metadata.name, metadata.metadata)

    def _message(self, record: Record) -> None:
        number, sequence, log_time, publish_time = MESSAGE_HEADER.unpack_from(record.body)
        if number not in self._channels:
            return
        channel, topic = self._channels[number]
        if sequence <= self._repeated_until.get(channel, -1):
            self.repeated += 1
            return
        payload = bytes(record.body[MESSAGE_HEADER.size :])
        self.writer.add_message(channel, log_time, payload, publish_time, sequence)
        self.messages[topic] = self.messages.get(topic, 0) + 1
        self._counts[channel] = self._counts.get(channel, 0) + 1
        self._newest[channel] = max(sequence, self._newest.get(channel, -1))
