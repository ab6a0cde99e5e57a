"""A gate and its robot."""

from __future__ import annotations

import pytest

from deploy.onboard.gate import Gate
from robot_configs.robot import RobotModel
from tests.deploy.onboard.gate.bench import gate_robot


@pytest.fixture(scope="session")
def robot() -> RobotModel:
    return gate_robot()


@pytest.fixture
def gate(robot: RobotModel) -> Gate:
    return Gate(robot)
