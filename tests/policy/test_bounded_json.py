"""JSON that nobody vouches for: too deep, too long, or spelled in another way than ours, it is refused."""

from __future__ import annotations

import json
import time

import pytest

from policy.bounded_json import MAX_DEPTH, MAX_DIGITS, parse_bounded_json
from policy.bundle_error import BundleError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "in JSON"),
        (b"{", "in JSON"),
        (b"\xff{}", "in JSON"),
        (b"[]", "an object"),
        (b"7", "an object"),
        (b" {}", "canonical"),
        (b"{}\n", "canonical"),
        (b'{"b":1,"a":2}', "canonical"),
        (b'{"a":1.50}', "canonical"),
        (b'{"a":1,"a":2}', r"twice: \['a'\]"),
        (b'{"a":1,"b":3,"a":2}', r"twice: \['a'\]"),
        (b'{"a":NaN}', "finite"),
        (b'{"a":-Infinity}', "finite"),
        (b'{"a":1e999}', "finite"),
        (b'{"a":[[],[],' + b"[" * 7 + b"]" * 7 + b"]}", "nested"),  # what has been closed counts once
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "nested"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 50_000, "nested"),
        (b'{"a":' + b"9" * (MAX_DIGITS + 1) + b"}", "digits"),
        (b'{"a":' + b"9" * 200_000 + b"}", "digits"),
        ('{"a":"ä"}'.encode(), "in JSON"),
    ],
)
def test_json_that_no_exporter_writes_is_refused(text: bytes, message: str) -> None:
    started_s = time.process_time()
    with pytest.raises(BundleError, match=message):
        parse_bounded_json(text, "it")
    assert time.process_time() - started_s < 1.0


def test_json_at_its_bounds_is_read() -> None:
    assert (MAX_DEPTH, MAX_DIGITS) == (8, 64)
    assert parse_bounded_json(b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}", "it")
    assert parse_bounded_json(b'{"a":[[],[],' + b"[" * 6 + b"]" * 6 + b"]}", "it")
    assert parse_bounded_json(b'{"a":' + b"9" * MAX_DIGITS + b"}", "it")
    text = json.dumps({"a": '[[[[[[[[[["\\' + "9" * 99}, separators=(",", ":")).encode()
    assert parse_bounded_json(text, "it") == json.loads(text)
