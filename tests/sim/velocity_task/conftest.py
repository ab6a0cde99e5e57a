"""What every test of the velocity task starts from: a small random policy and an engine without physics."""

import pytest
import torch

from policy.contract import PolicyContract
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import RobotModel, load_robot
from sim.velocity_task import VelocityTask
from tests.sim.velocity_task.bench import ScriptedEngine, make_task


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return load_robot()


@pytest.fixture(scope="module")
def contract(robot) -> PolicyContract:
    return velocity_contract(robot).without_slew()


@pytest.fixture(scope="module")
def graph(contract) -> PolicyGraph:
    torch.manual_seed(0)
    actor = GaussianActor(contract.observation_dim, contract.action_dim, (16,), 0.1)
    return PolicyGraph(contract, actor).requires_grad_(False)


@pytest.fixture
def engine(robot) -> ScriptedEngine:
    return ScriptedEngine(robot)


@pytest.fixture
def task(robot, graph, engine) -> VelocityTask:
    return make_task(robot, graph, engine)
