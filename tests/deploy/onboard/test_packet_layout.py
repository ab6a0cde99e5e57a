"""The packets, byte by byte, as the vendor's SDK reads and writes them (test_vendor_sdk.py asks the SDK itself)."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from deploy.onboard.packet_layout import (
    BATTERY_CELLS,
    BATTERY_STATE,
    CELL_QUANTUM_MV,
    CMD_MOTORS_AT,
    HEAD,
    HEADER,
    IMU,
    LARGEST_DAMPING,
    LARGEST_STIFFNESS,
    LEVEL_HIGH,
    LEVEL_LOW,
    LOW_CMD,
    LOW_STATE,
    MOTOR_CMD,
    MOTOR_SLOTS,
    MOTOR_STATE,
    MOTORS,
    POSITION_STOP,
    REMOTE_BYTES,
    STATE_MOTORS_AT,
    TORQUE_QUANTUM,
    VELOCITY_STOP,
    PacketHeaderError,
    WireError,
    crc32_mpeg2,
    require_array,
    require_intact,
)

FORMATS = {
    "HEADER": (HEADER, "<2s B B 2I 2I H"),
    "MOTOR_CMD": (MOTOR_CMD, "<B f f h H H 3I"),
    "IMU": (IMU, "<4f 3f 3f 3f b"),
    "MOTOR_STATE": (MOTOR_STATE, "<B f f h h f f h b 2I"),
    "BATTERY_STATE": (BATTERY_STATE, "<2B B B i H 2b 2b 10B"),
    "LOW_CMD": (LOW_CMD, "<22s 540s B 3B 40B I I"),
    "LOW_STATE": (LOW_STATE, "<22s 53s 640s 24s 4h 4h I 40B I I"),
}
"""Every record beside the format of the struct module that says the same: a word a field, in order."""
KINDS = {"B": "u1", "b": "i1", "H": "<u2", "h": "<i2", "I": "<u4", "i": "<i4", "f": "<f4"}


@pytest.mark.parametrize("name", FORMATS)
def test_every_field_is_where_the_format_has_it(name: str) -> None:
    record, text = FORMATS[name]
    offset, words = 0, text[1:].split()
    assert record.fields is not None and len(record.fields) == len(words)
    for (field, at), word in zip(((field, at) for field, (_, at, *_) in record.fields.items()), words, strict=True):
        assert at == offset, field
        width = struct.calcsize("<" + word)
        assert record[field].itemsize == width, field
        if word[-1] in KINDS:
            assert record[field].base == np.dtype(KINDS[word[-1]]), field
        offset += width
    assert record.itemsize == offset == struct.calcsize(text)


def test_the_parts_of_the_whole() -> None:
    assert (LOW_CMD.itemsize, LOW_STATE.itemsize) == (614, 807)
    assert (CMD_MOTORS_AT, STATE_MOTORS_AT) == (22, 75)
    assert (MOTORS, MOTOR_SLOTS, REMOTE_BYTES, BATTERY_CELLS) == (12, 20, 40, 10)
    assert LOW_CMD["header"] == LOW_STATE["header"] == HEADER
    assert LOW_CMD["motors"] == np.dtype((MOTOR_CMD, (20,)))
    assert LOW_STATE["motors"] == np.dtype((MOTOR_STATE, (20,)))
    assert (LOW_STATE["imu"], LOW_STATE["battery"]) == (IMU, BATTERY_STATE)


def test_the_fixed_point() -> None:
    """int16 of 1/256 Nm; uint16 of 1/32 Nm/rad and of 1/16 Nm s/rad; a cell's byte counts 32 mV."""
    assert TORQUE_QUANTUM == 0.00390625
    assert (LARGEST_STIFFNESS, LARGEST_DAMPING) == (2047.96875, 4095.9375)
    assert CELL_QUANTUM_MV == 32


def test_the_vendors_marks() -> None:
    assert (HEAD, LEVEL_LOW, LEVEL_HIGH) == (b"\xfe\xef", 255, 238)
    assert (POSITION_STOP, VELOCITY_STOP) == (2.146e9, 16000.0)


def test_a_checksum_divided_out_by_hand() -> None:
    """All ones cancel the start value; a last word of 1 leaves the polynomial, of 2 the polynomial once shifted."""
    ones = b"\xff" * 4
    assert crc32_mpeg2(ones + b"\x01\0\0\0") == 0x04C11DB7
    assert crc32_mpeg2(ones + b"\x02\0\0\0") == 0x09823B6E
    assert crc32_mpeg2(ones + b"\x03\0\0\0") == 0x04C11DB7 ^ 0x09823B6E


@pytest.mark.parametrize(
    ("wanted", "found", "said"),
    [
        ("u1", "i8", "type uint8; found shape \\(3,\\), type int64"),
        ("i2", "f4", "type int16"),
        ("?", "u1", "type bool"),
        ("u1", "i1", "type uint8; found shape \\(3,\\), type int8"),  # as wide, but -1 would leave as 255
    ],
)
def test_integers_must_have_their_own_type(wanted: str, found: str, said: str) -> None:
    require_array("counts", np.zeros(3, wanted), (3,), np.dtype(wanted))
    with pytest.raises(WireError, match=f"counts of shape .3,. and {said}"):
        require_array("counts", np.zeros(3, found), (3,), np.dtype(wanted))


def test_a_float_may_be_of_any_type_but_of_one_shape_only() -> None:
    for found in ("f4", "f8", "i8"):
        require_array("angles", np.zeros(3, found), (3,), np.dtype("f4"))
    for shape in ((2,), (4,), (3, 1)):
        with pytest.raises(WireError, match="angles of shape .3,. and type float"):
            require_array("angles", np.zeros(shape, "f4"), (3,), np.dtype("f4"))


@pytest.mark.parametrize("first", [b"\x01\x02", b"\xfe\xf0", b"\xff\xef"])
def test_a_stranger_is_shown_by_its_first_two_bytes(first: bytes) -> None:
    with pytest.raises(PacketHeaderError, match=f"feef at the start of a LowCmd; found {first.hex()}[.]"):
        require_intact("LowCmd", first + b"\x03" + bytes(611), 614)
