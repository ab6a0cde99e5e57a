"""PacketLink over fakes and over real loopback sockets, and the clocks that pace it."""

from __future__ import annotations

import dataclasses
import errno
import socket
import time
from typing import Iterator, List, Optional

import numpy as np
import pytest

from deploy.onboard.clock import ClockError, MonotonicClock, VirtualClock
from deploy.onboard.link import LinkError, LinkStatistics, PacketLink, PacketNotSentError, UdpTransport
from deploy.onboard.packet_layout import FixedPointRangeError
from deploy.onboard.wire import (
    MOTOR_MODE_SERVO,
    JointCommand,
    RobotState,
    decode_low_cmd,
    encode_low_cmd,
    encode_low_state,
)

LOOPBACK = "127.0.0.1"
ARRIVAL_S = 2.0
COMMAND = JointCommand.servo(np.linspace(-0.5, 0.6, 12), 20.0, 0.5)


def state_packet(tick_ms: int) -> bytes:
    return encode_low_state(
        RobotState(
            tick_ms=tick_ms,
            orientation_trunk_in_world=np.array([1.0, 0.0, 0.0, 0.0]),
            angular_velocity_trunk_in_trunk=np.zeros(3),
            accelerometer_trunk_in_trunk=np.zeros(3),
            roll_pitch_yaw=np.zeros(3),
            imu_temperature=0,
            joint_position=np.zeros(12),
            joint_velocity=np.zeros(12),
            joint_torque=np.zeros(12),
            joint_temperature=np.zeros(12, dtype=np.int8),
            joint_mode=np.full(12, MOTOR_MODE_SERVO, dtype=np.uint8),
            foot_force=np.zeros(4, dtype=np.int16),
            battery_soc_percent=80,
            battery_current_ma=0,
            battery_cell_mv=np.zeros(10, dtype=np.int16),
            remote=bytes(40),
        )
    )


class FakeTransport:
    """Hands out what it was given, keeps what it was told to send."""

    def __init__(self, incoming: Optional[List[bytes]] = None, broken: bool = False) -> None:
        self.incoming = list(incoming or [])
        self.broken = broken
        self.sent: List[bytes] = []
        self.packets_skipped = 7
        self.closed = False

    def send(self, packet: bytes) -> None:
        if self.broken:
            raise PacketNotSentError("a network", "none", "Plug it in.")
        self.sent.append(packet)

    def receive(self, timeout_s: float) -> Optional[bytes]:
        return self.incoming.pop(0) if self.incoming else None

    def close(self) -> None:
        self.closed = True


class TestPacketLink:
    def test_sends_the_encoded_command(self) -> None:
        transport = FakeTransport()
        PacketLink(transport).send(COMMAND)
        assert transport.sent == [encode_low_cmd(COMMAND)]

    def test_hands_out_states_and_counts_everything_else_by_its_reason(self) -> None:
        good = state_packet(5)
        flipped = good[:100] + bytes([good[100] ^ 1]) + good[101:]
        link = PacketLink(FakeTransport([good, good[:-1], flipped, b"\0" + good[1:], flipped, state_packet(6)]))
        received = [link.receive(0.0) for _ in range(7)]
        assert [state and state.tick_ms for state in received] == [5, None, None, None, None, 6, None]
        assert link.statistics == LinkStatistics(
            packets_sent=0,
            packets_unsent=0,
            packets_received=2,
            packets_refused={"PacketLengthError": 1, "PacketCrcError": 2, "PacketHeaderError": 1},
            packets_skipped=7,
        )

    def test_a_network_that_takes_nothing_is_counted_and_not_raised(self) -> None:
        link = PacketLink(FakeTransport(broken=True))
        link.send(COMMAND)
        link.send(COMMAND)
        assert (link.statistics.packets_sent, link.statistics.packets_unsent) == (0, 2)

    def test_a_command_unfit_for_the_wire_is_raised_and_not_sent(self) -> None:
        transport = FakeTransport()
        with pytest.raises(FixedPointRangeError):
            PacketLink(transport).send(dataclasses.replace(COMMAND, torque=np.full(12, np.nan)))
        assert transport.sent == []

    def test_statistics_are_a_snapshot(self) -> None:
        link = PacketLink(FakeTransport([b"x", b"x"]))
        link.receive(0.0)
        before = link.statistics
        link.receive(0.0)
        assert before.packets_refused == {"PacketLengthError": 1}

    def test_closes_its_transport(self) -> None:
        transport = FakeTransport()
        PacketLink(transport).close()
        assert transport.closed


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as robot:
        robot.bind((LOOPBACK, 0))
        robot.settimeout(ARRIVAL_S)
        yield robot


@pytest.fixture
def transport(peer: socket.socket) -> Iterator[UdpTransport]:
    udp = UdpTransport(LOOPBACK, peer.getsockname()[1])
    yield udp
    udp.close()


def greet(transport: UdpTransport, peer: socket.socket) -> tuple[str, int]:
    """Where the peer has to send to."""
    transport.send(b"hello")
    packet, address = peer.recvfrom(100)
    assert packet == b"hello" and transport.local_address == f"{address[0]}:{address[1]}"
    return (address[0], address[1])


class TestUdpTransport:
    def test_there_and_back(self, transport: UdpTransport, peer: socket.socket) -> None:
        peer.sendto(b"answer", greet(transport, peer))
        assert transport.receive(ARRIVAL_S) == b"answer"
        assert transport.receive(0.0) is None and transport.packets_skipped == 0

    def test_a_long_wait_is_slept_through(self, transport: UdpTransport, peer: socket.socket) -> None:
        """By processor time, which other programs do not lengthen."""
        greet(transport, peer)
        before_s, used_s = time.monotonic(), time.process_time()
        assert transport.receive(0.5) is None
        assert time.monotonic() - before_s >= 0.5 and time.process_time() - used_s < 0.1

    def test_the_newest_of_several(self, transport: UdpTransport, peer: socket.socket) -> None:
        address = greet(transport, peer)
        for packet in (b"1", b"2", b"3"):
            peer.sendto(packet, address)
        assert transport.receive(ARRIVAL_S) == b"3"
        assert transport.packets_skipped == 2
        assert transport.receive(0.0) is None

    def test_a_flood_is_read_in_bounded_portions(self, transport: UdpTransport, peer: socket.socket) -> None:
        address = greet(transport, peer)
        for number in range(100):
            peer.sendto(b"%d" % number, address)
        assert transport.receive(ARRIVAL_S) == b"63"
        assert transport.receive(0.0) == b"99"
        assert transport.packets_skipped == 98

    def test_strangers_are_not_heard(self, transport: UdpTransport, peer: socket.socket) -> None:
        address = greet(transport, peer)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind((LOOPBACK, 0))
            stranger.sendto(b"forged", address)
            peer.sendto(b"genuine", address)
        assert transport.receive(ARRIVAL_S) == b"genuine"
        assert transport.receive(0.0) is None and transport.packets_skipped == 0

    @pytest.mark.parametrize("timeout_s", [0.0, 0.0005, 0.05])
    def test_waits_as_long_as_told(self, transport: UdpTransport, timeout_s: float) -> None:
        started_s = time.monotonic()
        assert transport.receive(timeout_s) is None
        assert timeout_s <= time.monotonic() - started_s < timeout_s + 30.0

    def test_an_overlong_packet_is_not_cut_to_a_valid_one(self, transport: UdpTransport, peer: socket.socket) -> None:
        link = PacketLink(transport)
        peer.sendto(state_packet(1) + bytes(3000), greet(transport, peer))
        assert link.receive(ARRIVAL_S) is None
        assert link.statistics.packets_refused == {"PacketLengthError": 1}

    def test_a_peer_that_is_away_is_found_again(self, peer: socket.socket) -> None:
        """Loopback answers a packet to a closed port with ICMP 'refused', which the next call would raise."""
        address = peer.getsockname()
        peer.close()
        link = PacketLink(UdpTransport(LOOPBACK, address[1]))
        for _ in range(3):
            link.send(COMMAND)
            assert link.receive(0.01) is None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as returned:
            returned.bind(address)
            returned.settimeout(ARRIVAL_S)
            link.send(COMMAND)
            packet, client = returned.recvfrom(2048)
            assert decode_low_cmd(packet).stiffness.tolist() == [20.0] * 12
            returned.sendto(state_packet(9), client)
            state = link.receive(ARRIVAL_S)
        link.close()
        assert state is not None and state.tick_ms == 9
        assert link.statistics.packets_sent == 4

    def test_the_packet_after_a_refused_one_still_leaves(self, peer: socket.socket) -> None:
        address = peer.getsockname()
        peer.close()
        transport = UdpTransport(LOOPBACK, address[1])
        transport.send(b"lost")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as returned:
            returned.bind(address)
            returned.settimeout(ARRIVAL_S)
            transport.send(b"arrives")
            assert returned.recv(100) == b"arrives"
        transport.close()

    def test_a_taken_local_port(self, peer: socket.socket) -> None:
        port = peer.getsockname()[1]
        with pytest.raises(LinkError, match=f"local port {port}.*Stop the other"):
            UdpTransport(LOOPBACK, 9, local_port=port)

    @pytest.mark.parametrize("port", [-1, 65_536])
    def test_an_impossible_port(self, port: int) -> None:
        with pytest.raises(LinkError, match=str(port)):
            UdpTransport(LOOPBACK, port)

    @pytest.mark.parametrize(
        ("number", "raised"),
        [(errno.ENETUNREACH, PacketNotSentError), (errno.ENOBUFS, PacketNotSentError), (errno.EBADF, OSError)],
    )
    def test_only_passing_troubles_are_counted(
        self, transport: UdpTransport, monkeypatch: pytest.MonkeyPatch, number: int, raised: type
    ) -> None:
        def fail(packet: bytes) -> None:
            raise OSError(number, "injected")

        monkeypatch.setattr(transport, "_send", fail)
        with pytest.raises(raised, match="injected"):
            transport.send(b"packet")

    def test_closing_twice(self, transport: UdpTransport) -> None:
        transport.close()
        transport.close()


class TestClocks:
    def test_the_virtual_clock_moves_only_when_told(self) -> None:
        clock = VirtualClock(start_s=10.0)
        clock.sleep_until(10.5)
        clock.sleep_until(10.25)
        assert clock.now_s() == 10.5
        clock.advance(0.25)
        clock.advance(0.0)
        assert clock.now_s() == 10.75

    @pytest.mark.parametrize("duration_s", [-1e-9, float("nan")])
    def test_time_does_not_run_backwards(self, duration_s: float) -> None:
        clock = VirtualClock()
        with pytest.raises(ClockError):
            clock.advance(duration_s)
        assert clock.now_s() == 0.0

    def test_the_real_clock_never_wakes_early(self) -> None:
        clock = MonotonicClock()
        for duration_s in (0.02, 0.002, 0.0, -1.0):
            deadline_s = clock.now_s() + duration_s
            clock.sleep_until(deadline_s)
            assert 0.0 <= clock.now_s() - deadline_s < 30.0 + max(0.0, -duration_s)
