"""What is particular to encoders and decoders that are kept; test_wire.py has the packets themselves."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.onboard.joint_command import MOTOR_MODE_DAMPING, JointCommand
from deploy.onboard.low_cmd_codec import LowCmdDecoder, LowCmdEncoder
from deploy.onboard.packet_layout import FixedPointRangeError, PacketCrcError
from deploy.onboard.wire import encode_low_cmd


def some_command(seed: int) -> JointCommand:
    return JointCommand.servo(np.random.default_rng(seed).normal(size=12), 20.0, 0.5)


def test_the_same_command_gives_the_same_packet_without_new_work() -> None:
    encoder = LowCmdEncoder()
    first = encoder.encode(some_command(1))
    assert encoder.encode(some_command(1)) is first


@pytest.mark.parametrize("field", ["mode", "position", "velocity", "torque", "stiffness", "damping"])
def test_a_change_of_any_field_in_place_is_seen(field: str) -> None:
    encoder, command = LowCmdEncoder(), some_command(1)
    before = encoder.encode(command)
    values = getattr(command, field)
    values[7] = MOTOR_MODE_DAMPING if field == "mode" else values[7] + 1.0
    assert encoder.encode(command) == encode_low_cmd(command) != before


def test_nothing_of_one_packet_remains_in_the_next() -> None:
    encoder = LowCmdEncoder()
    for seed in (1, 2, 1):
        assert encoder.encode(some_command(seed)) == encode_low_cmd(some_command(seed))


def test_a_refused_command_is_refused_again_and_spoils_nothing() -> None:
    encoder, broken = LowCmdEncoder(), some_command(1)
    packet = encoder.encode(some_command(1))
    broken.position[3] = np.nan
    for _ in range(2):
        with pytest.raises(FixedPointRangeError, match="position of FL_hip"):
            encoder.encode(broken)
    assert encoder.encode(some_command(1)) == packet


def test_a_decoded_command_keeps_its_values_when_the_next_packet_comes() -> None:
    decoder = LowCmdDecoder()
    first, second = (encode_low_cmd(some_command(seed)) for seed in (1, 2))
    command = decoder.decode(first)
    decoder.decode(second)
    with pytest.raises(PacketCrcError):
        decoder.decode(first[:-1] + bytes([first[-1] ^ 1]))
    assert encode_low_cmd(command) == first
