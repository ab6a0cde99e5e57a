"""The wire format of protobuf: what is read, and which liberties are refused."""

from dataclasses import FrozenInstanceError

import pytest

from policy.bundle import BundleError
from policy.protobuf_reader import FieldRule, MessageRule, parse_message


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


RULE = MessageRule(
    "Test",
    {
        1: FieldRule("number", "integer"),
        2: FieldRule("names", "text", 2, 4),
        3: FieldRule("real", "float"),
        4: FieldRule("raw", "bytes", size_limit=3),
    },
    {9: "secret"},
)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**63 - 1, -1, -(2**63)])
def test_numbers_are_read_signed(value: int) -> None:
    assert parse_message(b"\x08" + varint(value % 2**64), RULE) == {"names": [], "number": value}


def test_every_kind_is_read() -> None:
    content = b"\x12\x01a\x12\x04bcde\x1d\x00\x00\x80\x3f\x22\x03\x00\x01\x02"
    assert parse_message(content, RULE) == {"names": ["a", "bcde"], "real": 1.0, "raw": b"\x00\x01\x02"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x08", "ends early"),
        (b"\x08\x80", "ends early"),
        (b"\x08\x80\x00", "shortest form"),
        (b"\x08" + b"\xff" * 10, "shortest form"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "shortest form"),
        # 2^64 itself, the smallest number that is too large.
        (b"\x08" + b"\x80" * 9 + b"\x02", "shortest form"),
        (b"\x80" * 11, "shortest form"),
        (b"\x12\x05abc", "ends early"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "ends early"),
        (b"\x1d\x00\x00", "ends early"),
        (b"\x0b", "wire type 3"),
        (b"\x0c", "wire type 4"),
        (b"\x0e", "wire type 6"),
        (b"\x0f", "wire type 7"),
        (b"\x00\x01", "number 0"),
        (b"\x0d\x00\x00\x00\x00", "wire type 0 for number"),
        (b"\x11" + bytes(8), "wire type 2 for names"),
        (b"\x10\x01", "wire type 2 for names"),
        (b"\x08\x01\x08\x01", "number once"),
        (b"\x12\x01a" * 3, "at most 2 names"),
        (b"\x12\x05abcde", "at most 4 bytes in names"),
        (b"\x22\x04abcd", "at most 3 bytes in raw"),
        (b"\x12\x01\x7f", "printable ASCII"),
        (b"\x12\x01\x1f", "printable ASCII"),
        (b"\x48\x01", "no secret in a Test"),
        (b"\x49" + bytes(8), "no secret in a Test"),
        (b"\x49" + bytes(7), "ends early"),
        (b"\x50\x01", "no field 10 in a Test"),
    ],
)
def test_liberties_of_the_wire_format_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        parse_message(content, RULE)


def test_a_message_inside_a_message_has_its_own_rules() -> None:
    outer = MessageRule("Outer", {1: FieldRule("inner", "message", message=RULE, size_limit=6)})
    assert parse_message(b"\x0a\x05\x08\x07\x12\x01a", outer) == {"inner": {"number": 7, "names": ["a"]}}
    with pytest.raises(BundleError, match="at most 6 bytes in inner of a Outer"):
        parse_message(b"\x0a\x07\x08\x07\x12\x03abc", outer)
    with pytest.raises(BundleError, match="number once in a Test"):
        parse_message(b"\x0a\x04\x08\x01\x08\x01", outer)


def test_without_another_limit_a_field_comes_once_with_at_most_256_bytes() -> None:
    rule = FieldRule("name", "text")
    assert (rule.limit, rule.size_limit) == (1, 256)
    message = MessageRule("Short", {1: rule})
    assert parse_message(b"\x0a" + varint(256) + b"x" * 256, message) == {"name": "x" * 256}
    with pytest.raises(BundleError, match="at most 256 bytes in name"):
        parse_message(b"\x0a" + varint(257) + b"x" * 257, message)


def test_rules_can_not_be_relaxed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        RULE.fields = {}  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        RULE.fields[1].limit = 2  # type: ignore[misc]
