"""Loss, delay, order, copies and damage on a line, and a twin whose time follows the runner's clock."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink, PacketNotSentError
from deploy.onboard.packet_layout import WireError
from deploy.onboard.wire import JointCommand, decode_low_state, encode_low_cmd, encode_low_state
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.twin.body import TwinBody
from sim.twin.network_faults import MALFORMED, FaultyNetwork, Line, LineFault, NetworkFaultError
from sim.twin.transport import TwinTransport


def _line(fault: LineFault, seed: int = 0) -> Line:
    line = Line()
    line.disturb(fault, seed)
    return line


def _crossing(fault: LineFault, count: int, seed: int = 0) -> List[List[int]]:
    """Numbers of the packets that arrive at each tick, when packet i enters at tick i."""
    line = _line(fault, seed)
    arrived = []
    for tick in range(count):
        line.put(tick.to_bytes(4, "little"), tick)
        arrived.append([int.from_bytes(packet, "little") for packet in line.take(tick)])
    return arrived


def _flat(lists: List[List[int]]) -> List[int]:
    return [number for numbers in lists for number in numbers]


def test_a_sound_line_delivers_at_once_and_in_order() -> None:
    assert _crossing(LineFault(), 5) == [[0], [1], [2], [3], [4]]


def test_loss_is_the_share_that_was_asked_for_and_repeats_with_its_seed() -> None:
    arrived = _flat(_crossing(LineFault(loss=0.3), 5000))
    assert 0.27 < 1.0 - len(arrived) / 5000 < 0.33
    assert arrived == _flat(_crossing(LineFault(loss=0.3), 5000))
    assert arrived != _flat(_crossing(LineFault(loss=0.3), 5000, seed=1))
    assert _flat(_crossing(LineFault(loss=1.0), 50)) == []


def test_the_same_packets_are_lost_whatever_else_is_wrong() -> None:
    alone = set(_flat(_crossing(LineFault(loss=0.3), 500)))
    assert alone == set(_flat(_crossing(LineFault(loss=0.3, duplicate=0.5), 500)))


def test_latency_is_exact_and_jitter_keeps_the_order_unless_told_otherwise() -> None:
    assert _crossing(LineFault(latency_ticks=(2, 2)), 5) == [[], [], [0], [1], [2]]
    ordered = _flat(_crossing(LineFault(latency_ticks=(0, 5)), 500))
    assert ordered == sorted(ordered)
    overtaking = _flat(_crossing(LineFault(latency_ticks=(0, 5), keep_order=False), 500))
    assert overtaking != sorted(overtaking)
    assert len(set(overtaking)) == len(overtaking)


def test_packets_that_were_late_do_not_get_overtaken_when_the_line_is_sound_again() -> None:
    line = _line(LineFault(latency_ticks=(3, 3)))
    line.put(b"first", 0)
    line.mend()
    line.put(b"second", 1)
    assert line.take(2) == []
    assert line.take(3) == [b"first", b"second"]


def test_duplicates_and_replays_follow_the_packet() -> None:
    assert _crossing(LineFault(duplicate=1.0), 2) == [[0, 0], [1, 1]]
    assert _crossing(LineFault(replay=1.0, replay_age_ticks=2), 4) == [[0], [1], [2, 0], [3, 1]]


@pytest.mark.parametrize("kind", MALFORMED)
def test_what_is_malformed_comes_last_and_is_no_packet(kind: str, quiet: TwinCondition) -> None:
    good = encode_low_state(TwinBody(quiet, seed=0).step())
    line = _line(LineFault(malformed=1.0, malformed_kind=kind))
    for tick in range(500):
        line.put(good, tick)
        first, second = line.take(tick)
        assert first == good
        with pytest.raises(WireError):
            decode_low_state(second)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"loss": 1.1}, "a loss within"),
        ({"duplicate": -0.1}, "a duplicate within"),
        ({"latency_ticks": (3, 2)}, "least <= most"),
        ({"latency_ticks": (-1, 2)}, "least <= most"),
        ({"replay_age_ticks": 0}, "replay age"),
        ({"replay_age_ticks": 257}, "replay age"),
        ({"malformed_kind": "rude"}, "truncated"),
    ],
)
def test_an_impossible_fault_is_refused(changes: Dict[str, Any], expected: str) -> None:
    with pytest.raises(NetworkFaultError, match=expected):
        LineFault(**changes)


def test_two_sound_lines_are_the_twins_own_transport(quiet: TwinCondition, robot: RobotModel) -> None:
    clock = VirtualClock()
    direct = TwinTransport(TwinBody(quiet, seed=2))
    network = FaultyNetwork(TwinTransport(TwinBody(quiet, seed=2)), clock)
    for tick in range(1, 60):
        clock.sleep_until(tick / robot.link_hz)
        assert network.receive(0.0) == direct.receive(0.0)
        packet = encode_low_cmd(JointCommand.servo(robot.sit_position + 0.005 * tick, 30.0, 1.0))
        network.send(packet)
        direct.send(packet)


def test_the_robot_goes_on_while_the_runner_stalls(quiet: TwinCondition, robot: RobotModel) -> None:
    clock = VirtualClock()
    ticks: List[int] = []
    network = FaultyNetwork(TwinTransport(TwinBody(quiet, seed=0)), clock, before_tick=ticks.append)
    clock.advance(0.1)
    packet = network.receive(0.0)
    assert packet is not None and decode_low_state(packet).tick_ms == 100
    assert ticks == list(range(50))
    assert network.packets_skipped == 49
    assert network.receive(0.0) is None  # nothing new at the same moment


def test_an_unplugged_cable_carries_nothing_and_says_so(quiet: TwinCondition, robot: RobotModel) -> None:
    clock = VirtualClock()
    accepted: List[bytes] = []
    network = FaultyNetwork(TwinTransport(TwinBody(quiet, seed=0)), clock, on_accepted=accepted.append)
    link = PacketLink(network)
    command = JointCommand.servo(robot.sit_position, 30.0, 1.0)
    link.send(command)
    clock.advance(0.01)
    assert link.receive(0.0) is not None
    network.unplugged = True
    with pytest.raises(PacketNotSentError):
        network.send(encode_low_cmd(command))
    link.send(command)
    clock.advance(0.01)
    assert link.receive(0.0) is None
    assert (link.statistics.packets_unsent, len(accepted)) == (1, 1)
    network.unplugged = False
    clock.advance(0.002)
    state = link.receive(0.0)
    assert state is not None and state.tick_ms == 22  # its time went on; what it said meanwhile is gone
