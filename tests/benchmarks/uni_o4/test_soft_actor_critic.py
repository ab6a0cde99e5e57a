"""The data's learner: its density is right, and it goes on bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch

from benchmarks.uni_o4.recipe import SacSettings
from benchmarks.uni_o4.soft_actor_critic import SoftActorCritic, SquashedActor

SETTINGS = SacSettings(hidden_dims=(16, 16), batch_size=32)


def batch(seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.randn(32, width, generator=generator) for width in (4, 2, 1, 4)]
    return rows[0], rows[1].tanh(), rows[2][:, 0], rows[3], torch.rand(32, generator=generator) < 0.1


def test_the_density_of_a_squashed_action_integrates_to_one():
    """The density at sampled actions, against importance weights: E_pi[1 / pi(a)] over a in (-1, 1) is its length 2."""
    torch.manual_seed(3)
    actor = SquashedActor(1, 1, (4,))
    with torch.no_grad():
        _, log_prob = actor.sample(torch.zeros(200_000, 1), torch.Generator().manual_seed(0))
        mean, std = actor(torch.zeros(1, 1))
    assert 0.1 < float(std) < 2.0 and abs(float(mean)) < 1.0  # wide enough to reach everywhere
    assert float((-log_prob).exp().mean()) == pytest.approx(2.0, rel=0.05)


def test_restored_it_goes_on_bit_for_bit():
    learner = SoftActorCritic(4, 2, SETTINGS, seed=0)
    for step in range(5):
        learner.update(*batch(step))
    tensors = copy.deepcopy(learner.tensors())
    fresh = SoftActorCritic(4, 2, SETTINGS, seed=99)
    fresh.restore(tensors)
    for step in range(5, 10):
        learner.update(*batch(step))
        fresh.update(*batch(step))
    for name, value in learner.tensors().items():
        assert torch.equal(value, fresh.tensors()[name]), name


def test_it_finds_the_action_that_is_rewarded():
    """Episodes of one step, reward -(a - 0.6)^2: the mean action goes there."""
    learner = SoftActorCritic(2, 1, SacSettings(hidden_dims=(32, 32), batch_size=128, learning_rate=3e-3), seed=0)
    generator, terminated = torch.Generator().manual_seed(0), torch.ones(128, dtype=torch.bool)
    for _ in range(400):
        state = torch.randn(128, 2, generator=generator)
        action = 2.0 * torch.rand(128, 1, generator=generator) - 1.0
        learner.update(state, action, -20.0 * (action[:, 0] - 0.6).square(), state, terminated)
    with torch.no_grad():
        mean, _ = learner.actor(torch.randn(64, 2, generator=generator))
    assert float(mean.tanh().mean()) == pytest.approx(0.6, abs=0.15)


@pytest.mark.parametrize("terminated", [True, False])
def test_what_lies_behind_an_end_is_worth_nothing(terminated: bool):
    """Two learners that differ in the next state only: after an end it teaches the critics nothing, else it does."""
    ends = torch.full((32,), terminated)
    learners = [SoftActorCritic(4, 2, SETTINGS, seed=0) for _ in range(2)]
    observation, action, reward, following, _ = batch(0)
    for learner, reached in zip(learners, (following, following + 5.0), strict=True):
        learner.update(observation, action, reward, reached, ends)
    first, second = (list(learner.critic.parameters()) for learner in learners)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True)) == terminated
