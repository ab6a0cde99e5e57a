"""The wireless remote's 40 bytes inside LowState: sixteen keys and two sticks.

    0 head 2 | 2 keys u16 | 4 lx f32 | 8 rx f32 | 12 ry f32 | 16 L2 f32 | 20 ly f32 | 24 idle 16

Layout: the vendor's xRockerBtnDataStruct (unitree_joystick.h of unitree_legged_sdk); little endian, packed.
"""

from __future__ import annotations

import enum
import math
import struct
from dataclasses import dataclass
from typing import AbstractSet, FrozenSet

from deploy.onboard.packet_layout import REMOTE_BYTES, WireError

_LAYOUT = struct.Struct("<2sH5f16x")
_KEYS = struct.Struct("<H")
_KEYS_AT = 2


class Key(enum.IntEnum):
    """A key of the remote; the value is its bit."""

    R1 = 0
    L1 = 1
    START = 2
    SELECT = 3
    R2 = 4
    L2 = 5
    F1 = 6
    F2 = 7
    A = 8
    B = 9
    X = 10
    Y = 11
    UP = 12
    RIGHT = 13
    DOWN = 14
    LEFT = 15


DEAD_ZONE = 0.08
"""Deflections up to this are nobody's: worn sticks rest a few hundredths off their centre."""

_NO_KEYS: FrozenSet[Key] = frozenset()


@dataclass(frozen=True)
class RemoteState:
    """What a person does with the remote; sticks are within [-1, 1], positive to the right and away from the person."""

    keys: FrozenSet[Key] = _NO_KEYS
    """Keys that are held down."""
    lx: float = 0.0
    """Left stick, rightwards."""
    ly: float = 0.0
    """Left stick, forwards."""
    rx: float = 0.0
    """Right stick, rightwards."""
    ry: float = 0.0
    """Right stick, forwards."""


IDLE_REMOTE = bytes(REMOTE_BYTES)
"""Nobody touches the remote, or it is switched off: the robot sends zeros for both."""


def pressed_keys(remote: bytes) -> FrozenSet[Key]:
    """The keys held down, without decoding the sticks: the gate asks 500 times a second."""
    _require_length(remote)
    (bits,) = _KEYS.unpack_from(remote, _KEYS_AT)
    return frozenset(key for key in Key if bits >> key & 1) if bits else _NO_KEYS


def decode_remote(remote: bytes) -> RemoteState:
    """Keys and sticks out of `RobotState.remote`; a stick that is not a finite number reads as centred.

    A broken stick must not stop a person from using the stop key, so it is no error.

    Raises:
        WireError: not 40 bytes.
    """
    _require_length(remote)
    _, _, lx, rx, ry, _, ly = _LAYOUT.unpack(remote)
    return RemoteState(pressed_keys(remote), _centred(lx), _centred(ly), _centred(rx), _centred(ry))


def encode_remote(
    keys: AbstractSet[Key] = _NO_KEYS, lx: float = 0.0, ly: float = 0.0, rx: float = 0.0, ry: float = 0.0
) -> bytes:
    """The 40 bytes a robot sends while a person holds `keys` and the sticks so; head and idle bytes are zero."""
    return _LAYOUT.pack(b"\0\0", sum(1 << key for key in keys), lx, rx, ry, 0.0, ly)


def with_dead_zone(stick: float) -> float:
    """A stick's deflection without the dead zone around its centre: continuous, and full stays full."""
    beyond = min(abs(stick), 1.0) - DEAD_ZONE
    return math.copysign(beyond / (1.0 - DEAD_ZONE), stick) if beyond > 0.0 else 0.0


def _centred(stick: float) -> float:
    return stick if math.isfinite(stick) else 0.0


def _require_length(remote: bytes) -> None:
    if len(remote) != REMOTE_BYTES:
        raise WireError(f"{REMOTE_BYTES} bytes of the remote", f"{len(remote)} bytes", "Pass RobotState.remote.")
