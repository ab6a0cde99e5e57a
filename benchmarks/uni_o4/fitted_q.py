"""Fitted Q evaluation (Le et al. 2019) of many policies at once: one batch of networks, one pass over the data.

    Q_k(s, a) <- r + gamma (1 - terminated) Q_slow,k(s', pi_k(s'))     for every policy k

Each policy has several networks, and each of those weighs the logged episodes by a draw of its own (a bootstrap), so
that their spread says how much the data decide.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.uni_o4.robots import ACTION_LIMIT
from policy.networks import GaussianActor
from policy.transitions import Transitions
from policy.uni_o4.settings import Progress, no_progress, require
from policy.uni_o4.side_by_side import ActionValues, follow
from policy.uni_o4.value import RewardScale


@dataclass(frozen=True)
class FittedQSettings:
    """How Q is fitted.

    Attributes:
        members: networks a policy. hidden_dims: widths of their hidden layers.
        updates, batch_size, learning_rate: of Adam; the rate falls to zero along a cosine.
        discount: gamma a step. target_rate: tau of the slowly following copy. Updates times tau is about the number of
            backups: 240 of them let Q reach 1 - 0.99^240 = 91 % of a reward that is earned for ever.
    """

    members: int = 2
    hidden_dims: tuple[int, ...] = (128, 128)
    updates: int = 3_000
    batch_size: int = 256
    learning_rate: float = 1e-3
    discount: float = 0.99
    target_rate: float = 0.08

    def __post_init__(self) -> None:
        require(self, "members", 2)
        require(self, "updates", 1)
        require(self, "batch_size", 1)
        require(self, "discount", 0.0, 0.9999)
        require(self, "target_rate", 0.0, 1.0)


def evaluate_by_fitted_q(
    transitions: Transitions,
    actors: Sequence[GaussianActor],
    starts: Tensor,
    scale: RewardScale,
    settings: FittedQSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
) -> Tensor:
    """Discounted return of every actor's mean action from observations `starts` (S, O): (K, members, S), unscaled."""
    reward = scale(transitions.reward)
    following_action = mean_actions(actors, transitions.next_observation)
    weight = _episode_weights(transitions, settings.members, generator)
    input_dim = transitions.observation.shape[1] + transitions.action.shape[1]
    network = ActionValues(len(actors) * settings.members, input_dim, settings.hidden_dims, functional.elu, generator)
    slow = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.Adam(network.parameters(), settings.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.updates)
    # No policy can earn less than the worst logged reward for ever, nor more than the best; terminal states earn zero.
    horizon = 1.0 / (1.0 - settings.discount)
    lowest, highest = min(float(reward.min()), 0.0) * horizon, max(float(reward.max()), 0.0) * horizon
    report_every = max(1, settings.updates // 50)
    for update in range(settings.updates):
        rows = torch.randint(len(transitions), (settings.batch_size,), generator=generator)
        with torch.no_grad():
            chosen = following_action[:, rows].repeat_interleave(settings.members, dim=0)
            beyond = slow(transitions.next_observation[rows], chosen).clamp(lowest, highest)
            target = reward[rows] + settings.discount * beyond.masked_fill(transitions.terminated[rows], 0.0)
        logged = transitions.action[rows].expand(network.count, -1, -1)
        error = (network(transitions.observation[rows], logged) - target).square()
        loss = (weight[:, rows].repeat(len(actors), 1) * error).mean(1).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        follow(slow, network, settings.target_rate)
        if (update + 1) % report_every == 0:
            progress("fitted Q", update + 1, settings.updates, {"loss": float(loss.detach()) / network.count})
    with torch.no_grad():
        action = mean_actions(actors, starts).repeat_interleave(settings.members, dim=0)
        return network(starts, action).unflatten(0, (len(actors), settings.members)) / scale.factor


@torch.no_grad()
def mean_actions(actors: Sequence[GaussianActor], observation: Tensor) -> Tensor:
    """Mean action of each actor as the environment executes it: (N, O) -> (K, N, A)."""
    return torch.stack([actor(observation)[0].clamp(-ACTION_LIMIT, ACTION_LIMIT) for actor in actors])


def _episode_weights(transitions: Transitions, members: int, generator: torch.Generator) -> Tensor:
    """(members, N): how often each member drew the row's episode, as many draws as there are episodes."""
    names, place = transitions.episode.unique(return_inverse=True)
    drawn = torch.randint(len(names), (members, len(names)), generator=generator)
    times = torch.stack([torch.bincount(row, minlength=len(names)) for row in drawn])
    return times.float()[:, place]
