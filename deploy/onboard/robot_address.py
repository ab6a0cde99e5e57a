"""HOST[:PORT], as a person writes where the robot is."""

from __future__ import annotations

import ipaddress
import socket
from typing import Tuple

from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot


class RobotAddressError(Go1Error):
    """A text that is no HOST[:PORT]."""


def parse_robot_address(text: str) -> Tuple[str, int]:
    """Host and UDP port of "HOST:PORT", or of "HOST", whose port is the Go1's motor controller's.

    Raises:
        RobotAddressError
    """
    if text and ":" not in text:
        return text, load_robot().network.port
    host, _, port = text.rpartition(":")
    # isdecimal alone also takes the digits of other scripts.
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise RobotAddressError("a robot address HOST[:PORT]", repr(text), "Such as 192.168.123.10 or 127.0.0.1:8007.")
    return host, int(port)


def is_this_computer(host: str) -> bool:
    """Whether `host` is a loopback address, or a name of one: nothing but a twin can be there."""
    try:
        return ipaddress.ip_address(socket.gethostbyname(host)).is_loopback
    except OSError:
        return False
