"""The remote's 40 bytes: keys by bit, sticks by offset."""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.onboard.packet_layout import WireError
from deploy.onboard.remote import (
    DEAD_ZONE,
    IDLE_REMOTE,
    Key,
    RemoteState,
    decode_remote,
    encode_remote,
    pressed_keys,
    with_dead_zone,
)

STICKS = st.floats(-1.0, 1.0, width=32)


def test_bytes_written_by_hand() -> None:
    packed = encode_remote({Key.L2, Key.B}, lx=0.25, ly=-0.5, rx=0.75, ry=-1.0)
    assert len(packed) == 40
    assert struct.unpack_from("<H", packed, 2) == (0b10_0010_0000,)
    assert struct.unpack_from("<fff", packed, 4) == (0.25, 0.75, -1.0)
    assert struct.unpack_from("<f", packed, 20) == (-0.5,)
    assert packed[:2] == bytes(2) and packed[16:20] == bytes(4) and packed[24:] == bytes(16)


def test_vendor_s_bit_of_every_key() -> None:
    names = "R1 L1 START SELECT R2 L2 F1 F2 A B X Y UP RIGHT DOWN LEFT".split()
    for bit, name in enumerate(names):
        remote = bytes(2) + struct.pack("<H", 1 << bit) + bytes(36)
        assert pressed_keys(remote) == {Key[name]}


@settings(max_examples=30, deadline=None)
@given(st.frozensets(st.sampled_from(Key)), STICKS, STICKS, STICKS, STICKS)
def test_decoding_undoes_encoding(keys: frozenset[Key], lx: float, ly: float, rx: float, ry: float) -> None:
    assert decode_remote(encode_remote(keys, lx=lx, ly=ly, rx=rx, ry=ry)) == RemoteState(keys, lx, ly, rx, ry)


def test_idle() -> None:
    assert decode_remote(IDLE_REMOTE) == RemoteState() and not pressed_keys(IDLE_REMOTE)


@pytest.mark.parametrize(
    ("stick", "broken"), list(itertools.product(["lx", "ly", "rx", "ry"], [float("nan"), float("inf")]))
)
def test_a_broken_stick_is_centred_and_leaves_the_stop_key_alone(stick: str, broken: float) -> None:
    sticks = {"lx": 0.5, "ly": 0.5, "rx": 0.5, "ry": 0.5, stick: broken}
    remote = decode_remote(encode_remote({Key.B}, **sticks))
    assert remote.keys == {Key.B}
    assert {name: getattr(remote, name) for name in sticks} == {**sticks, stick: 0.0}


@pytest.mark.parametrize("length", [0, 39, 41])
def test_another_length(length: int) -> None:
    for read in (decode_remote, pressed_keys):
        with pytest.raises(WireError, match=f"found {length} bytes"):
            read(bytes(length))


@settings(max_examples=50)
@given(STICKS)
def test_the_dead_zone_is_continuous_odd_and_keeps_full_deflection(stick: float) -> None:
    value = with_dead_zone(stick)
    assert value == -with_dead_zone(-stick)
    assert abs(value) <= abs(stick)
    assert (value == 0.0) == (abs(stick) <= DEAD_ZONE)
    assert abs(with_dead_zone(stick) - with_dead_zone(stick * 0.999)) <= 0.0011
    assert with_dead_zone(1.0) == with_dead_zone(1.7) == 1.0


@pytest.mark.parametrize(
    ("stick", "expected"), [(0.0, 0.0), (0.08, 0.0), (-0.08, 0.0), (0.54, 0.5), (-0.54, -0.5), (1.0, 1.0), (-3.0, -1.0)]
)
def test_the_dead_zone_by_hand(stick: float, expected: float) -> None:
    """Beyond 0.08 the remaining 0.92 of the way are stretched over the whole: 0.54 is half of it."""
    assert with_dead_zone(stick) == pytest.approx(expected, abs=1e-12)


def test_a_dead_zone_has_no_sides() -> None:
    """A zero is a zero: the sign of a stick that nobody deflects goes nowhere."""
    for stick in (-DEAD_ZONE, -0.01, -0.0):
        assert math.copysign(1.0, with_dead_zone(stick)) == 1.0


def test_what_is_not_touched_is_idle() -> None:
    assert encode_remote() == IDLE_REMOTE == bytes(40)


def test_what_a_person_did_cannot_be_changed_afterwards() -> None:
    with pytest.raises(FrozenInstanceError):
        RemoteState().lx = 1.0  # type: ignore[misc]
