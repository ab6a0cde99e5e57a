"""HOST[:PORT], once for everybody."""

from __future__ import annotations

import pytest

from deploy.onboard.robot_address import RobotAddressError, parse_robot_address
from robot_configs.robot import load_robot


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.168.123.10:8007", ("192.168.123.10", 8007)),
        ("localhost:1", ("localhost", 1)),
        ("192.168.123.10", ("192.168.123.10", load_robot().network.port)),
        ("[::1]:65535", ("[::1]", 65535)),
    ],
)
def test_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_robot_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":8007",
        "127.0.0.1:",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:x",
        "a:-1",
        "a:1.0",
        "a:٣",
    ],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(RobotAddressError, match=r"HOST\[:PORT\].*127.0.0.1:8007"):
        parse_robot_address(text)
