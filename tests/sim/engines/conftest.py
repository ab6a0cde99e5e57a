"""The robot and its stance, and the Isaac Gym engine on the MuJoCo shim."""

import pytest
import torch

from robot_configs.robot import RobotModel, load_robot
from tests.sim.engines.bench import ROBOTS


@pytest.fixture(autouse=True)
def shim(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the engines that a test makes, processes of their own included."""
    monkeypatch.setenv("GO1_ISAACGYM_SHIM", "1")


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return load_robot()


@pytest.fixture(scope="module")
def stand(robot) -> torch.Tensor:
    """Joint positions of the stance of each robot (ROBOTS, 12) [rad]."""
    return torch.tensor(robot.stand_position, dtype=torch.float32).repeat(ROBOTS, 1)
