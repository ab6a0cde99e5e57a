"""Packets that are damaged, cut or of another kind are refused."""

from __future__ import annotations

from typing import Type

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.onboard.packet_layout import (
    BatteryOffError,
    PacketCrcError,
    PacketHeaderError,
    PacketLengthError,
    WireError,
)
from deploy.onboard.wire import (
    decode_low_cmd,
    decode_low_state,
    encode_low_cmd,
    encode_low_state,
)
from tests.deploy.onboard.wire_packets import command, reseal, state


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
        with pytest.raises(PacketHeaderError, match="a level other than 0xee; found 0xee.*sport mode"):
            decode_low_state(reseal(packet))

    @pytest.mark.parametrize("level", [0x00, 0xED, 0xEF, 0xFF])
    def test_a_state_of_any_other_level_is_taken_as_the_vendor_takes_it(self, level: int) -> None:
        packet = bytearray(encode_low_state(state(tick_ms=4711)))
        packet[2] = level
        assert decode_low_state(reseal(packet)).tick_ms == 4711

    @given(st.binary(max_size=900))
    @settings(max_examples=30, deadline=None)
    def test_noise_never_raises_anything_else(self, noise: bytes) -> None:
        for decode in (decode_low_cmd, decode_low_state):
            with pytest.raises(WireError):
                decode(noise)
