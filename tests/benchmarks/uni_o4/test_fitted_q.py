"""Fitted Q evaluation where the answer is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks.uni_o4.fitted_q import FittedQSettings, evaluate_by_fitted_q, mean_actions
from benchmarks.uni_o4.gymnasium_world import Standardization, transitions_of
from benchmarks.uni_o4.robots import BenchmarkRobot
from policy.networks import GaussianActor
from policy.transitions import Transitions
from policy.uni_o4.value import RewardScale
from tests.benchmarks.uni_o4.toy_robot import toy_steps

TOY = BenchmarkRobot("toy", "Toy-v0", 2, 1, 0.0, 1.0)
SETTINGS = FittedQSettings(
    members=2, hidden_dims=(16,), updates=800, batch_size=64, learning_rate=1e-2, discount=0.8, target_rate=0.1
)


def constant_actor(action: float) -> GaussianActor:
    actor = GaussianActor(2, 1, (), 0.1)
    weight, bias = actor.mean_network.parameters()
    weight.data.zero_()
    bias.data.fill_(action)
    return actor


def transitions(reward_of_action: float, terminated: bool) -> Transitions:
    """Random steps whose reward is 1 + that share of the action, all of them ends or none."""
    torch.set_num_threads(1)
    steps = toy_steps(TOY, 20)
    made = transitions_of(steps, Standardization.of(steps))
    reward = 1.0 + reward_of_action * made.action[:, 0]
    ends = torch.full_like(made.terminated, terminated)
    kept = {name: value for name, value in vars(made).items() if name not in ("reward", "terminated")}
    return Transitions(**kept, reward=reward, terminated=ends)


def values(data: Transitions, actions: list[float], scale: float = 1.0) -> torch.Tensor:
    """Mean over members and starts, for each constant policy."""
    actors = [constant_actor(action) for action in actions]
    starts = data.observation[:16]
    found = evaluate_by_fitted_q(data, actors, starts, RewardScale(scale), SETTINGS, torch.Generator().manual_seed(0))
    assert found.shape == (len(actions), 2, 16)
    return found.mean((1, 2))


def test_each_policy_gets_the_value_of_its_own_actions():
    """Reward 1 + a / 2 for ever at gamma 0.8: five times the reward of the policy's action."""
    found = values(transitions(0.5, terminated=False), [-0.8, 0.0, 0.8])
    torch.testing.assert_close(found, torch.tensor([3.0, 5.0, 7.0]), atol=0.5, rtol=0.0)


def test_nothing_follows_the_end_and_the_reward_scale_goes_out_as_it_went_in():
    found = values(transitions(0.5, terminated=True), [-0.8, 0.8], scale=0.1)
    torch.testing.assert_close(found, torch.tensor([0.6, 1.4]), atol=0.15, rtol=0.0)


def test_policies_are_judged_by_the_action_that_is_executed():
    acted = mean_actions([constant_actor(5.0), constant_actor(-0.25)], torch.zeros(3, 2))
    assert acted.tolist() == [[[1.0]] * 3, [[pytest.approx(-0.25)]] * 3]


def test_where_a_recording_stopped_the_policy_goes_on():
    """Every step is the last that was recorded of its episode, and none is an end: still five times the reward."""
    endless = transitions(0.5, terminated=False)
    stopped = replace(endless, truncated=torch.ones_like(endless.truncated))
    torch.testing.assert_close(values(stopped, [0.8]), torch.tensor([7.0]), atol=0.5, rtol=0.0)
