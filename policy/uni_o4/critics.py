"""The critics of Uni-O4: twin Q with V by IQL (or SARSA), fitted once on the logs and then frozen.

As in the paper but for their size: the default networks are smaller (see `CriticSettings`).
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from policy.networks import QNetwork, ValueNetwork
from policy.objective import expectile_loss
from policy.transitions import Transitions
from policy.uni_o4.keeping import NOTHING_KEPT, Keeper, TrainingParts
from policy.uni_o4.settings import Progress, no_progress, require, seeded_network
from policy.uni_o4.side_by_side import ActionValues, follow
from policy.uni_o4.value import RewardScale

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CriticSettings:
    """How Q and V are fitted for the published improvement step.

    Attributes:
        method: `iql` backs up V of the next state; `sarsa` backs up Q of the next logged action.
        expectile: of V under the data's actions; 0.5 makes V their mean (always so with `sarsa`).
        discount: gamma a policy step. target_rate: tau of the slowly following copy of Q.
        updates, batch_size, learning_rate: of Adam, for Q and V alike.
        action_value_dims, value_dims: widths of the hidden layers. The paper has (1024, 1024) and (512, 512, 512); an
            update then costs seven times the processor time (0.22 s against 0.032 s on one thread, 47 observations),
            so that 20,000 of them take more than an hour.
    """

    method: Literal["iql", "sarsa"] = "iql"
    expectile: float = 0.7
    discount: float = 0.99
    target_rate: float = 0.005
    updates: int = 20_000
    batch_size: int = 512
    learning_rate: float = 3e-4
    action_value_dims: tuple[int, ...] = (256, 256)
    value_dims: tuple[int, ...] = (256, 256)

    def __post_init__(self) -> None:
        require(self, "expectile", 0.5, 0.999)
        require(self, "discount", 0.0, 0.9999)
        require(self, "target_rate", 0.0, 1.0)
        require(self, "updates", 1)
        require(self, "batch_size", 1)


# ---- Networks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Critics:
    """Frozen twin Q and V over scaled rewards."""

    first: QNetwork
    second: QNetwork
    value: ValueNetwork

    def action_value(self, observation: Tensor, action: Tensor) -> Tensor:
        """The smaller of the twins (N,), for actions as they are: nothing is clamped on the way in."""
        return torch.minimum(self.first(observation, action), self.second(observation, action))

    def advantage(self, observation: Tensor, action: Tensor) -> Tensor:
        """A = Q - V (N,)."""
        return self.action_value(observation, action) - self.value(observation)


# ---- Fitting ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CriticBatch:
    """Logged steps to back up, all (B, ...): reward scaled, following_action the next logged one (for `sarsa`)."""

    observation: Tensor
    action: Tensor
    reward: Tensor
    next_observation: Tensor
    following_action: Tensor
    terminated: Tensor

    @staticmethod
    def at(transitions: Transitions, reward: Tensor, rows: Tensor, next_rows: Tensor) -> CriticBatch:
        """The logged steps of the given rows (B,), of scaled rewards (N,) and of the rows that follow them (B,)."""
        return CriticBatch(
            transitions.observation[rows],
            transitions.action[rows],
            reward[rows],
            transitions.next_observation[rows],
            transitions.action[next_rows],
            transitions.terminated[rows],
        )


class CriticTraining:
    """Critics in the making: the twins side by side, their slow copy, V, and one optimiser for all of them."""

    def __init__(
        self, observation_dim: int, action_dim: int, settings: CriticSettings, generator: torch.Generator
    ) -> None:
        self.settings = settings
        self._first, self._second = (
            seeded_network(lambda: QNetwork(observation_dim, action_dim, settings.action_value_dims), generator)
            for _ in range(2)
        )
        self.value = seeded_network(lambda: ValueNetwork(observation_dim, settings.value_dims), generator)
        self.twins = ActionValues(
            2, observation_dim + action_dim, settings.action_value_dims, functional.elu, torch.Generator()
        )
        self.twins.read_from([self._first.network, self._second.network])
        self._slow = copy.deepcopy(self.twins).requires_grad_(False)
        parameters = [*self.twins.parameters(), *self.value.parameters()]
        self.optimizer = torch.optim.Adam(parameters, settings.learning_rate, fused=True)
        modules = {"twins": self.twins, "slow": self._slow, "value": self.value}
        self.parts = TrainingParts(modules, {"optimizer": self.optimizer})

    def step(self, batch: CriticBatch) -> Tensor:
        """One gradient step of V and both Q; the loss of V before it, a scalar that nobody has waited for."""
        settings = self.settings

        # Value: L_V = E[ |tau - 1(Q_target - V < 0)| (Q_target(s, a) - V(s))^2 ]
        with torch.no_grad():
            wanted = self._slow(batch.observation, batch.action).amin(0)
        expectile = settings.expectile if settings.method == "iql" else 0.5
        loss_value = expectile_loss(wanted - self.value(batch.observation), expectile)

        # Action value: L_Q = E[ (r + gamma (1 - terminated) V(s') - Q(s, a))^2 ], with Q_target(s', a') for SARSA
        with torch.no_grad():
            if settings.method == "iql":
                beyond = self.value(batch.next_observation)
            else:
                beyond = self._slow(batch.next_observation, batch.following_action).amin(0)
            backup = batch.reward + settings.discount * beyond.masked_fill(batch.terminated, 0.0)
        loss_action_value = (self.twins(batch.observation, batch.action) - backup).square().mean(1).sum()

        self.optimizer.zero_grad()
        (loss_value + loss_action_value).backward()
        self.optimizer.step()
        follow(self._slow, self.twins, settings.target_rate)
        return loss_value.detach()

    def critics(self) -> Critics:
        """The critics as they are now, frozen; what is trained afterwards does not reach them."""
        critics = copy.deepcopy(Critics(self._first, self._second, self.value))
        self.twins.write_to([critics.first.network, critics.second.network])
        for network in (critics.first, critics.second, critics.value):
            network.requires_grad_(False)
        return critics


def fit_critics(
    transitions: Transitions,
    scale: RewardScale,
    settings: CriticSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
    keeper: Keeper = NOTHING_KEPT,
) -> Critics:
    """Fit twin Q and V on logged transitions and freeze them."""
    training = CriticTraining(transitions.observation.shape[1], transitions.action.shape[1], settings, generator)
    rows_in_use, next_row = _backup_rows(transitions, settings)
    reward = scale(transitions.reward)
    report_every = max(1, settings.updates // 50)
    done, kept = 0, keeper.kept()
    if kept is not None:
        training.parts.restore(kept)
        done = kept.record["updates"]
    for update in range(done, settings.updates):
        rows = rows_in_use[torch.randint(len(rows_in_use), (settings.batch_size,), generator=generator)]
        value_loss = training.step(CriticBatch.at(transitions, reward, rows, next_row[rows]))
        if (update + 1) % report_every == 0:
            progress("critics", update + 1, settings.updates, {"value_loss": value_loss.item()})
        record = {"updates": update + 1}
        keeper.keep(functools.partial(training.parts.state, record), update + 1 == settings.updates)
    return training.critics()


def _backup_rows(transitions: Transitions, settings: CriticSettings) -> tuple[Tensor, Tensor]:
    """Rows that can be backed up, and the row of each one's next logged action (itself where nothing follows)."""
    rows = torch.arange(len(transitions))
    next_row = torch.where(transitions.episode_end, rows, rows + 1).clamp(max=len(rows) - 1)
    if settings.method == "iql":
        return rows, next_row
    # Where a recording stopped, the next action was never logged.
    return (~transitions.truncated).nonzero().squeeze(1), next_row
