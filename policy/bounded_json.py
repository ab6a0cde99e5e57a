"""JSON from a file that nobody vouches for: bounded before it is parsed, canonical afterwards."""

from __future__ import annotations

import json
import re
from typing import Any, Dict, List, Tuple

from policy.bundle_error import untrusted
from robot_configs.robot import canonical_json

MAX_DEPTH = 8
"""Lists and objects inside each other; a bundle's header needs six."""

MAX_DIGITS = 64
"""In one number: Python reads a number of a million digits in quadratic time."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LONG_NUMBER = re.compile(rb"[0-9.eE+-]{%d}" % (MAX_DIGITS + 1))
_BRACKET = re.compile(rb"[\[{]|[\]}]")


def parse_bounded_json(text: bytes, what: str) -> Dict[str, Any]:
    """A JSON object in its canonical spelling: sorted keys, each once, no blanks, finite numbers.

    The caller bounds the length. What is equal in meaning but spelled otherwise is refused as well: then the bytes that
    were sealed are the only ones that can say this.

    Raises:
        BundleError: nested too deep, a number too long, no JSON, or not canonical.
    """
    bare = _STRING.sub(b"", text)
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise untrusted(f"{what} nested at most {MAX_DEPTH} deep", "deeper")
    if _LONG_NUMBER.search(bare):
        raise untrusted(f"numbers of at most {MAX_DIGITS} digits in {what}", "a longer one")
    try:
        content = json.loads(text.decode("ascii"), object_pairs_hook=_each_key_once)
    except ValueError as error:
        raise untrusted(f"{what} in JSON", f"{error}") from None
    if not isinstance(content, dict):
        raise untrusted(f"an object as {what}", f"{type(content).__name__}")
    try:
        canonical = canonical_json(content).encode()
    except ValueError as error:  # infinities and NaN, which Python's parser lets in
        raise untrusted(f"finite numbers in {what}", f"{error}") from None
    if canonical != text:
        raise untrusted(f"{what} in canonical JSON (sorted keys, no blanks)", "another spelling")
    return content


def _each_key_once(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise untrusted("every key once", f"twice: {twice}")
    return content
