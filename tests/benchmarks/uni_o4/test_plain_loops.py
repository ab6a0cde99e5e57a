"""The loops that ours are timed against do the same work: same loss, same gradient."""

from __future__ import annotations

import copy

import torch

from benchmarks.uni_o4.plain_loops import plain_cloning_losses
from policy.networks import GaussianActor
from policy.uni_o4.cloning import cloning_loss


def test_plain_cloning_has_the_loss_and_the_gradient_of_ours():
    torch.manual_seed(0)
    plain = [GaussianActor(5, 2, (8,), 0.5) for _ in range(4)]
    ours = copy.deepcopy(plain)
    observation, action = torch.randn(64, 5), torch.randn(64, 2)
    first = torch.stack(plain_cloning_losses(plain, observation, action, 0.3)).sum()
    second = cloning_loss(ours, observation, action, 0.3)
    torch.testing.assert_close(first, second)
    first.backward()
    second.backward()
    for one, two in zip(plain, ours, strict=True):
        for mine, theirs in zip(one.parameters(), two.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_single_member_disagrees_with_nobody():
    torch.manual_seed(0)
    member, observation, action = GaussianActor(5, 2, (8,), 0.5), torch.randn(64, 5), torch.randn(64, 2)
    (loss,) = plain_cloning_losses([member], observation, action, 0.3)
    torch.testing.assert_close(loss, -member.log_prob(observation, action).mean())
