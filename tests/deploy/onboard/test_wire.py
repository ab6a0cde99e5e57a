"""LowCmd and LowState on their own: layout, checksum, fixed point, refusals; test_vendor_sdk has the vendor judge."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.onboard.packet_layout import (
    LOW_CMD,
    LOW_STATE,
    MOTOR_CMD,
    MOTOR_STATE,
    FixedPointRangeError,
    WireError,
    crc32_mpeg2,
)
from deploy.onboard.wire import (
    MOTOR_MODE_DAMPING,
    MOTOR_MODE_OVERHEATED,
    MOTOR_MODE_SERVO,
    POSITION_STOP,
    VELOCITY_STOP,
    JointCommand,
    RobotState,
    decode_low_cmd,
    decode_low_state,
    encode_low_cmd,
    encode_low_state,
)
from robot_configs.robot import load_robot
from tests.deploy.onboard.wire_packets import FIELDS, command, crc_bit_by_bit, one_joint, state, words_reversed


class TestChecksum:
    def test_published_check_value(self) -> None:
        """0x0376E6E7 is listed for '123456789' wherever CRC-32/MPEG-2 is; it vouches for our definition."""
        assert crc_bit_by_bit(b"123456789") == 0x0376E6E7

    def test_by_hand(self) -> None:
        assert crc32_mpeg2(b"") == 0xFFFFFFFF
        # A word of ones cancels the start value: the remainder is zero, and zeros leave it so. A last bit of one is the
        # polynomial itself.
        assert crc32_mpeg2(b"\xff" * 4 + bytes(8)) == 0
        assert crc32_mpeg2(b"\xff" * 4 + b"\x01\0\0\0") == 0x04C11DB7

    @given(st.binary(max_size=400).map(lambda data: data[: len(data) // 4 * 4]))
    @settings(max_examples=30, deadline=None)
    def test_equals_the_definition(self, words: bytes) -> None:
        assert crc32_mpeg2(words) == crc_bit_by_bit(words_reversed(words))


class TestLayout:
    def test_offsets_of_the_command(self) -> None:
        offsets = {name: place[1] for name, place in (LOW_CMD.fields or {}).items()}
        assert offsets["motors"] == 22 and offsets["battery_off"] == 562 and offsets["remote"] == 566
        assert offsets["reserve"] == 606 and offsets["crc"] == 610 and LOW_CMD.itemsize == 614
        assert MOTOR_CMD.itemsize == 27

    def test_offsets_of_the_state(self) -> None:
        offsets = {name: place[1] for name, place in (LOW_STATE.fields or {}).items()}
        assert [offsets[name] for name in ("imu", "motors", "battery", "foot_force")] == [22, 75, 715, 739]
        assert [offsets[name] for name in ("foot_force_estimate", "tick", "remote", "reserve")] == [747, 755, 759, 799]
        assert offsets["crc"] == 803 and LOW_STATE.itemsize == 807
        assert MOTOR_STATE.itemsize == 32 and MOTOR_STATE.fields is not None
        assert MOTOR_STATE.fields["temperature"][1] == 23

    def test_a_command_written_by_hand(self) -> None:
        packet = encode_low_cmd(
            command(
                position=one_joint(0.5), velocity=one_joint(-2.0), torque=one_joint(-1.5),
                stiffness=one_joint(20.0), damping=one_joint(0.5),
            )
        )  # fmt: skip
        assert packet[:22] == b"\xfe\xef\xff" + bytes(19)
        fourth = 22 + 4 * 27
        assert packet[fourth : fourth + 27] == struct.pack("<BffhHH12x", 0x0A, 0.5, -2.0, -384, 640, 8)
        unused = struct.pack("<Bff18x", 0x0A, 2.146e9, 16000.0)
        assert packet[22 + 12 * 27 : 562] == unused * 8
        assert packet[562:610] == bytes(48)
        assert packet[610:] == struct.pack("<I", crc_bit_by_bit(words_reversed(packet[:608])))

    def test_a_state_written_by_hand(self) -> None:
        packet = encode_low_state(state(joint_position=one_joint(-1.25), joint_torque=one_joint(2.5), tick_ms=70_000))
        assert packet[:22] == b"\xfe\xef\xff" + bytes(19)
        assert struct.unpack_from("<4f", packet, 22) == (1.0, 0.0, 0.0, 0.0)
        fourth = 75 + 4 * 32
        assert packet[fourth : fourth + 32] == struct.pack("<Bffhh10xb8x", 0x0A, -1.25, 0.0, 0, 640, 30)
        assert packet[75 + 12 * 32 : 715] == bytes(8 * 32)
        assert struct.unpack_from("<I", packet, 755) == (70_000,)
        assert packet[803:] == struct.pack("<I", crc_bit_by_bit(words_reversed(packet[:800])))


class TestState:
    def test_decoding_undoes_encoding(self) -> None:
        generator = np.random.default_rng(2)
        sent = state(
            orientation_trunk_in_world=generator.normal(size=4).astype(np.float32),
            joint_position=generator.normal(size=12).astype(np.float32),
            joint_velocity=generator.normal(size=12).astype(np.float32),
            joint_torque=generator.integers(-(2**15), 2**15, 12) / np.float32(256),
            joint_temperature=generator.integers(-128, 128, 12).astype(np.int8),
            foot_force=np.array([-32768, -1, 0, 32767], dtype=np.int16),
            battery_cell_mv=np.arange(10, dtype=np.int16) * 32,
            remote=bytes(range(40)),
        )
        received = decode_low_state(encode_low_state(sent))
        for field in dataclasses.fields(RobotState):
            before, after = getattr(sent, field.name), getattr(received, field.name)
            assert (
                np.array_equal(before, after.astype(before.dtype))
                if isinstance(before, np.ndarray)
                else before == after
            )

    def test_what_a_broken_sensor_sends_arrives(self) -> None:
        received = decode_low_state(encode_low_state(state(joint_position=one_joint(np.nan))))
        assert np.isnan(received.joint_position[4]) and np.isfinite(received.joint_velocity).all()

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("joint_torque", one_joint(128.0)),
            ("joint_torque", one_joint(np.nan)),
            ("tick_ms", 2**32),
            ("tick_ms", -1),
            ("battery_soc_percent", 256),
            ("battery_current_ma", 2**31),
            ("imu_temperature", 128),
            ("battery_cell_mv", np.full(10, 256 * 32, dtype=np.int16)),
        ],
    )
    def test_what_does_not_fit_is_refused(self, field: str, value: Any) -> None:
        with pytest.raises(FixedPointRangeError, match=field):
            encode_low_state(state(**{field: value}))

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("joint_position", np.zeros(20)),
            ("orientation_trunk_in_world", np.zeros(3)),
            ("joint_temperature", np.zeros(12)),
            ("foot_force", np.full(4, 40_000)),
            ("remote", bytes(39)),
            ("remote", bytes(41)),
        ],
    )
    def test_arrays_of_another_shape_or_kind(self, field: str, value: Any) -> None:
        with pytest.raises(WireError):
            state(**{field: value})


class TestCommand:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("mode", np.full(12, 300)),
            ("mode", np.full(12, -1, dtype=np.int8)),
            ("mode", np.zeros(11, dtype=np.uint8)),
            *[(name, np.zeros(shape)) for name in FIELDS for shape in (11, 13, (12, 1))],
        ],
    )
    def test_arrays_of_another_shape_or_kind(self, field: str, value: np.ndarray) -> None:
        with pytest.raises(WireError, match=field):
            command(**{field: value})

    def test_a_value_for_each_slot_of_the_packet_is_not_one_for_each_motor(self) -> None:
        with pytest.raises(WireError, match="mode of shape .12,. .* found shape .20,."):
            command(mode=np.zeros(20, dtype=np.uint8), **{name: np.zeros(20) for name in FIELDS})

    def test_the_modes_as_the_vendor_numbers_them(self) -> None:
        assert (MOTOR_MODE_DAMPING, MOTOR_MODE_OVERHEATED, MOTOR_MODE_SERVO) == (0x00, 0x08, 0x0A)

    def test_damping_has_no_position_term_and_no_feed_forward(self) -> None:
        robot = load_robot()
        damped = decode_low_cmd(encode_low_cmd(JointCommand.damp(robot)))
        assert damped.mode.tolist() == [0x0A] * 12
        assert not damped.stiffness.any() and not damped.velocity.any() and not damped.torque.any()
        assert damped.damping.tolist() == [robot.damp.damping] * 12
        assert (damped.position == np.float32(POSITION_STOP)).all()

    def test_the_vendor_s_stop_values_survive_the_wire(self) -> None:
        received = decode_low_cmd(
            encode_low_cmd(command(position=np.full(12, POSITION_STOP), velocity=np.full(12, VELOCITY_STOP)))
        )
        assert received.position.tolist() == [2.146e9] * 12 and received.velocity.tolist() == [16000.0] * 12


@pytest.mark.parametrize(("make", "field"), [(command, "stiffness"), (state, "tick_ms")])
def test_records_stay_what_they_were_and_are_told_apart_by_identity(make: Callable[[], Any], field: str) -> None:
    """Comparing their arrays would give neither True nor False."""
    first, second = make(), make()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(first, field, getattr(second, field))
    assert first != second
    assert len({first, second}) == 2
