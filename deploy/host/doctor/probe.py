"""The prober: damping commands out at the link's rate, every packet that comes back kept as it is."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections import Counter
from typing import Optional, Tuple

from deploy.host.doctor.sample import Datagram, Sample
from deploy.onboard.wire import JointCommand, encode_low_cmd
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel

_RECEIVE_BYTES = 2048  # longer than any packet of the robot, so that a length is seen as it is


class ProbeError(Go1Error):
    """The robot's address cannot be looked up."""


def probe(robot: RobotModel, host: str, port: int, duration_s: float) -> Sample:
    """Listen for `duration_s`.

    The robot answers to whoever commands it, so something must be sent: damping, which a robot that lies or hangs does
    not feel, and which makes a standing one sink.

    Raises:
        ProbeError: the host has no IPv4 address.
    """
    try:
        address = socket.gethostbyname(host)
    except OSError as error:
        raise ProbeError(f"an IPv4 address of {host!r}", str(error), "Give the address in numbers.") from None
    errors: Counter[str] = Counter()
    datagrams: list[Datagram] = []
    sent, source, worst_late_s = 0, None, 0.0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.setblocking(False)
        try:
            link.bind(("", robot.network.local_port if address == robot.network.host else 0))
            link.connect((address, port))
        except OSError as error:
            errors[_name(error)] += 1
        else:
            source = link.getsockname()[0]
            command = encode_low_cmd(JointCommand.damp(robot))
            sent, worst_late_s = _listen(link, command, robot.link_hz, duration_s, datagrams, errors)
    heard = tuple(datagrams)
    return Sample(address, port, duration_s, sent, dict(errors), source, heard, time.time(), worst_late_s)


def _listen(
    link: socket.socket, command: bytes, link_hz: int, duration_s: float, into: list[Datagram], errors: Counter[str]
) -> Tuple[int, float]:
    """Send and receive until the time is over; returns the commands that left, and how late the latest turn was [s]."""
    start_s = time.monotonic()
    sent, worst_late_s = 0, 0.0
    for tick in range(max(1, round(duration_s * link_hz))):
        worst_late_s = max(worst_late_s, time.monotonic() - (start_s + tick / link_hz))
        try:
            link.send(command)
            sent += 1
        except OSError as error:
            errors[_name(error)] += 1
        deadline_s = start_s + (tick + 1) / link_hz
        # At least one look a tick, also when the loop is late: otherwise the socket's queue would overflow.
        remaining_s: Optional[float] = max(deadline_s - time.monotonic(), 0.0)
        while remaining_s is not None and select.select([link], [], [], remaining_s)[0]:
            try:
                into.append(Datagram(time.monotonic(), link.recv(_RECEIVE_BYTES)))
            except OSError as error:
                errors[_name(error)] += 1
            remaining_s = deadline_s - time.monotonic()
            remaining_s = remaining_s if remaining_s > 0.0 else None
    return sent, worst_late_s


def _name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
