"""The log format: one table makes both the ros2msg text and the dtype; both must mean the same bytes."""

import struct

import numpy as np
import pytest

from offline_data.log_schema import (
    CHANNELS,
    EVENT,
    LOW_STATE,
    POLICY_TICK,
    TEXT_BYTES,
    Channel,
    Field,
    SchemaError,
    SessionMetadata,
    decode_text,
    encode_text,
)

CDR = {
    "int64": "q",
    "float64": "d",
    "float32": "f",
    "uint32": "I",
    "int32": "i",
    "int16": "h",
    "int8": "b",
    "uint8": "B",
}


def decode_cdr(definition: str, payload: bytes) -> dict[str, tuple]:
    """A decoder of our own reading of CDR: every element aligned to its width from the end of the 4-byte header."""
    assert payload[:4] == b"\x00\x01\x00\x00"
    body, offset, values = payload[4:], 0, {}
    for line in definition.splitlines():
        kind, name = line.split("#")[0].split()
        count = 1
        if "[" in kind:
            kind, size = kind.rstrip("]").split("[")
            count = int(size)
        width = struct.calcsize("<" + CDR[kind])
        offset += -offset % width
        values[name] = struct.unpack_from(f"<{count}{CDR[kind]}", body, offset)
        offset += count * width
    assert offset == len(body)
    return values


@pytest.mark.parametrize("channel", CHANNELS.values(), ids=lambda channel: channel.topic)
def test_schema_text_and_dtype_read_the_same_bytes(channel: Channel) -> None:
    message = channel.zeros(1)
    random = np.random.default_rng(0)
    for field in channel.fields:
        message[field.name] = random.integers(0, 100, message[field.name].shape)
    decoded = decode_cdr(channel.ros2msg, message.tobytes())
    assert list(decoded) == [field.name for field in channel.fields]
    for name, values in decoded.items():
        assert values == tuple(np.ravel(message[name][0]).tolist())


def test_sizes_by_hand() -> None:
    # header 4 + stamps 16 + float32 x (4 + 3 + 3 + 36) + 4 + 4 + 4 + feet 8 + 12 + 12 + 1 + 1 + remote 40
    assert LOW_STATE.dtype.itemsize == 4 + 16 + 4 * 46 + 12 + 8 + 66
    assert EVENT.dtype.itemsize == 4 + 16 + 4 + 3 + TEXT_BYTES
    assert POLICY_TICK.dtype["command"].shape == (16,)


def test_narrow_before_wide_is_refused() -> None:
    with pytest.raises(SchemaError, match="'wide'.*8 bytes.*after one of 4"):
        Channel("/x", "x/msg/X", (Field("narrow", "float32", 1, ""), Field("wide", "int64", 1, "")))


@pytest.mark.parametrize("text", ["", "tilt 1.1 rad", "ü" * 48, "a" * TEXT_BYTES])
def test_text_round_trip(text: str) -> None:
    assert decode_text(encode_text(text)) == text


def test_long_text_is_cut_between_characters() -> None:
    assert decode_text(encode_text("a" + "ü" * 60)) == "a" + "ü" * 47  # 1 + 94 bytes; the 95th would be half a letter


def test_metadata_round_trip_and_refusals() -> None:
    metadata = SessionMetadata("run-1", "{}", "ab", "cd", '{"speed": 1}')
    record = metadata.to_record()
    assert all(isinstance(value, str) for value in record.values())
    assert SessionMetadata.from_record(record) == metadata
    with pytest.raises(SchemaError, match="without.*robot_sha256"):
        SessionMetadata.from_record({key: value for key, value in record.items() if key != "robot_sha256"})
    with pytest.raises(SchemaError, match="version 1; found '99'"):
        SessionMetadata.from_record({**record, "format_version": "99"})
