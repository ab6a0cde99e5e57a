"""MCAP files written a block of messages at a time.

The stock writer spends tens of microseconds of Python a message, too much for 1000 messages a second on the robot.
All our messages of a topic have one size, so a block of them is one NumPy array whose rows are MCAP message records:

    | opcode | length | channel | sequence | log_time | publish_time | payload (log_schema's dtype, CDR) |
       u1       u8        u2        u4          u8          u8

and a chunk is those arrays' bytes, compressed. The records around the chunks are the mcap package's own, so every MCAP
reader reads the result. (zstandard comes with mcap.) Specification: https://mcap.dev/spec.
"""

from __future__ import annotations

import struct
import zlib
from typing import Dict, Mapping, NamedTuple, Protocol, Sequence

import numpy as np
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)
from mcap.writer import MCAP0_MAGIC, zstandard

from offline_data import log_schema

COMPRESSION = "zstd"
COMPRESSION_LEVEL = 1
"""On a log of the twin, level 1 shrinks a chunk to 1/3.4 at 1.5 us a link tick, level 3 to 1/3.5 at 2.6 us,
lz4 to 1/2.9 at 0.8 us; uncompressed it would be 19 MB a minute."""

_PREFIX = [
    ("opcode", "u1"),
    ("length", "<u8"),
    ("channel", "<u2"),
    ("sequence", "<u4"),
    ("log_time", "<u8"),
    ("publish_time", "<u8"),
]
_OPCODE_AND_LENGTH_BYTES = 9
_LATEST = 2**64 - 1


class Stream(Protocol):
    """Where the bytes go."""

    def write(self, content: bytes) -> int:
        """Take all of `content`."""
        ...

    def flush(self) -> None:
        """The file is whole up to here."""
        ...


class MessageBlock(NamedTuple):
    """Messages of one channel, ready to be written."""

    channel_id: int
    log_times_ns: np.ndarray
    """(n,) int64, ascending."""
    records: bytes
    """The n message records, one after the other."""


def message_records(channel: log_schema.Channel, channel_id: int, count: int) -> np.ndarray:
    """`count` message records of a channel: all but sequence, times and the payload's fields are filled in already."""
    records = np.zeros(count, dtype=_PREFIX + [("payload", channel.dtype)])
    records["opcode"] = Opcode.MESSAGE
    records["length"] = records.dtype.itemsize - _OPCODE_AND_LENGTH_BYTES
    records["channel"] = channel_id
    records["payload"]["cdr_header"] = log_schema.CDR_LITTLE_ENDIAN
    return records


_SCHEMA_IDS = {topic: index + 1 for index, topic in enumerate(log_schema.CHANNELS)}


def channel_id(topic: str, source: int) -> int:
    """MCAP channel number of a topic's messages from one source: each source numbers its messages itself."""
    return _SCHEMA_IDS[topic] + source * len(_SCHEMA_IDS)


def topic_of(channel: int) -> str:
    """The topic of an MCAP channel number."""
    return tuple(_SCHEMA_IDS)[(channel - 1) % len(_SCHEMA_IDS)]


class BlockMcapWriter:
    """Writes header, metadata and channels at once, then a chunk per `write_chunk`, then the index in `finish`.

    Args:
        sources: names of the processes whose messages the file holds; a channel's number tells topic and source.

    Whatever was written before a crash is readable: each chunk is complete and flushed to the operating system.

    Raises:
        OSError: from the stream, in any method.
    """

    def __init__(self, stream: Stream, metadata_name: str, metadata: Mapping[str, str], sources: Sequence[str]) -> None:
        self._stream = stream
        self._position = 0
        self._compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        self.chunks = 0
        """Chunks written."""
        # As bytes, not as objects: a recording of hours has hundreds of thousands of chunks.
        self._chunk_indexes = bytearray()
        self._message_counts: Dict[int, int] = {}
        self._start_ns, self._end_ns = _LATEST, 0
        self._schemas = [
            Schema(
                id=_SCHEMA_IDS[topic],
                name=channel.schema_name,
                encoding=log_schema.SCHEMA_ENCODING,
                data=channel.ros2msg.encode("utf-8"),
            )
            for topic, channel in log_schema.CHANNELS.items()
        ]
        self._channels = [
            Channel(
                id=channel_id(topic, number),
                topic=topic,
                message_encoding=log_schema.MESSAGE_ENCODING,
                metadata={"source": source},
                schema_id=schema,
            )
            for number, source in enumerate(sources)
            for topic, schema in _SCHEMA_IDS.items()
        ]
        self._write(MCAP0_MAGIC + _bytes_of([Header(profile=log_schema.PROFILE, library=log_schema.PROFILE)]))
        record = _bytes_of([Metadata(name=metadata_name, metadata=dict(metadata))])
        self._metadata_index = MetadataIndex(offset=self._position, length=len(record), name=metadata_name)
        self._write(record + _bytes_of(self._schemas) + _bytes_of(self._channels))
        self._stream.flush()

    def write_chunk(self, blocks: Sequence[MessageBlock]) -> None:
        """Write the blocks as one compressed chunk with its message indexes, and flush."""
        blocks = [block for block in blocks if block.records]
        if not blocks:
            return
        content = b"".join(block.records for block in blocks)
        start = min(int(block.log_times_ns.min()) for block in blocks)
        end = max(int(block.log_times_ns.max()) for block in blocks)
        compressed = self._compressor.compress(content)
        chunk = _bytes_of([Chunk(COMPRESSION, compressed, end, start, zlib.crc32(content), len(content))])
        index_offsets, index_records, offset_in_chunk = {}, b"", 0
        for block in blocks:
            index_offsets[block.channel_id] = self._position + len(chunk) + len(index_records)
            index_records += _message_index(block, offset_in_chunk)
            offset_in_chunk += len(block.records)
            count = len(block.log_times_ns)
            self._message_counts[block.channel_id] = self._message_counts.get(block.channel_id, 0) + count
        index = ChunkIndex(
            chunk_length=len(chunk),
            chunk_start_offset=self._position,
            compression=COMPRESSION,
            compressed_size=len(compressed),
            message_end_time=end,
            message_index_length=len(index_records),
            message_index_offsets=index_offsets,
            message_start_time=start,
            uncompressed_size=len(content),
        )
        self._chunk_indexes += _bytes_of([index])
        self.chunks += 1
        self._start_ns, self._end_ns = min(self._start_ns, start), max(self._end_ns, end)
        self._write(chunk + index_records)
        self._stream.flush()

    def finish(self) -> None:
        """Write the index that lets a reader seek; the stream stays open."""
        self._write(_bytes_of([DataEnd(data_section_crc=0)]))
        summary_start = self._position
        groups = (
            (Opcode.SCHEMA, _bytes_of(self._schemas)),
            (Opcode.CHANNEL, _bytes_of(self._channels)),
            (Opcode.STATISTICS, _bytes_of([self._statistics()])),
            (Opcode.CHUNK_INDEX, bytes(self._chunk_indexes)),
            (Opcode.METADATA_INDEX, _bytes_of([self._metadata_index])),
        )
        summary, offsets = b"", []
        for opcode, group in groups:
            if group:
                offsets.append(SummaryOffset(opcode, summary_start + len(summary), len(group)))
            summary += group
        offset_start = summary_start + len(summary)
        summary += _bytes_of(offsets)
        # The footer's CRC covers the summary and the footer up to the CRC itself.
        covered_footer = struct.pack("<BQQQ", Opcode.FOOTER, 20, summary_start, offset_start)
        footer = Footer(summary_start, offset_start, zlib.crc32(covered_footer, zlib.crc32(summary)))
        self._write(summary + _bytes_of([footer]) + MCAP0_MAGIC)
        self._stream.flush()

    def _statistics(self) -> Statistics:
        return Statistics(
            attachment_count=0,
            channel_count=len(self._channels),
            channel_message_counts=dict(self._message_counts),
            chunk_count=self.chunks,
            message_count=sum(self._message_counts.values()),
            metadata_count=1,
            message_start_time=self._start_ns if self.chunks else 0,
            message_end_time=self._end_ns,
            schema_count=len(self._schemas),
        )

    def _write(self, content: bytes) -> None:
        self._stream.write(content)
        self._position += len(content)


def _bytes_of(records: Sequence[McapRecord]) -> bytes:
    builder = RecordBuilder()
    for record in records:
        record.write(builder)
    return bytes(builder.end())


def _message_index(block: MessageBlock, offset_in_chunk: int) -> bytes:
    """The MessageIndex record of a block: (log time, offset in the uncompressed chunk) of every message."""
    count = len(block.log_times_ns)
    entries = np.zeros(count, dtype=[("log_time", "<u8"), ("offset", "<u8")])
    entries["log_time"] = block.log_times_ns
    entries["offset"] = offset_in_chunk + np.arange(count) * (len(block.records) // max(count, 1))
    head = struct.pack("<BQHI", Opcode.MESSAGE_INDEX, 6 + entries.nbytes, block.channel_id, entries.nbytes)
    return head + entries.tobytes()
