"""Verification of Ed25519 signatures (RFC 8032, section 5.1) in plain Python; there is no signing here.

The robot has four packages, none of them for cryptography, and its OpenSSH (7.6 on Ubuntu 18.04) is older than the
`ssh-keygen -Y verify` of OpenSSH 8.1. Verification handles public values only, so it need not run in constant time; it
takes some ten milliseconds. Held to RFC 8032's own vectors, to OpenSSH and to the `cryptography` package by tests.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple, Optional

KEY_BYTES, SIGNATURE_BYTES = 32, 64
_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_SQRT_MINUS_ONE = pow(2, (_P - 1) // 4, _P)


class _Point(NamedTuple):
    """Extended coordinates: x = X/Z, y = Y/Z, x y = T/Z (RFC 8032, 5.1.4)."""

    x: int
    y: int
    z: int
    t: int


_NEUTRAL = _Point(0, 1, 1, 0)


def is_valid_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether [S]B = R + [k]A with k = SHA-512(R, A, message); without the cofactor, as OpenSSH has it.

    Encodings that are not the shortest of their number are refused, and so are keys of small order, under which one
    signature fits any message.
    """
    if len(public_key) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    key, commitment = _decoded(public_key), _decoded(signature[:32])
    scalar = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= _ORDER or _equal(_times(8, key), _NEUTRAL):
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % _ORDER
    return _equal(_times(scalar, _BASE), _sum(commitment, _times(challenge, key)))


def _decoded(encoding: bytes) -> Optional[_Point]:
    """A point from 255 bits of y and the sign of x (RFC 8032, 5.1.3); None where there is no such point."""
    number = int.from_bytes(encoding, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P == -u % _P:
        x = x * _SQRT_MINUS_ONE % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    x = _P - x if x & 1 != sign else x
    return _Point(x, y, 1, x * y % _P)


def _sum(p: _Point, q: _Point) -> _Point:
    a, b = (p.y - p.x) * (q.y - q.x) % _P, (p.y + p.x) * (q.y + q.x) % _P
    c, d = 2 * p.t * q.t * _D % _P, 2 * p.z * q.z % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return _Point(e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(factor: int, point: _Point) -> _Point:
    total = _NEUTRAL
    while factor:
        if factor & 1:
            total = _sum(total, point)
        point = _sum(point, point)
        factor >>= 1
    return total


def _equal(p: _Point, q: _Point) -> bool:
    return (p.x * q.z - q.x * p.z) % _P == 0 and (p.y * q.z - q.y * p.z) % _P == 0


def _base() -> _Point:
    """The generator: y = 4/5, x even."""
    point = _decoded((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))
    assert point is not None
    return point


_BASE = _base()
