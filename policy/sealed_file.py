"""The container of a bundle: a header in JSON and sections of bytes under one SHA-256. Knows nothing of policies.

Layout (little endian)::

    magic 8 | header size u32 | header: canonical JSON | sections, back to back | SHA-256 of all bytes before it, 32

The header lists the sections with their sizes. Nothing is parsed before the digest over the whole file agrees. No
pickle, no archive, no compression, no file names: there is nothing to unpack that could be larger than the file or land
elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

from policy.bounded_json import parse_bounded_json
from policy.bundle_error import BundleError, untrusted
from robot_configs.robot import canonical_json

MAGIC = b"GO1POL\x00\x01"
MAX_FILE_BYTES = 16 * 2**20
MAX_HEADER_BYTES = 2**18
DIGEST_BYTES = 32
_HEADER_SIZE = struct.Struct("<I")
_HEADER_START = len(MAGIC) + _HEADER_SIZE.size
SMALLEST_FILE_BYTES = _HEADER_START + DIGEST_BYTES


class SealedFile(NamedTuple):
    """What the container holds; `header` still has its list of sections."""

    header: Dict[str, Any]
    sections: Dict[str, bytes]
    sha256: str
    """The seal: digest of everything before it, in hexadecimal."""


def seal(header: Dict[str, Any], sections: List[Tuple[str, bytes]]) -> bytes:
    """The bytes of a sealed file; the list of sections is added to the header."""
    listed = {**header, "sections": [[name, len(content)] for name, content in sections]}
    header_bytes = canonical_json(listed).encode()
    body = b"".join([MAGIC, _HEADER_SIZE.pack(len(header_bytes)), header_bytes, *(content for _, content in sections)])
    return body + hashlib.sha256(body).digest()


def unseal(content: bytes, section_names: Tuple[str, ...]) -> SealedFile:
    """Check the seal, then take the file apart.

    Args:
        section_names: exactly these, in this order.

    Raises:
        BundleError: too large, too small, another kind of file, a broken seal, a header or sections out of bounds.
    """
    if len(content) > MAX_FILE_BYTES:
        raise untrusted(f"a file of at most {MAX_FILE_BYTES} bytes", f"{len(content)} bytes")
    if not content.startswith(MAGIC):
        raise BundleError("a policy bundle", f"a file that starts with {content[:8]!r}", "Give a .go1policy file.")
    if len(content) < SMALLEST_FILE_BYTES:
        raise untrusted(f"a file of at least {SMALLEST_FILE_BYTES} bytes", f"{len(content)} bytes")
    body, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise untrusted("the seal (SHA-256) to match the content", "another one: bytes were changed or lost")
    (header_size,) = _HEADER_SIZE.unpack_from(body, len(MAGIC))
    if header_size > min(MAX_HEADER_BYTES, len(body) - _HEADER_START):
        raise untrusted(f"a header of at most {MAX_HEADER_BYTES} bytes inside the file", f"{header_size} bytes")
    sections_start = _HEADER_START + header_size
    header = parse_bounded_json(body[_HEADER_START:sections_start], "the header")
    sizes = _section_sizes(header.get("sections"), section_names)
    if sections_start + sum(sizes) != len(body):
        raise untrusted(
            f"sections that fill the file's {len(body) - sections_start} bytes", f"{sum(sizes)} bytes listed"
        )
    sections = {}
    offset = sections_start
    for name, size in zip(section_names, sizes):
        sections[name] = body[offset : offset + size]
        offset += size
    return SealedFile(header, sections, digest.hex())


def read_bounded(path: Path, limit: int) -> bytes:
    """A regular file's bytes, at most `limit` of them, however long it claims or turns out to be.

    Raises:
        BundleError: no such file, or a longer one.
    """
    if not path.is_file():
        raise BundleError(f"a policy bundle at {path}", "no file", "Check the path.")
    with open(path, "rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise untrusted(f"a file of at most {limit} bytes", f"{os.path.getsize(path)} bytes")
    return content


def _section_sizes(table: Any, names: Tuple[str, ...]) -> List[int]:
    """Sizes from the header's list [[name, size], ...]."""
    if not isinstance(table, list) or any(not isinstance(entry, list) or len(entry) != 2 for entry in table):
        raise untrusted("a list of sections with their sizes", f"{table!r:.80}")
    listed = [entry[0] for entry in table]
    if listed != list(names):
        raise untrusted(f"the sections {list(names)}", f"{listed!r:.80}")
    sizes = [entry[1] for entry in table]
    # bool is an int to Python; a negative size would let sections overlap.
    if any(type(size) is not int or size < 0 for size in sizes):
        raise untrusted("section sizes of at least zero bytes", f"{sizes!r:.80}")
    return sizes
