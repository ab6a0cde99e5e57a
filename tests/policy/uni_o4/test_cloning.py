"""Behaviour cloning: the disagreement term must have a gradient of its own and spread members over two modes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from policy.networks import GaussianActor
from policy.uni_o4.cloning import CloningSettings, clone_behavior, cloning_loss, with_cloned_behavior
from policy.uni_o4.settings import SettingsError
from tests.policy.uni_o4.point_mass import linear_actor, log_episodes

torch.set_num_threads(1)


def two_mode_batch() -> tuple[Tensor, Tensor]:
    """Half of the actions near -1, half near +1, whatever the state."""
    generator = torch.Generator().manual_seed(0)
    mode = torch.where(torch.arange(400) % 2 == 0, 1.0, -1.0)[:, None]
    return torch.randn(400, 2, generator=generator), mode + 0.1 * torch.randn(400, 1, generator=generator)


def flat_gradient(loss: Tensor, actor: GaussianActor) -> Tensor:
    return torch.cat(
        [part.flatten() for part in torch.autograd.grad(loss, list(actor.parameters()), retain_graph=True)]
    )


def test_disagreement_by_hand():
    # Two members at 0 and 1 with std 1, one action 1: log-likelihoods c - 1/2 and c, so D_1 = 1/2 and D_2 = 0.
    members = [linear_actor(0.0, 0.0, 1.0), linear_actor(0.0, 0.0, 1.0)]
    list(members[1].mean_network.parameters())[1].data.fill_(1.0)
    loss = cloning_loss(members, torch.zeros(1, 2), torch.ones(1, 1), 0.1)
    constant = -0.5 * math.log(2.0 * math.pi)
    assert loss.item() == pytest.approx(-(2.0 * constant - 0.5) - 0.1 * 0.5)


def test_mistake_05_the_disagreement_turns_the_gradient_and_does_not_only_rescale_it():
    observation, action = two_mode_batch()
    members = [linear_actor(0.2, 0.1, 0.7), linear_actor(-0.3, 0.2, 0.6)]
    plain = flat_gradient(cloning_loss(members, observation, action, 0.0), members[0])
    spread = flat_gradient(cloning_loss(members, observation, action, 0.5), members[0])
    cosine = torch.nn.functional.cosine_similarity(plain, spread, dim=0)
    assert cosine.item() < 0.99


def test_mistake_05_disagreement_widens_the_coverage_of_two_modes():
    observation, action = two_mode_batch()

    def widest_gap(disagreement: float) -> float:
        members = [linear_actor(0.0, 0.0, 1.0) for _ in range(4)]
        for index, member in enumerate(members):  # nearly alike at the start, as after the same cloning
            list(member.mean_network.parameters())[1].data.fill_(0.01 * (index - 1.5))
        optimizer = torch.optim.Adam([p for member in members for p in member.parameters()], 0.02)
        for _ in range(300):
            loss = cloning_loss(members, observation, action, disagreement)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        means = torch.stack([member(observation)[0].mean() for member in members])
        return float((means.max() - means.min()).detach())

    plain, published_weight, strong = widest_gap(0.0), widest_gap(0.1), widest_gap(0.5)
    assert plain < 0.05
    assert published_weight > 0.2
    assert strong > 0.8


class Certain(nn.Module):
    """A member whose log-likelihoods (N,) of the samples are what is to be learned."""

    def __init__(self, log_prob: list[float]) -> None:
        super().__init__()
        self.likelihood = nn.Parameter(torch.tensor(log_prob))

    def log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        return self.likelihood


def test_every_member_still_likes_every_sample_better_when_it_fits():
    """By hand, alpha 0.1, two samples: pulled by 1 - alpha where another explains it better, by 1 + alpha for each of
    the others where oneself does; halved by the mean."""
    members = [Certain([-3.0, 0.0]), Certain([-2.0, -1.0]), Certain([-1.0, -5.0])]
    cloning_loss(members, torch.zeros(2, 1), torch.zeros(2, 1), 0.1).backward()  # type: ignore[arg-type]
    gradient = torch.stack([member.likelihood.grad for member in members if member.likelihood.grad is not None])
    torch.testing.assert_close(gradient, torch.tensor([[-0.45, -0.6], [-0.45, -0.45], [-0.6, -0.45]]))
    strongest = CloningSettings(disagreement=0.99)
    for member in members:
        member.zero_grad()
    cloning_loss(members, torch.zeros(2, 1), torch.zeros(2, 1), strongest.disagreement).backward()  # type: ignore[arg-type]
    assert all(bool((member.likelihood.grad < 0.0).all()) for member in members if member.likelihood.grad is not None)


def test_a_disagreement_by_which_members_would_flee_the_samples_is_refused():
    with pytest.raises(SettingsError, match="disagreement"):
        CloningSettings(disagreement=1.0)


def test_the_clone_recovers_gain_and_noise_of_the_behaviour():
    transitions = log_episodes(linear_actor(-0.8, -0.4, 0.5), 40, 50, torch.Generator().manual_seed(1))
    settings = CloningSettings(members=2, hidden_dims=(), epochs=30, batch_size=64, learning_rate=5e-3)
    fit = clone_behavior(transitions, settings, torch.Generator().manual_seed(2))
    weight = next(fit.best.mean_network.parameters()).detach().squeeze(0)
    torch.testing.assert_close(weight, torch.tensor([-0.8, -0.4]), atol=0.12, rtol=0.0)
    assert fit.best.std().item() == pytest.approx(0.5, abs=0.08)
    assert max(fit.holdout_log_prob) == fit.holdout_log_prob[fit.members.index(fit.best)]


def test_a_cloned_behaviour_labels_what_the_log_does_not_know():
    actor = linear_actor(-0.8, -0.4, 0.5)
    transitions = log_episodes(actor, 3, 5, torch.Generator().manual_seed(1))
    labelled = with_cloned_behavior(transitions, actor)
    torch.testing.assert_close(labelled.log_prob, transitions.log_prob)
    torch.testing.assert_close(labelled.action_mean, transitions.action_mean)
