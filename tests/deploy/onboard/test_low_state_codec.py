"""What is particular to encoders and decoders that are kept; test_wire.py has the packets themselves."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from deploy.onboard.low_state_codec import LowStateDecoder, LowStateEncoder
from deploy.onboard.packet_layout import FixedPointRangeError, PacketCrcError
from deploy.onboard.robot_state import RobotState
from deploy.onboard.wire import encode_low_state
from tests.deploy.onboard.wire_packets import random_state


def test_nothing_of_one_packet_remains_in_the_next() -> None:
    encoder = LowStateEncoder()
    for seed in (1, 2, 1):
        assert encoder.encode(random_state(seed)) == encode_low_state(random_state(seed))


def test_a_refused_state_spoils_nothing() -> None:
    encoder = LowStateEncoder()
    with pytest.raises(FixedPointRangeError, match="tick_ms"):
        encoder.encode(dataclasses.replace(random_state(1), tick_ms=2**32))
    assert encoder.encode(random_state(2)) == encode_low_state(random_state(2))


def test_a_decoded_state_keeps_its_values_when_the_next_packet_comes() -> None:
    decoder = LowStateDecoder()
    first, second = (encode_low_state(random_state(seed)) for seed in (1, 2))
    state = decoder.decode(first)
    decoder.decode(second)
    with pytest.raises(PacketCrcError):
        decoder.decode(first[:-1] + bytes([first[-1] ^ 1]))
    # The quantum of a cell is lost on the first way only.
    assert encode_low_state(state) == first


def test_a_decoded_state_would_pass_the_checks_that_it_was_spared() -> None:
    state = LowStateDecoder().decode(encode_low_state(random_state(1)))
    assert set(vars(state)) == {field.name for field in dataclasses.fields(RobotState)}
    dataclasses.replace(state)


@pytest.mark.parametrize(
    ("field", "fits", "too_low", "too_high"),
    [
        ("imu_temperature", (-128, 127), -129, 128),
        ("battery_soc_percent", (0, 255), -1, 256),
        ("battery_current_ma", (-(2**31), 2**31 - 1), -(2**31) - 1, 2**31),
        ("tick_ms", (0, 2**32 - 1), -1, 2**32),
    ],
)
def test_ends_of_whole_numbers(field: str, fits: tuple[int, int], too_low: int, too_high: int) -> None:
    encoder, decoder = LowStateEncoder(), LowStateDecoder()
    for value in fits:
        assert getattr(decoder.decode(encoder.encode(replaced(field, value))), field) == value
    for value in (too_low, too_high, too_high + 1):
        with pytest.raises(FixedPointRangeError, match=field):
            encoder.encode(replaced(field, value))


@pytest.mark.parametrize("place", [0, 9])
def test_ends_of_the_cells(place: int) -> None:
    encoder, decoder = LowStateEncoder(), LowStateDecoder()
    for sent, arrives in ((0, 0), (31, 0), (32, 32), (256 * 32 - 1, 255 * 32)):
        assert (
            decoder.decode(encoder.encode(replaced("battery_cell_mv", sent, place))).battery_cell_mv[place] == arrives
        )
    for refused in (-1, -1, 256 * 32, 256 * 32):  # again and again: what is not written anew was looked at before
        with pytest.raises(FixedPointRangeError, match="battery_cell_mv"):
            encoder.encode(replaced("battery_cell_mv", refused, place))


def test_cells_are_looked_at_and_not_remembered_by_name() -> None:
    encoder, state = LowStateEncoder(), random_state(1)
    encoder.encode(state)
    state.battery_cell_mv[3] += 32 if state.battery_cell_mv[3] < 4096 else -32
    assert encoder.encode(state) == encode_low_state(state)


@pytest.mark.parametrize("place", [0, 5, 11])
def test_ends_of_the_torque(place: int) -> None:
    encoder, decoder = LowStateEncoder(), LowStateDecoder()
    # What truncates to a count that there is, fits: float32 next to 128 Nm, and to one count below -128 Nm.
    for sent, arrives in ((127.99999, 127.99609375), (-128.0, -128.0), (-128.003, -128.0)):
        assert decoder.decode(encoder.encode(replaced("joint_torque", sent, place))).joint_torque[place] == arrives
    for refused in (128.0, 200.0, -128.00390625, -200.0, np.inf, -np.inf, np.nan):
        with pytest.raises(FixedPointRangeError, match="joint_torque"):
            encoder.encode(replaced("joint_torque", refused, place))


def replaced(field: str, value: float, place: int = 0) -> RobotState:
    state = random_state(1)
    changed: Any = getattr(state, field)
    if isinstance(changed, np.ndarray):
        changed = changed.copy()
        changed[place] = value
    else:
        changed = value
    return dataclasses.replace(state, **{field: changed})
