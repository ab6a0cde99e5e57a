"""A MuJoCo Warp engine on Warp's CPU device, and the mujoco engine beside it."""

import pytest
import torch

from robot_configs.robot import load_robot
from sim.engines.mujoco import MujocoEngine
from sim.engines.mujoco_warp import MujocoWarpEngine
from tests.sim.engines.bench import ROBOTS, parameters

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_engine() -> MujocoWarpEngine:
    return MujocoWarpEngine(load_robot(), ROBOTS)


@pytest.fixture
def engine(shared_engine) -> MujocoWarpEngine:
    """One for all tests, for building one takes seconds even from the cache; each test places its robots anew."""
    shared_engine.set_parameters(parameters())
    return shared_engine


@pytest.fixture
def reference(robot) -> MujocoEngine:
    engine = MujocoEngine(robot, ROBOTS, num_threads=1)
    engine.set_parameters(parameters())
    return engine
