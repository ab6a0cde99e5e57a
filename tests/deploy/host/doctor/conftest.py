"""Samples of a healthy robot that lies still, to be made ill one field at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from deploy.host.doctor.sample import Datagram, Sample
from deploy.onboard.packet_layout import HEAD, LEVEL_LOW, LOW_STATE, MOTORS, seal
from deploy.onboard.wire import MOTOR_MODE_SERVO
from robot_configs.robot import RobotModel, load_robot

PERIOD_S = 0.002
HEALTHY_PACKETS = 400


@pytest.fixture(scope="session")
def robot() -> RobotModel:
    return load_robot()


def healthy_states(count: int = HEALTHY_PACKETS) -> np.ndarray:
    """Records (count,) of a robot that lies folded and still, one every 2 ms, with a little noise."""
    robot, noise = load_robot(), np.random.default_rng(0)
    states = np.zeros(count, LOW_STATE)
    states["header"]["head"] = np.frombuffer(HEAD, np.uint8)
    states["header"]["level"] = LEVEL_LOW
    states["imu"]["quaternion"] = [1.0, 0.0, 0.0, 0.0] + noise.normal(0.0, 1e-5, (count, 4))
    states["imu"]["gyroscope"] = noise.normal(0.0, 0.01, (count, 3))
    states["imu"]["accelerometer"] = [0.0, 0.0, 9.81] + noise.normal(0.0, 0.05, (count, 3))
    motors = states["motors"][:, :MOTORS]
    motors["mode"] = MOTOR_MODE_SERVO
    motors["position"] = robot.sit_position
    motors["velocity"] = noise.normal(0.0, 0.05, (count, MOTORS))
    motors["temperature"] = 30
    states["battery"]["soc"] = 80
    states["battery"]["current"] = -1500
    states["tick"] = 5000 + 2 * np.arange(count)
    return states


def packets(states: np.ndarray) -> list[bytes]:
    """The sealed packets of records."""
    return [seal(bytearray(state.tobytes())) for state in states]


@dataclass
class Heard:
    """What arrived; a test changes it and asks for the sample."""

    states: np.ndarray = field(default_factory=healthy_states)
    changes: dict[str, Any] = field(default_factory=dict)
    """Fields of the sample to set."""

    def sample(self, change: Callable[[list[Datagram]], list[Datagram]] = lambda datagrams: datagrams) -> Sample:
        arrivals = 100.0 + PERIOD_S * np.arange(len(self.states))
        datagrams = [
            Datagram(float(time_s), packet) for time_s, packet in zip(arrivals, packets(self.states), strict=True)
        ]
        datagrams = change(datagrams)
        plain = {
            "host": "192.168.123.10",
            "port": 8007,
            "duration_s": 2.0,
            "commands_sent": 1000,
            "network_errors": {},
            "source_address": "192.168.123.162",
            "datagrams": tuple(datagrams),
            "wall_time_s": 1.75e9,
        }
        return Sample(**{**plain, **self.changes})


@pytest.fixture
def heard() -> Heard:
    return Heard()
