"""The learner's world of a robot whose rules it is not told: what it is asked about, and what its heads learn."""

from __future__ import annotations

import pytest
import torch

from benchmarks.uni_o4.gymnasium_world import (
    ExecutedCritics,
    ExecutedModel,
    Standardization,
    gymnasium_world,
    transitions_of,
)
from benchmarks.uni_o4.robots import BenchmarkRobot
from benchmarks.uni_o4.termination import never
from policy.networks import GaussianActor, QNetwork, ValueNetwork
from policy.uni_o4.dynamics import DynamicsSettings, dynamics_features, fit_dynamics
from policy.uni_o4.ensemble_rollouts import BranchStarts, ModelWorld, RolloutNoise, roll_out
from tests.benchmarks.uni_o4.toy_robot import EDGE_M, toy_steps

TOY = BenchmarkRobot("toy", "Toy-v0", 2, 2, 0.0, 1.0)


@pytest.fixture(scope="module")
def world() -> ModelWorld:
    """Fitted to a hundred and twenty episodes of random pushes, a good part of which leave over the edge."""
    torch.set_num_threads(1)
    steps = toy_steps(TOY, 120)
    standardization = Standardization.of(steps)
    transitions = transitions_of(steps, standardization)
    assert 25 <= int(transitions.terminated.sum()) < 100
    settings = DynamicsSettings(members=3, elites=2, hidden_dims=(32, 32), batch_size=64, epochs=25, learning_rate=5e-3)
    fit = fit_dynamics(transitions, settings, torch.Generator().manual_seed(0))
    return gymnasium_world(fit.model, transitions, standardization, never)


def ask(world: ModelWorld, state: list[list[float]], action: list[list[float]]):
    physical = torch.tensor(state)
    observation = world.observer.observe(physical, torch.zeros(len(physical), 0), torch.zeros(len(physical), 0))
    past = torch.zeros(len(physical), 0, 4)
    return world.model.predict(dynamics_features(observation, physical, torch.tensor(action), past), physical)


def test_the_heads_learn_motion_reward_and_the_end_of_an_episode(world: ModelWorld):
    answer = ask(
        world, [[0.2, -0.1], [-0.5, 0.3], [0.58, 0.0], [0.4, 0.0]], [[1.0, -1.0], [0.0, 0.5], [1.0, 0.0], [-1.0, 0.0]]
    )
    outcome = answer.outcome.mean(0)
    torch.testing.assert_close(outcome[:2], torch.tensor([[0.3, -0.2, 1.3], [-0.5, 0.35, 0.5]]), atol=0.05, rtol=0.0)
    falls = answer.fall_probability.mean(0)
    assert falls[2] > 0.5  # 0.58 + 0.1 lies beyond the edge
    assert falls[3] < 0.1 and falls[1] < 0.05


def test_the_model_is_asked_about_the_action_that_is_executed(world: ModelWorld):
    beyond = ask(world, [[0.0, 0.0]], [[7.0, -3.0]]).outcome
    torch.testing.assert_close(beyond, ask(world, [[0.0, 0.0]], [[1.0, -1.0]]).outcome)
    assert not torch.allclose(beyond, ask(world, [[0.0, 0.0]], [[0.5, -1.0]]).outcome)


def test_critics_are_asked_about_the_action_that_is_executed():
    torch.manual_seed(0)
    critics = ExecutedCritics(QNetwork(2, 1, (8,)), QNetwork(2, 1, (8,)), ValueNetwork(2, (8,)))
    state = torch.zeros(1, 2)
    assert torch.equal(critics.advantage(state, torch.tensor([[4.0]])), critics.advantage(state, torch.tensor([[1.0]])))
    assert not torch.equal(
        critics.advantage(state, torch.tensor([[0.5]])), critics.advantage(state, torch.tensor([[1.0]]))
    )


def test_no_branch_leaves_what_was_logged_and_falls_come_from_the_head_alone(world: ModelWorld):
    actor = GaussianActor(2, 2, (), 0.1)
    weight, bias = actor.mean_network.parameters()
    weight.data.zero_()
    bias.data.fill_(1.0)  # a push to the upper right, for ever
    count, horizon = 50, 30
    starts = BranchStarts(
        torch.zeros(count, 2),
        torch.zeros(count, 0),
        torch.zeros(count, 0),
        torch.zeros(count, 0, 4),
        torch.arange(count),
    )
    noise = RolloutNoise.draw(horizon, count, 2, 2, torch.Generator().manual_seed(0))
    rollout = roll_out(world, actor, starts, noise)
    assert rollout.terminated.any(0).float().mean() > 0.9
    first = torch.where(rollout.terminated.any(0), rollout.terminated.float().argmax(0), horizon)
    assert 4 <= float(first.float().median()) <= 9  # seven steps of 0.1 m to beyond the edge
    assert float(rollout.physical[..., 0].max()) <= EDGE_M + 0.1 + 1e-5


def test_steps_become_transitions_with_contiguous_episodes():
    steps = toy_steps(TOY, 3)
    standardization = Standardization.of(steps)
    transitions = transitions_of(steps, standardization)
    assert transitions.episode.unique().tolist() == [0, 1, 2]
    assert torch.equal(transitions.episode_end.nonzero().squeeze(1)[:-1] + 1, torch.from_numpy(steps.first_rows)[1:])
    assert not bool((transitions.terminated & transitions.truncated).any())
    torch.testing.assert_close(transitions.observation.mean(0), torch.zeros(2), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(
        transitions.observation * standardization.spread + standardization.mean, transitions.physical
    )
    assert not transitions.behavior_is_known


def test_only_the_action_columns_are_touched(world: ModelWorld):
    """State 9 lies far outside and must reach the model as it is: only the action is limited."""
    assert isinstance(world.model, ExecutedModel)
    features = torch.full((1, 6), 9.0)
    limited = torch.tensor([[9.0, 9.0, 9.0, 9.0, 1.0, 1.0]])
    physical = torch.full((1, 2), 9.0)
    expected = world.model.model.predict(limited, physical).outcome
    torch.testing.assert_close(world.model.predict(features, physical).outcome, expected)
    assert features.eq(9.0).all()
