"""The twin through the wire's bytes, without a socket."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.onboard.link import LinkError, PacketLink
from deploy.onboard.packet_layout import LOW_CMD, seal
from deploy.onboard.wire import JointCommand, decode_low_state, encode_low_cmd, encode_low_state
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport


def _command(robot: RobotModel) -> JointCommand:
    # float32 positions, as the packet holds them; Kd 0.53 lies between two counts.
    return JointCommand.servo(robot.stand_position.astype(np.float32), 20.0, 0.53)


def test_the_wire_changes_nothing_but_the_precision_of_what_is_measured(
    quiet: TwinCondition, robot: RobotModel
) -> None:
    direct, behind_the_wire = TwinBody(quiet, seed=4), TwinBody(quiet, seed=4)
    link = PacketLink(TwinTransport(behind_the_wire))
    for _ in range(100):
        expected = direct.step(_command(robot))
        link.send(_command(robot))
        state = link.receive(0.0)
        assert state is not None
        assert encode_low_state(state) == encode_low_state(expected)
    np.testing.assert_array_equal(behind_the_wire.data.qpos, direct.data.qpos)
    assert link.statistics.packets_received == 100


def test_receive_advances_exactly_one_tick(quiet: TwinCondition) -> None:
    transport = TwinTransport(TwinBody(quiet, seed=0))
    ticks = []
    for _ in range(3):
        packet = transport.receive(0.0)
        assert packet is not None and len(packet) == 807
        ticks.append(decode_low_state(packet).tick_ms)
    assert ticks == [2, 4, 6]


def test_send_alone_does_not_advance_time(quiet: TwinCondition, robot: RobotModel) -> None:
    transport = TwinTransport(TwinBody(quiet, seed=0))
    for _ in range(5):
        transport.send(encode_low_cmd(_command(robot)))
    assert transport.body.time_s == 0.0


def test_what_a_motor_controller_would_not_accept_is_counted_and_ignored(
    quiet: TwinCondition, robot: RobotModel
) -> None:
    transport = TwinTransport(TwinBody(quiet, seed=0))
    good = encode_low_cmd(_command(robot))
    flipped = bytearray(good)
    flipped[30] ^= 1
    for bad in (good[:-1], bytes(flipped), b"", b"\x00" * 614):
        transport.send(bad)
    assert transport.refused == {"PacketLengthError": 2, "PacketCrcError": 1, "PacketHeaderError": 1}
    packet = transport.receive(0.0)
    assert packet is not None
    assert not decode_low_state(packet).joint_mode.any()  # still the mode of power-up: no command has arrived
    transport.send(good)
    packet = transport.receive(0.0)
    assert packet is not None
    assert (decode_low_state(packet).joint_mode == 0x0A).all()


def test_a_number_that_is_not_finite_is_refused_behind_a_valid_checksum(
    quiet: TwinCondition, robot: RobotModel
) -> None:
    packet = bytearray(encode_low_cmd(_command(robot)))
    record = np.frombuffer(packet, dtype=LOW_CMD)[0]
    record["motors"]["position"][5] = np.nan
    transport = TwinTransport(TwinBody(quiet, seed=0))
    transport.send(seal(packet))
    assert transport.refused == {"MotorCommandError": 1}


def test_the_same_packet_acts_again_after_a_reset_or_another_packet(quiet: TwinCondition, robot: RobotModel) -> None:
    transport = TwinTransport(TwinBody(quiet, seed=0))
    hold, damp = encode_low_cmd(_command(robot)), encode_low_cmd(JointCommand.damp(robot))

    def torque_after(packet: bytes) -> float:
        assert transport.accept(packet)
        transport.receive(0.0)
        return float(np.abs(transport.body.truth.joint_torque).max())

    assert torque_after(hold) > 3.0
    transport.body.reset(0)
    assert torque_after(hold) > 3.0
    assert torque_after(damp) < 3.0
    assert torque_after(hold) > 3.0


def test_a_closed_transport_says_so(quiet: TwinCondition) -> None:
    transport = TwinTransport(TwinBody(quiet, seed=0))
    transport.close()
    transport.close()
    with pytest.raises(LinkError, match="closed"):
        transport.receive(0.0)
    with pytest.raises(LinkError, match="closed"):
        transport.send(b"")
