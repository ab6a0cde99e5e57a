"""LowCmd and LowState on their own: layout, checksum, fixed point, refusals; test_vendor_sdk has the vendor judge."""

from __future__ import annotations

import dataclasses
import struct
from typing import Any, Type

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.onboard.packet_layout import (
    LOW_CMD,
    LOW_STATE,
    MOTOR_CMD,
    MOTOR_STATE,
    BatteryOffError,
    FixedPointRangeError,
    PacketCrcError,
    PacketHeaderError,
    PacketLengthError,
    WireError,
    crc32_mpeg2,
)
from deploy.onboard.wire import (
    MOTOR_MODE_SERVO,
    POSITION_STOP,
    VELOCITY_STOP,
    JointCommand,
    RobotState,
    checked_fields,
    decode_low_cmd,
    decode_low_state,
    encode_low_cmd,
    encode_low_state,
    quantize_gains,
)
from robot_configs.robot import load_robot

FIELDS = ("position", "velocity", "torque", "stiffness", "damping")


def command(**replaced: Any) -> JointCommand:
    values: dict[str, Any] = {name: np.zeros(12) for name in FIELDS}
    return JointCommand(**{"mode": np.full(12, MOTOR_MODE_SERVO, dtype=np.uint8), **values, **replaced})


def state(**replaced: Any) -> RobotState:
    values: dict[str, Any] = {
        "tick_ms": 1000,
        "orientation_trunk_in_world": np.array([1.0, 0.0, 0.0, 0.0]),
        "angular_velocity_trunk_in_trunk": np.zeros(3),
        "accelerometer_trunk_in_trunk": np.array([0.0, 0.0, 9.75]),
        "roll_pitch_yaw": np.zeros(3),
        "imu_temperature": 40,
        "joint_position": np.zeros(12),
        "joint_velocity": np.zeros(12),
        "joint_torque": np.zeros(12),
        "joint_temperature": np.full(12, 30, dtype=np.int8),
        "joint_mode": np.full(12, MOTOR_MODE_SERVO, dtype=np.uint8),
        "foot_force": np.zeros(4, dtype=np.int16),
        "battery_soc_percent": 80,
        "battery_current_ma": -2000,
        "battery_cell_mv": np.full(10, 4000, dtype=np.int16),
        "remote": bytes(40),
    }
    return RobotState(**{**values, **replaced})


def one_joint(value: float, joint: int = 4) -> np.ndarray:
    values = np.zeros(12)
    values[joint] = value
    return values


def crc_bit_by_bit(message: bytes) -> int:
    """CRC-32/MPEG-2 from its definition: polynomial 0x04C11DB7, start 0xFFFFFFFF, not mirrored, not inverted."""
    remainder = 0xFFFFFFFF
    for byte in message:
        for bit in range(7, -1, -1):
            carry = (remainder >> 31) ^ (byte >> bit & 1)
            remainder = (remainder << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if carry else 0)
    return remainder


def words_reversed(words: bytes) -> bytes:
    """Each little-endian word's most significant byte first."""
    return b"".join(words[start : start + 4][::-1] for start in range(0, len(words), 4))


def reseal(packet: bytearray) -> bytes:
    covered = {614: 608, 807: 800}[len(packet)]
    return bytes(packet[:-4]) + struct.pack("<I", crc_bit_by_bit(words_reversed(bytes(packet[:covered]))))


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
        assert struct.unpack_from("<4f", packet, 22) == (1.0, 0.0, 0.0, 0.0)
        fourth = 75 + 4 * 32
        assert packet[fourth : fourth + 32] == struct.pack("<Bffhh10xb8x", 0x0A, -1.25, 0.0, 0, 640, 30)
        assert packet[75 + 12 * 32 : 715] == bytes(8 * 32)
        assert struct.unpack_from("<I", packet, 755) == (70_000,)
        assert packet[803:] == struct.pack("<I", crc_bit_by_bit(words_reversed(packet[:800])))


class TestFixedPoint:
    @given(
        st.floats(-128.0, 127.99609375, width=32),
        st.floats(0.0, 2047.96875, width=32),
        st.floats(0.0, 4095.9375, width=32),
    )
    @settings(max_examples=40, deadline=None)
    def test_truncates_toward_zero_by_less_than_a_quantum(
        self, torque: float, stiffness: float, damping: float
    ) -> None:
        sent = command(torque=one_joint(torque), stiffness=one_joint(stiffness), damping=one_joint(damping))
        received = decode_low_cmd(encode_low_cmd(sent))
        for name, quantum in (("torque", 1 / 256), ("stiffness", 1 / 32), ("damping", 1 / 16)):
            before, after = getattr(sent, name)[4], float(getattr(received, name)[4])
            assert abs(after) <= abs(before) < abs(after) + quantum
            assert after == 0.0 or np.sign(after) == np.sign(before)

    def test_encoding_what_was_received_changes_nothing(self) -> None:
        generator = np.random.default_rng(1)
        first = encode_low_cmd(
            command(
                position=generator.normal(size=12),
                velocity=generator.normal(size=12),
                torque=generator.normal(size=12),
                stiffness=generator.uniform(0, 100, 12),
                damping=generator.uniform(0, 10, 12),
            )
        )
        assert encode_low_cmd(decode_low_cmd(first)) == first

    def test_gains_a_motor_receives(self) -> None:
        stiffness, damping = quantize_gains(np.full(12, 20.02), np.full(12, 0.53))
        assert (stiffness.tolist(), damping.tolist()) == ([20.0] * 12, [0.5] * 12)

    @pytest.mark.parametrize(
        ("field", "last_in", "first_out"),
        [
            ("torque", 127.99999, 128.0),
            ("torque", -128.0, -128.00001),
            ("stiffness", 2047.9998, 2048.0),
            ("stiffness", 0.0, -1e-9),
            ("damping", 4095.9997, 4096.0),
            ("damping", 0.0, -1e-9),
            ("position", 3.4028234e38, 3.5e38),
            ("velocity", -3.4028234e38, -3.5e38),
        ],
    )
    def test_ends_of_each_range(self, field: str, last_in: float, first_out: float) -> None:
        received = decode_low_cmd(encode_low_cmd(command(**{field: one_joint(last_in)})))
        assert getattr(received, field)[4] == pytest.approx(last_in, rel=1e-4)
        with pytest.raises(FixedPointRangeError, match=f"{field} of FL_thigh within"):
            encode_low_cmd(command(**{field: one_joint(first_out)}))

    def test_a_double_that_single_precision_rounds_up_over_the_end(self) -> None:
        """127.99999999 Nm is below 128 as a double and 128 as a float32, which would leave as -128 Nm."""
        with pytest.raises(FixedPointRangeError, match="torque"):
            encode_low_cmd(command(torque=one_joint(127.99999999)))

    def test_rows_of_numbers_that_fit(self) -> None:
        """In the order of FIELDS, in the units of the command, not rounded."""
        values = {name: np.arange(12.0) + 0.01 * row for row, name in enumerate(FIELDS)}
        rows = checked_fields(command(**values))
        assert rows.dtype == np.float64
        assert np.array_equal(rows, np.array([np.arange(12.0) + 0.01 * row for row in range(5)]))
        with pytest.raises(FixedPointRangeError, match="damping of FL_thigh"):
            checked_fields(command(damping=one_joint(np.nan)))

    @pytest.mark.parametrize("field", FIELDS)
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("joint", [0, 11])
    def test_not_finite(self, field: str, value: float, joint: int) -> None:
        with pytest.raises(FixedPointRangeError, match=f"{field} of {load_robot().joint_names[joint]}"):
            encode_low_cmd(command(**{field: one_joint(value, joint)}))


class TestDamagedPackets:
    @pytest.mark.parametrize("length", [0, 1, 613, 615, 807])
    def test_command_of_another_length(self, length: int) -> None:
        with pytest.raises(PacketLengthError, match=f"614 bytes; found {length} bytes"):
            decode_low_cmd((encode_low_cmd(command()) + bytes(200))[:length])

    @pytest.mark.parametrize("length", [0, 614, 806, 808])
    def test_state_of_another_length(self, length: int) -> None:
        with pytest.raises(PacketLengthError, match=f"807 bytes; found {length} bytes"):
            decode_low_state((encode_low_state(state()) + bytes(200))[:length])

    def test_any_flipped_bit_of_a_command_is_noticed_where_the_crc_reaches(self) -> None:
        packet = encode_low_cmd(command())
        for position in [*range(608), *range(610, 614)]:
            damaged = bytearray(packet)
            damaged[position] ^= 1 << position % 8
            with pytest.raises((PacketHeaderError, PacketCrcError)):
                decode_low_cmd(bytes(damaged))

    def test_any_flipped_bit_of_a_state_is_noticed_where_the_crc_reaches(self) -> None:
        packet = encode_low_state(state())
        for position in [*range(800), *range(803, 807)]:
            damaged = bytearray(packet)
            damaged[position] ^= 1 << position % 8
            with pytest.raises((PacketHeaderError, PacketCrcError)):
                decode_low_state(bytes(damaged))

    @pytest.mark.parametrize(
        ("position", "value", "error"),
        [
            (0, 0, PacketHeaderError),
            (1, 0, PacketHeaderError),
            (2, 0xEE, PacketHeaderError),
            (562, 0xA5, BatteryOffError),
        ],
    )
    def test_intact_commands_that_must_not_be_obeyed(self, position: int, value: int, error: Type[WireError]) -> None:
        packet = bytearray(encode_low_cmd(command()))
        packet[position] = value
        with pytest.raises(error):
            decode_low_cmd(reseal(packet))

    def test_a_sport_mode_command(self) -> None:
        packet = bytearray(encode_low_cmd(command()))
        packet[2] = 0xEE
        with pytest.raises(PacketHeaderError, match="level 0xff; found 0xee"):
            decode_low_cmd(reseal(packet))

    def test_a_sport_mode_state(self) -> None:
        packet = bytearray(encode_low_state(state()))
        packet[2] = 0xEE
        with pytest.raises(PacketHeaderError, match="sport mode"):
            decode_low_state(reseal(packet))

    @given(st.binary(max_size=900))
    @settings(max_examples=30, deadline=None)
    def test_noise_never_raises_anything_else(self, noise: bytes) -> None:
        for decode in (decode_low_cmd, decode_low_state):
            with pytest.raises(WireError):
                decode(noise)


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
            ("mode", np.zeros(11, dtype=np.uint8)),
            *[(name, np.zeros(shape)) for name in FIELDS for shape in (11, 13, (12, 1))],
        ],
    )
    def test_arrays_of_another_shape_or_kind(self, field: str, value: np.ndarray) -> None:
        with pytest.raises(WireError, match=field):
            command(**{field: value})

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
