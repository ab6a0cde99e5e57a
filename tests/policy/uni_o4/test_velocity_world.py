"""The reward inside the model is the task's own, and the model knows how fast the robot moves."""

import pytest
import torch

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.rewards import RewardWeights
from policy.transitions import PHYSICAL_GROUPS, VELOCITY_GROUP, TransitionsError
from policy.uni_o4.dynamics import DynamicsEnsemble, dynamics_features
from policy.uni_o4.velocity_world import VelocityRewardRule, velocity_world
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

ROBOT = load_robot()


@pytest.fixture(scope="module")
def graph():
    contract = velocity_contract(ROBOT)
    return PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (8,), 0.3))


def level_state(graph, velocity):
    """Standing in the default pose, gravity straight down, at a trunk velocity."""
    still = torch.zeros(1, 3)
    gravity, pose = torch.tensor([[0.0, 0.0, -1.0]]), torch.tensor([graph.contract.default_position])
    return torch.cat([gravity, still, pose, torch.zeros(1, 12), torch.tensor([velocity])], dim=1)


def test_perfect_tracking_by_hand(graph):
    rule = VelocityRewardRule.of(graph, ROBOT, RewardWeights())
    command, quiet = torch.tensor([[0.5, 0.0, 0.0]]), torch.zeros(1, 12)
    memory = torch.zeros(1, graph.contract.memory_dim)
    alive, fell = torch.tensor([False]), torch.tensor([True])
    perfect = rule(level_state(graph, [0.5, 0.0, 0.0]), command, quiet, memory, alive)
    assert perfect.item() == pytest.approx(1.5)
    off = rule(level_state(graph, [0.0, 0.0, 0.0]), command, quiet, memory, alive)
    assert off.item() == pytest.approx(0.5 + torch.exp(torch.tensor(-1.0)).item(), abs=1e-5)
    assert rule(level_state(graph, [0.5, 0.0, 0.0]), command, quiet, memory, fell).item() == pytest.approx(-8.5)


def test_changes_of_action_and_torque_cost(graph):
    rule = VelocityRewardRule.of(graph, ROBOT, RewardWeights())
    command, action = torch.tensor([[0.5, 0.0, 0.0]]), torch.zeros(1, 12)
    action[0, 1] = 1.0
    state, alive = level_state(graph, [0.5, 0.0, 0.0]), torch.tensor([False])
    memory = torch.zeros(1, graph.contract.memory_dim)
    torque_fraction = 30.0 * 0.35 / 23.7
    expected = 1.5 - 0.005 - 0.03 * torque_fraction**2
    assert rule(state, command, action, memory, alive).item() == pytest.approx(expected, abs=1e-5)
    memory[:, 2:14] = action  # the same action as before: no change
    assert rule(state, command, action, memory, alive).item() == pytest.approx(expected + 0.005, abs=1e-5)


def test_the_model_has_momentum():
    """Equal signals at unequal velocity: what it starts from goes in, now and one and two steps ago."""
    observation, action = torch.randn(2, 4), torch.randn(2, 12)
    physical, past = torch.randn(2, 33), torch.randn(2, 2, 45)
    seen = dynamics_features(observation, physical, action, past)
    assert seen.shape == (2, 4 + 33 + 12 + 2 * 45)
    faster, earlier = physical.clone(), past.clone()
    faster[:, 30:] += 1.0
    earlier[..., 30:33] += 1.0
    assert (dynamics_features(observation, faster, action, past) != seen).sum() == 2 * 3
    assert (dynamics_features(observation, physical, action, earlier) != seen).sum() == 2 * 2 * 3


def test_velocity_is_predicted_as_a_change():
    model = DynamicsEnsemble(5, 4, 2, (4,), torch.Generator().manual_seed(0))
    for parameter in model.parameters():
        parameter.data.zero_()
    model.line_bias.copy_(torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]))
    outcome = model.predict(torch.zeros(1, 5), torch.full((1, 4), 10.0)).outcome
    assert outcome[0, 0].tolist() == [11.0, 11.0, 11.0, 11.0, 0.0]


def test_logs_without_velocity_are_refused(graph):
    model = DynamicsEnsemble(5, 4, 2, (4,), torch.Generator())
    with pytest.raises(TransitionsError, match="velocity"):
        velocity_world(model, graph, ROBOT, RewardWeights(), PHYSICAL_GROUPS)
    assert velocity_world(model, graph, ROBOT, RewardWeights(), (*PHYSICAL_GROUPS, VELOCITY_GROUP)).reward
