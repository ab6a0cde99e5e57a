"""The learner's three fits as one would write them at first, to measure ours against: a network object a member, an
optimiser each, a Python loop over members, batches gathered from host arrays in every step.

Same networks, same batch, same losses (tests/benchmarks/uni_o4 holds them equal), so that only the way of computing
differs. Of the columns each takes what its own losses need, and no more.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from policy.networks import GaussianActor, QNetwork, ValueNetwork
from policy.objective import expectile_loss
from policy.transitions import Transitions
from policy.uni_o4.cloning import CloningSettings
from policy.uni_o4.critics import CriticSettings
from policy.uni_o4.dynamics import LOG_VARIANCE_BOUNDS, DynamicsSettings

ALL_COLUMNS = ("observation", "action", "next_observation", "reward", "terminated")


class HostBatches:
    """Batches of random rows, gathered from NumPy arrays and turned into tensors one after the other."""

    def __init__(self, transitions: Transitions, batch_size: int, columns: Sequence[str]) -> None:
        self._columns = {name: getattr(transitions, name).numpy() for name in columns}
        self._rows, self._batch_size = len(transitions), batch_size
        self._random = np.random.default_rng(0)

    def draw(self) -> dict[str, Tensor]:
        """One batch by column name."""
        rows = self._random.integers(self._rows, size=self._batch_size)
        return {name: torch.from_numpy(column[rows]) for name, column in self._columns.items()}


def plain_cloning_losses(
    members: Sequence[GaussianActor], observation: Tensor, action: Tensor, disagreement: float
) -> list[Tensor]:
    """Each member's loss on a batch; their sum is `policy.uni_o4.cloning.cloning_loss`, its gradient too."""
    log_probs = [member.log_prob(observation, action) for member in members]
    losses = []
    for place, own in enumerate(log_probs):
        loss = -own.mean()
        others = [each for other, each in enumerate(log_probs) if other != place]
        if others:
            loss = loss - disagreement * (torch.stack(others).amax(0) - own).clamp(min=0.0).mean()
        losses.append(loss)
    return losses


def plain_cloning(transitions: Transitions, settings: CloningSettings, steps: int) -> Callable[[], None]:
    """Prepare `steps` gradient steps of every member, each against the others."""
    widths = transitions.observation.shape[1], transitions.action.shape[1]
    members = [GaussianActor(*widths, settings.hidden_dims, settings.initial_std) for _ in range(settings.members)]
    optimizers = [torch.optim.Adam(member.parameters(), settings.learning_rate) for member in members]
    batches = HostBatches(transitions, settings.batch_size, ("observation", "action"))

    def run() -> None:
        for _ in range(steps):
            batch = batches.draw()
            losses = plain_cloning_losses(members, batch["observation"], batch["action"], settings.disagreement)
            for optimizer in optimizers:
                optimizer.zero_grad()
            torch.stack(losses).sum().backward()
            for optimizer in optimizers:
                optimizer.step()

    return run


def plain_critics(transitions: Transitions, settings: CriticSettings, steps: int) -> Callable[[], None]:
    """Prepare `steps` gradient steps of V and both Q, one network after the other."""
    widths = transitions.observation.shape[1], transitions.action.shape[1]
    twins = [QNetwork(*widths, settings.action_value_dims) for _ in range(2)]
    slow = [copy.deepcopy(twin) for twin in twins]
    value = ValueNetwork(widths[0], settings.value_dims)
    optimizers = [torch.optim.Adam(each.parameters(), settings.learning_rate) for each in (*twins, value)]
    batches = HostBatches(transitions, settings.batch_size, ALL_COLUMNS)

    def descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def run() -> None:
        for _ in range(steps):
            batch = batches.draw()
            observation, action = batch["observation"], batch["action"]
            with torch.no_grad():
                wanted = torch.minimum(*(each(observation, action) for each in slow))
            descend(expectile_loss(wanted - value(observation), settings.expectile), optimizers[2])
            with torch.no_grad():
                beyond = value(batch["next_observation"]) * (~batch["terminated"]).float()
                backup = batch["reward"] + settings.discount * beyond
            for twin, optimizer in zip(twins, optimizers[:2], strict=True):
                descend((twin(observation, action) - backup).square().mean(), optimizer)
            for old, new in zip(slow, twins, strict=True):
                for before, after in zip(old.parameters(), new.parameters(), strict=True):
                    before.data = (1.0 - settings.target_rate) * before.data + settings.target_rate * after.data

    return run


def plain_dynamics(transitions: Transitions, settings: DynamicsSettings, steps: int) -> Callable[[], None]:
    """Prepare `steps` gradient steps of every member of the transition model."""
    # The model's own features hold the state twice, as seen and as measured (`dynamics_features`).
    input_dim = 2 * transitions.observation.shape[1] + transitions.action.shape[1]
    target_dim = transitions.observation.shape[1] + 1
    widths = [input_dim, *settings.hidden_dims, 2 * target_dim + 1]
    members = []
    for _ in range(settings.members):
        layers: list[nn.Module] = []
        for before, after in zip(widths[:-2], widths[1:-1], strict=True):
            layers += [nn.Linear(before, after), nn.SiLU()]
        members.append(nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1])))
    optimizers = [
        torch.optim.AdamW(member.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        for member in members
    ]
    batches = HostBatches(transitions, settings.batch_size, ALL_COLUMNS)

    def run() -> None:
        for _ in range(steps):
            for member, optimizer in zip(members, optimizers, strict=True):
                batch = batches.draw()
                optimizer.zero_grad()
                _dynamics_loss(member, batch, settings, target_dim).backward()
                optimizer.step()

    return run


def _dynamics_loss(member: nn.Module, batch: dict[str, Tensor], settings: DynamicsSettings, target_dim: int) -> Tensor:
    observation = batch["observation"]
    target = torch.cat([batch["next_observation"] - observation, batch["reward"][:, None]], dim=1)
    output = member(torch.cat([observation, observation, batch["action"]], dim=1))
    mean, log_variance, fall_logit = output.split([target_dim, target_dim, 1], dim=1)
    lower, upper = LOG_VARIANCE_BOUNDS
    log_variance = upper - functional.softplus(upper - log_variance)
    log_variance = lower + functional.softplus(log_variance - lower)
    likelihood = 0.5 * ((target - mean).square() * (-log_variance).exp() + log_variance)
    likelihood = likelihood * (settings.variance_weighting * log_variance).detach().exp()
    fell = batch["terminated"].float()
    fall = functional.binary_cross_entropy_with_logits(fall_logit.squeeze(1), fell)
    return likelihood.mean() + settings.termination_weight * fall
