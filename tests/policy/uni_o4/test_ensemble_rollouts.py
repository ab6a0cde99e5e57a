"""Rollouts in a model whose answers are known: what happens, in which order, and what no longer counts."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from policy.graph import PolicyGraph
from policy.networks import GaussianActor, gaussian_log_prob
from policy.uni_o4.dynamics import DynamicsPrediction
from policy.uni_o4.ensemble_rollouts import (
    BranchStarts,
    GraphObserver,
    ModelWorld,
    RolloutNoise,
    advance_past,
    roll_out,
    tilt_rule,
)
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from tests.policy.uni_o4.point_mass import DirectObserver, linear_actor

torch.set_num_threads(1)


class Drift(torch.nn.Module):
    """A model that is certain: the position moves by the action, member k adds 100 k to the reward, which is 1."""

    def __init__(self, members: int = 1) -> None:
        super().__init__()
        self.members = members

    def predict(self, features: Tensor, physical: Tensor) -> DynamicsPrediction:
        action = features[..., 4:5]  # behind observation (2) and physical state (2)
        reward = 1.0 + 100.0 * torch.arange(self.members, dtype=torch.float32)[:, None, None]
        position = physical[..., :1] + action
        outcome = torch.cat([position, physical[..., 1:], reward.expand(*position.shape)], dim=-1)
        return DynamicsPrediction(outcome, torch.zeros_like(outcome), torch.zeros(outcome.shape[:-1]))


def starts_at(positions: list[float]) -> BranchStarts:
    count = len(positions)
    physical = torch.tensor([[position, 0.0] for position in positions])
    return BranchStarts(
        physical, torch.zeros(count, 1), torch.zeros(count, 1), torch.zeros(count, 0, 3), torch.arange(count)
    )


def drift_world(limit: float, members: int = 1) -> ModelWorld:
    return ModelWorld(Drift(members), DirectObserver(), lambda state: state[:, 0] > limit)


def pushing_actor(push: float) -> GaussianActor:
    actor = linear_actor(0.0, 0.0, 0.5)
    list(actor.mean_network.parameters())[1].data.fill_(push)
    return actor


def draw(horizon: int, count: int, seed: int = 0) -> RolloutNoise:
    return RolloutNoise.draw(horizon, count, 1, 2, torch.Generator().manual_seed(seed))


def test_a_fall_ends_the_branch_and_only_that_branch():
    rollout = roll_out(drift_world(2.5), pushing_actor(1.0), starts_at([0.0, 1.0, -9.0]), draw(4, 3), exploration=0.0)
    assert rollout.terminated.T.tolist() == [[False, False, True, False], [False, True, False, False], [False] * 4]
    assert rollout.alive.T.tolist() == [[True, True, True, False], [True, True, False, False], [True] * 4]
    assert rollout.physical[:, 2, 0].tolist() == [-8.0, -7.0, -6.0, -5.0]


def test_steps_follow_each_other():
    rollout = roll_out(drift_world(1e9), pushing_actor(0.3), starts_at([0.0, 1.0]), draw(5, 2))
    assert torch.equal(rollout.next_observation[:-1], rollout.observation[1:])
    torch.testing.assert_close(rollout.physical[..., :1] - rollout.observation[..., :1], rollout.action)


def test_the_logged_probability_is_that_of_the_action_taken():
    actor = pushing_actor(0.3)
    rollout = roll_out(drift_world(1e9), actor, starts_at([0.0, 1.0]), draw(5, 2))
    mean, std = actor(rollout.observation)
    torch.testing.assert_close(rollout.log_prob, gaussian_log_prob(rollout.action, mean, std).detach())
    assert rollout.action.std() > 0.1


def test_mistake_06_actions_reach_the_model_unclamped():
    rollout = roll_out(drift_world(1e9), pushing_actor(8.0), starts_at([0.0]), draw(2, 1), exploration=0.0)
    assert rollout.physical[:, 0, 0].tolist() == [8.0, 16.0]


@pytest.mark.parametrize("count", [1, 2, 5, 7])
def test_every_row_is_answered_by_exactly_one_member(count: int):
    rollout = roll_out(drift_world(1e9, members=3), pushing_actor(1.0), starts_at([0.0] * count), draw(3, count), 0.0)
    assert set(rollout.reward.flatten().tolist()) <= {1.0, 101.0, 201.0}
    if count >= 3:
        assert all(len(set(step.tolist())) == 3 for step in rollout.reward)
    # Whoever answers, each row's own state is moved.
    assert (rollout.physical[..., 0] == torch.tensor([1.0, 2.0, 3.0])[:, None]).all()


def test_equal_luck_gives_equal_rollouts():
    once = roll_out(drift_world(1e9), pushing_actor(0.3), starts_at([0.0, 1.0]), draw(5, 2, seed=4))
    again = roll_out(drift_world(1e9), pushing_actor(0.3), starts_at([0.0, 1.0]), draw(5, 2, seed=4))
    assert torch.equal(once.physical, again.physical)


def test_past_frames_shift_by_one():
    past = torch.tensor([[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]])
    advanced = advance_past(past, torch.tensor([[5.0, 6.0]]), torch.tensor([[7.0]]))
    assert advanced.tolist() == [[[5.0, 6.0, 7.0], [1.0, 1.0, 1.0]]]


def test_the_tilt_rule_trips_just_beyond_its_angle():
    falls = tilt_rule(math.radians(60.0))
    angles = torch.tensor([59.9, 60.1, 180.0]).deg2rad()
    gravity = torch.stack([angles.sin(), torch.zeros(3), -angles.cos()], dim=1)
    assert falls(gravity).tolist() == [False, True, True]


def test_inside_the_model_the_policy_sees_what_its_graph_would_show_it():
    """Clock, last action and scales of a model step are the graph's own: compare with forward() on the same signals."""
    contract = velocity_contract(load_robot())
    torch.manual_seed(0)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (8,), 0.5)).requires_grad_(False)

    class Still(torch.nn.Module):
        members = 1

        def predict(self, features: Tensor, physical: Tensor) -> DynamicsPrediction:
            outcome = torch.cat([physical, torch.zeros(*physical.shape[:-1], 1)], dim=-1)
            return DynamicsPrediction(outcome, torch.zeros_like(outcome), torch.zeros(outcome.shape[:-1]))

    level = torch.cat(
        [torch.tensor([0.0, 0.0, -1.0, 0.1, 0.2, 0.3]), torch.tensor(contract.default_position), torch.ones(12)]
    )
    command = torch.tensor([[0.5, 0.0, 0.2]])
    starts = BranchStarts(
        level[None],
        command,
        torch.zeros(1, contract.memory_dim),
        torch.zeros(1, 2, 42),
        torch.zeros(1, dtype=torch.long),
    )
    noise = RolloutNoise.draw(3, 1, 12, 30, torch.Generator().manual_seed(0))
    world = ModelWorld(Still(), GraphObserver(graph), tilt_rule(1.0))
    rollout = roll_out(world, graph.actor, starts, noise)
    memory = torch.zeros(1, contract.memory_dim)
    for step in range(3):
        outputs = graph.forward(
            torch.tensor([[1.0, 0.0, 0.0, 0.0]]), level[None, 3:6], level[None, 6:18], level[None, 18:30], command,
            noise.action[step], memory,
        )  # fmt: skip
        _, action, _, _, log_prob, observation, memory = outputs
        torch.testing.assert_close(rollout.observation[step], observation)
        torch.testing.assert_close(rollout.action[step], action)
        torch.testing.assert_close(rollout.log_prob[step], log_prob)


def test_predicted_gravity_is_brought_back_to_unit_length():
    contract = velocity_contract(load_robot())
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (8,), 0.5))
    state = torch.cat([torch.tensor([0.0, 3.0, -4.0]), torch.arange(27.0)])[None]
    projected = GraphObserver(graph).project(state)
    torch.testing.assert_close(projected[0, :3], torch.tensor([0.0, 0.6, -0.8]))
    assert torch.equal(projected[0, 3:], state[0, 3:])
