"""Episodes of a policy, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.uni_o4.evaluate import evaluate, mean_policy, standard_error
from benchmarks.uni_o4.gymnasium_world import Standardization
from benchmarks.uni_o4.robots import benchmark_robot
from policy.networks import GaussianActor
from tests.benchmarks.uni_o4.toy_robot import EDGE_M, STEPS, ToyEnvironment

HOPPER = benchmark_robot("hopper")


def push(strength: float):
    return lambda observation: np.full((len(observation), 3), strength)


def test_returns_are_those_of_the_episodes(toy: None):
    """Standing still at p_x earns 1 + p_x in each of 40 steps."""
    found = evaluate(push(0.0), HOPPER, episodes=3, seed=7, discount=0.5)
    starts = np.array([ToyEnvironment(HOPPER).reset(seed=7 + place)[0][0] for place in range(3)])
    assert found.lengths.tolist() == [STEPS] * 3
    np.testing.assert_allclose(found.returns, STEPS * (1.0 + starts))
    np.testing.assert_allclose(found.discounted_returns, (1.0 + starts) * (2.0 - 2.0**-39), rtol=1e-9)


def test_an_episode_stops_where_it_ends_while_others_go_on(toy: None):
    """Pushed by an action beyond the limits, which the environment gets as 1, the point leaves over the edge."""
    found = evaluate(push(5.0), HOPPER, episodes=4, seed=7)
    starts = np.array([ToyEnvironment(HOPPER).reset(seed=7 + place)[0][0] for place in range(4)])
    assert found.lengths.tolist() == np.ceil((EDGE_M - starts) / 0.1).astype(int).tolist()
    assert len(set(found.lengths.tolist())) > 1


def test_the_policy_sees_the_state_standardised():
    actor = GaussianActor(2, 1, (), 0.5)
    weight, bias = actor.mean_network.parameters()
    weight.data.copy_(torch.tensor([[1.0, 10.0]]))
    bias.data.zero_()
    policy = mean_policy(actor, Standardization(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 4.0])))
    # One from the first column, ten from the second.
    assert policy(np.array([[3.0, 6.0]], dtype=np.float32)).tolist() == [[pytest.approx(11.0)]]


def test_the_standard_error_is_that_of_the_mean():
    assert standard_error(np.array([1.0, 3.0])) == pytest.approx(1.0)  # sqrt(2) / sqrt(2)
    assert standard_error(np.array([4.0])) == 0.0
