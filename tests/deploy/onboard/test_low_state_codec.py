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


def some_state(seed: int) -> RobotState:
    generator = np.random.default_rng(seed)
    return RobotState(
        tick_ms=int(generator.integers(2**32)),
        orientation_trunk_in_world=generator.normal(size=4),
        angular_velocity_trunk_in_trunk=generator.normal(size=3),
        accelerometer_trunk_in_trunk=generator.normal(size=3),
        roll_pitch_yaw=generator.normal(size=3),
        imu_temperature=int(generator.integers(-128, 128)),
        joint_position=generator.normal(size=12),
        joint_velocity=generator.normal(size=12),
        joint_torque=generator.uniform(-127.0, 127.0, 12),
        joint_temperature=generator.integers(-128, 128, 12).astype(np.int8),
        joint_mode=generator.integers(0, 256, 12).astype(np.uint8),
        foot_force=generator.integers(-(2**15), 2**15, 4).astype(np.int16),
        battery_soc_percent=int(generator.integers(256)),
        battery_current_ma=int(generator.integers(-(2**31), 2**31)),
        battery_cell_mv=generator.integers(0, 256 * 32, 10).astype(np.int16),
        remote=generator.bytes(40),
    )


def test_nothing_of_one_packet_remains_in_the_next() -> None:
    encoder = LowStateEncoder()
    for seed in (1, 2, 1):
        assert encoder.encode(some_state(seed)) == encode_low_state(some_state(seed))


def test_a_refused_state_spoils_nothing() -> None:
    encoder = LowStateEncoder()
    with pytest.raises(FixedPointRangeError, match="tick_ms"):
        encoder.encode(dataclasses.replace(some_state(1), tick_ms=2**32))
    assert encoder.encode(some_state(2)) == encode_low_state(some_state(2))


def test_a_decoded_state_keeps_its_values_when_the_next_packet_comes() -> None:
    decoder = LowStateDecoder()
    first, second = (encode_low_state(some_state(seed)) for seed in (1, 2))
    state = decoder.decode(first)
    decoder.decode(second)
    with pytest.raises(PacketCrcError):
        decoder.decode(first[:-1] + bytes([first[-1] ^ 1]))
    # The quantum of a cell is lost on the first way only.
    assert encode_low_state(state) == first


def test_a_decoded_state_would_pass_the_checks_that_it_was_spared() -> None:
    state = LowStateDecoder().decode(encode_low_state(some_state(1)))
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
    for value in (too_low, too_high):
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
    encoder, state = LowStateEncoder(), some_state(1)
    encoder.encode(state)
    state.battery_cell_mv[3] += 32 if state.battery_cell_mv[3] < 4096 else -32
    assert encoder.encode(state) == encode_low_state(state)


@pytest.mark.parametrize("place", [0, 5, 11])
def test_ends_of_the_torque(place: int) -> None:
    encoder, decoder = LowStateEncoder(), LowStateDecoder()
    # What truncates to a count that there is, fits: float32 next to 128 Nm, and to one count below -128 Nm.
    for sent, arrives in ((127.99999, 127.99609375), (-128.0, -128.0), (-128.003, -128.0)):
        assert decoder.decode(encoder.encode(replaced("joint_torque", sent, place))).joint_torque[place] == arrives
    for refused in (128.0, -128.00390625, np.inf, -np.inf, np.nan):
        with pytest.raises(FixedPointRangeError, match="joint_torque"):
            encoder.encode(replaced("joint_torque", refused, place))


def replaced(field: str, value: float, place: int = 0) -> RobotState:
    state = some_state(1)
    changed: Any = getattr(state, field)
    if isinstance(changed, np.ndarray):
        changed = changed.copy()
        changed[place] = value
    else:
        changed = value
    return dataclasses.replace(state, **{field: changed})
