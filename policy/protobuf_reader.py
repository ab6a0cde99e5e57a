"""A strict reader of protobuf's wire format: only fields that a rule names, each bounded, nothing merged or skipped.

Ordinary parsers skip what they do not know, merge fields that come twice and accept several spellings of a number. Two
parsers can then disagree about one file. Here every such liberty is an error, so that what was checked is what every
other parser will see. Wire format: protobuf's "Encoding" page (varint 0, 64 bit 1, length-delimited 2, 32 bit 5).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple

from policy.bundle_error import BundleError, untrusted

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
_FIXED_SIZES = {FIXED_64: 8, FIXED_32: 4}
_LONGEST_VARINT = 10  # bytes of a 64-bit number, seven bits each
_PRINTABLE = re.compile(rb"[\x20-\x7e]*")


class WireField(NamedTuple):
    """One field as it stands in the bytes: a number for VARINT, the bytes themselves otherwise."""

    number: int
    wire_type: int
    value: Any


@dataclass(frozen=True)
class FieldRule:
    """What one field of a message may hold.

    Attributes:
        name: key of the parsed value.
        kind: integer (signed 64 bit), float (32 bit), text (printable ASCII), bytes, or message.
        limit: largest number of occurrences; 1 gives a single value, more give a list.
        size_limit: largest length of a text, of bytes or of a message [bytes].
        message: the rules of a nested message.
    """

    name: str
    kind: str
    limit: int = 1
    size_limit: int = 256
    message: Optional["MessageRule"] = None


@dataclass(frozen=True)
class MessageRule:
    """The fields that a message may hold, by number, and names for those it must not, for a clear refusal."""

    name: str
    fields: Dict[int, FieldRule]
    forbidden: Dict[int, str] = field(default_factory=dict)


def parse_message(content: bytes, rule: MessageRule) -> Dict[str, Any]:
    """Every allowed field by name; a field that may occur once is absent when it is not there, a list is always there.

    Raises:
        BundleError: a field without a rule, of another wire type, too often, too long, or badly encoded.
    """
    parsed: Dict[str, Any] = {entry.name: [] for entry in rule.fields.values() if entry.limit > 1}
    for found in wire_fields(content, rule.name):
        entry = rule.fields.get(found.number)
        if entry is None:
            name = rule.forbidden.get(found.number, f"field {found.number}")
            raise untrusted(f"no {name} in a {rule.name}", f"{name}")
        value = _value(found, entry, rule.name)
        if entry.limit > 1:
            parsed[entry.name].append(value)
            if len(parsed[entry.name]) > entry.limit:
                raise untrusted(f"at most {entry.limit} {entry.name} in a {rule.name}", "more")
        elif entry.name in parsed:
            raise untrusted(f"{entry.name} once in a {rule.name}", "it twice")
        else:
            parsed[entry.name] = value
    return parsed


def wire_fields(content: bytes, message: str) -> Iterator[WireField]:
    """The fields of a message in order; `message` names it in errors."""
    offset = 0
    while offset < len(content):
        key, offset = _varint(content, offset, message)
        number, wire_type = key >> 3, key & 7
        if number < 1 or wire_type not in (VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32):
            raise untrusted(f"a protobuf field in a {message}", f"number {number} of wire type {wire_type}")
        if wire_type == VARINT:
            integer, offset = _varint(content, offset, message)
            yield WireField(number, wire_type, integer)
            continue
        if wire_type == LENGTH_DELIMITED:
            size, offset = _varint(content, offset, message)
        else:
            size = _FIXED_SIZES[wire_type]
        if size > len(content) - offset:
            raise _truncated(message)
        yield WireField(number, wire_type, content[offset : offset + size])
        offset += size


def _varint(content: bytes, offset: int, message: str) -> Tuple[int, int]:
    """An unsigned 64-bit number in its shortest spelling, and where it ends."""
    value = 0
    for index in range(_LONGEST_VARINT):
        if offset + index >= len(content):
            raise _truncated(message)
        byte = content[offset + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            # A last byte of zero adds nothing, unless it is the only one.
            if value >= 1 << 64 or (index and not byte):
                break
            return value, offset + index + 1
    raise untrusted(f"numbers of 64 bits in their shortest form in a {message}", "another encoding")


def _value(found: WireField, rule: FieldRule, message: str) -> Any:
    wanted = {"integer": VARINT, "float": FIXED_32}.get(rule.kind, LENGTH_DELIMITED)
    if found.wire_type != wanted:
        raise untrusted(f"wire type {wanted} for {rule.name} of a {message}", f"{found.wire_type}")
    if rule.kind == "integer":
        return found.value - (1 << 64) if found.value >= 1 << 63 else found.value
    if rule.kind == "float":
        (number,) = struct.unpack("<f", found.value)
        return number
    if len(found.value) > rule.size_limit:
        raise untrusted(f"at most {rule.size_limit} bytes in {rule.name} of a {message}", f"{len(found.value)} bytes")
    if rule.message is not None:
        return parse_message(found.value, rule.message)
    if rule.kind == "text":
        return _text(found.value, rule.name, message)
    return found.value


def _text(content: bytes, name: str, message: str) -> str:
    if _PRINTABLE.fullmatch(content) is None:
        raise untrusted(f"printable ASCII in {name} of a {message}", f"{content!r:.80}")
    return content.decode("ascii")


def _truncated(message: str) -> BundleError:
    return untrusted(f"a whole {message}", "one that ends early")
