"""The link to a robot, or to whatever speaks its protocol: commands out, the newest state in.

Link            send(JointCommand), receive(timeout_s) -> RobotState or None
  PacketLink      our codec over a PacketTransport (bytes out, bytes in)
    UdpTransport    the robot, or a twin on the network
  VendorLink      the vendor's SDK (`deploy.onboard.vendor_link`)
"""

from __future__ import annotations

import errno
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import Dict, Optional, Protocol

from deploy.onboard.packet_layout import WireError
from deploy.onboard.wire import JointCommand, LowCmdEncoder, LowStateDecoder, RobotState
from robot_configs.errors import Go1Error


class LinkError(Go1Error):
    """The link cannot be opened, or has been closed."""


class PacketNotSentError(LinkError):
    """A packet did not leave this machine; the next one may."""


@dataclass(frozen=True)
class LinkStatistics:
    """What crossed a link since it was opened."""

    packets_sent: int
    packets_unsent: int
    """Commands the network did not take (cable unplugged, nobody listening)."""
    packets_received: int
    """States handed out by `receive`."""
    packets_refused: Dict[str, int]
    """Packets that were no intact state, by the name of the error."""
    packets_skipped: int
    """Packets dropped unread because a newer one had arrived. The vendor's SDK drops them without counting."""


class Link(Protocol):
    """A robot's motors and sensors."""

    @property
    def statistics(self) -> LinkStatistics:
        """Counts since the link was opened."""
        ...

    def send(self, command: JointCommand) -> None:
        """Send one command. A packet the network does not take is counted, not raised: the loop must go on.

        Raises:
            FixedPointRangeError: the command cannot be put on the wire; nothing was sent.
        """
        ...

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        """The newest state, waiting up to `timeout_s` for one; None if none came or what came was damaged."""
        ...

    def close(self) -> None:
        """Give the connection back; closing twice is allowed."""
        ...


class PacketTransport(Protocol):
    """Carries packets as they are, without looking into them."""

    @property
    def packets_skipped(self) -> int:
        """Packets dropped because a newer one had arrived; 0 for a transport that holds no queue."""
        ...

    def send(self, packet: bytes) -> None:
        """Send one packet.

        Raises:
            PacketNotSentError: it did not leave.
        """
        ...

    def receive(self, timeout_s: float) -> Optional[bytes]:
        """The newest packet, waiting up to `timeout_s` for one; None if none came."""
        ...

    def close(self) -> None:
        """Give the connection back; closing twice is allowed."""
        ...


class PacketLink:
    """A link through our own codec; for one thread."""

    def __init__(self, transport: PacketTransport) -> None:
        self._transport = transport
        self._encoder, self._decoder = LowCmdEncoder(), LowStateDecoder()
        self._sent = 0
        self._unsent = 0
        self._received = 0
        self._refused: Counter[str] = Counter()

    @property
    def statistics(self) -> LinkStatistics:
        """Counts since the link was opened."""
        return LinkStatistics(
            self._sent, self._unsent, self._received, dict(self._refused), self._transport.packets_skipped
        )

    def send(self, command: JointCommand) -> None:
        """Send one command (see `Link.send`)."""
        packet = self._encoder.encode(command)
        try:
            self._transport.send(packet)
        except PacketNotSentError:
            self._unsent += 1
        else:
            self._sent += 1

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        """The newest state, or None (see `Link.receive`).

        A damaged packet ends the wait early: whoever floods the port with them must not be able to hold the loop up.
        """
        packet = self._transport.receive(timeout_s)
        if packet is None:
            return None
        try:
            state = self._decoder.decode(packet)
        except WireError as error:
            self._refused[type(error).__name__] += 1
            return None
        self._received += 1
        return state

    def close(self) -> None:
        """Close the transport."""
        self._transport.close()


# Longer than any packet of the Go1, so that an overlong one is seen to be so instead of being cut to a valid length.
_RECEIVE_BYTES = 2048
# More than a loop at 500 Hz can fall behind by without its state being stale anyway; bounds the time a flood can take.
_DRAIN_LIMIT = 64
# The network's troubles of the moment, which a loop that sends again in 2 ms survives. Everything else is a defect.
_PASSING_ERRORS = frozenset(
    {
        errno.ECONNREFUSED,
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENOBUFS,
        errno.EAGAIN,
        errno.EPERM,
    }
)


class UdpTransport:
    """Packets over UDP to one peer; IPv4, as the robot's network is.

    The socket is connected, so the kernel drops datagrams of every other address and port. That is no authentication
    (the robot's protocol has none): it keeps other programs' mistakes out, not an attacker on the same network.
    """

    def __init__(self, host: str, port: int, local_port: int = 0) -> None:
        """Open a socket to `host`:`port` from `local_port` (0: any free one).

        Raises:
            LinkError: the local port is taken, or the host's name is unknown or out of reach.
        """
        self.packets_skipped = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind(("", local_port))
            self._socket.connect((host, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise LinkError(
                f"a UDP socket from local port {local_port} to {host}:{port}",
                str(error),
                "Stop the other low-level client, or check the address and that this machine is on the robot's subnet.",
            ) from error

    @property
    def local_address(self) -> str:
        """HOST:PORT the peer sees packets come from."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def send(self, packet: bytes) -> None:
        """Send one packet (see `PacketTransport.send`)."""
        try:
            self._send(packet)
        except OSError as error:
            if error.errno not in _PASSING_ERRORS:
                raise
            raise PacketNotSentError("the network to take a packet", str(error), "Check cable and peer.") from error

    def _send(self, packet: bytes) -> None:
        try:
            self._socket.send(packet)
        except ConnectionRefusedError:
            # Linux reports here that the *previous* packet found nobody listening, and does not send this one.
            self._socket.send(packet)

    def receive(self, timeout_s: float) -> Optional[bytes]:
        """The newest packet that has arrived, or None (see `PacketTransport.receive`)."""
        deadline_s = time.monotonic() + timeout_s
        packet = self._drain()
        while packet is None:
            remaining_s = deadline_s - time.monotonic()
            # select, because a socket's own timeout is rounded up to whole milliseconds: half a control period.
            if remaining_s <= 0.0 or not select.select([self._socket], [], [], remaining_s)[0]:
                return None
            packet = self._drain()  # still None where what arrived was only the report of a refused packet
        return packet

    def _drain(self) -> Optional[bytes]:
        """Empty the socket's queue, up to _DRAIN_LIMIT packets; the last of them, or None."""
        newest = None
        for _ in range(_DRAIN_LIMIT):
            try:
                packet = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno not in _PASSING_ERRORS:
                    raise
                continue
            self.packets_skipped += newest is not None
            newest = packet
        return newest

    def close(self) -> None:
        """Close the socket; closing twice is allowed."""
        self._socket.close()
