"""Behaviour cloning by an ensemble whose members divide a multi-modal behaviour between them (Uni-O4, section 4.1)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from policy.networks import GaussianActor
from policy.transitions import Transitions, split_by_episode
from policy.uni_o4.settings import Progress, no_progress, require, seeded_network

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CloningSettings:
    """How the logged behaviour is cloned.

    Attributes:
        members: policies in the ensemble (the paper's ablation: 4 gain 3.7 points over 1, 8 gain no more).
        disagreement: alpha, weight of the disagreement term; below 1, so that every sample still attracts every member.
        hidden_dims: widths of an actor's hidden layers. initial_std: standard deviation before training.
        epochs, patience: passes over the training episodes at most, and without a better held-out fit until the stop.
        batch_size: steps an update. learning_rate: of Adam. holdout_fraction: share of the episodes held out.
    """

    members: int = 4
    disagreement: float = 0.1
    hidden_dims: tuple[int, ...] = (256, 256)
    initial_std: float = 0.5
    epochs: int = 40
    patience: int = 5
    batch_size: int = 512
    learning_rate: float = 1e-3
    holdout_fraction: float = 0.1

    def __post_init__(self) -> None:
        require(self, "members", 1)
        require(self, "disagreement", 0.0, 0.99)
        require(self, "epochs", 1)
        require(self, "batch_size", 1)
        require(self, "holdout_fraction", 0.0, 0.5)


# ---- Loss ------------------------------------------------------------------------------------------------------------


def cloning_loss(members: Sequence[GaussianActor], observation: Tensor, action: Tensor, disagreement: float) -> Tensor:
    """Sum over members of their cloning loss on observations (N, O) and logged actions (N, A).

    The gradient of the disagreement flows into both sides: a member lets go of what another explains better, by the
    share alpha, and the one that explains it best is drawn to it by alpha for each of the others. Treating the others
    as constants inside a plain log-ratio would only rescale cloning by 1 + alpha and separate nobody.
    """
    log_prob = torch.stack([member.log_prob(observation, action) for member in members])

    # Likelihood: -E[ log pi_i(a|s) ]
    likelihood = -log_prob.mean(1).sum()
    if len(members) == 1:
        return likelihood

    # Disagreement with the most likely of the others: D_i = E[ max(0, max_{j != i} log pi_j(a|s) - log pi_i(a|s)) ]
    itself = torch.eye(len(members), dtype=torch.bool)[:, :, None]
    others = log_prob[None].expand(len(members), -1, -1).masked_fill(itself, -torch.inf)
    distance = (others.amax(1) - log_prob).clamp(min=0.0).mean(1).sum()

    # L = sum_i -log pi_i - alpha D_i
    return likelihood - disagreement * distance


# ---- Fitting ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CloningFit:
    """The cloned ensemble and each member's held-out log-likelihood a step [nat]."""

    members: tuple[GaussianActor, ...]
    holdout_log_prob: tuple[float, ...]

    @property
    def best(self) -> GaussianActor:
        """The member that explains the held-out episodes best."""
        return self.members[max(range(len(self.members)), key=self.holdout_log_prob.__getitem__)]


def clone_behavior(
    transitions: Transitions,
    settings: CloningSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
) -> CloningFit:
    """Clone the logged actions; the state of the ensemble with the best held-out likelihood is kept."""
    observation_dim, action_dim = transitions.observation.shape[1], transitions.action.shape[1]

    def build() -> GaussianActor:
        return GaussianActor(observation_dim, action_dim, settings.hidden_dims, settings.initial_std)

    members = [seeded_network(build, generator) for _ in range(settings.members)]
    optimizer = torch.optim.Adam([p for member in members for p in member.parameters()], settings.learning_rate)
    train_rows, holdout_rows = split_by_episode(transitions, settings.holdout_fraction, generator)
    held_observation, held_action = transitions.observation[holdout_rows], transitions.action[holdout_rows]
    best, best_epoch = CloningFit(tuple(members), (-float("inf"),) * settings.members), 0
    for epoch in range(settings.epochs):
        for rows in train_rows[torch.randperm(len(train_rows), generator=generator)].split(settings.batch_size):
            loss = cloning_loss(members, transitions.observation[rows], transitions.action[rows], settings.disagreement)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            held = [float(member.log_prob(held_observation, held_action).mean()) for member in members]
        progress("cloning", epoch + 1, settings.epochs, {"holdout_log_prob": max(held)})
        if sum(held) > sum(best.holdout_log_prob):
            best, best_epoch = CloningFit(tuple(copy.deepcopy(member) for member in members), tuple(held)), epoch
        elif epoch - best_epoch >= settings.patience:
            break
    return best


@torch.no_grad()
def with_cloned_behavior(transitions: Transitions, actor: GaussianActor) -> Transitions:
    """The transitions with the clone's distribution in place of the one that the log does not know."""
    mean, std = actor(transitions.observation)
    log_prob = actor.log_prob(transitions.observation, transitions.action)
    return transitions.with_behavior(mean.clone(), std.clone(), log_prob)
