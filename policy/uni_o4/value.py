"""The state value of the logged behaviour by TD(lambda), and the one reward scale that every stage shares.

This value closes the branches in the transition model, judges policies at a branch's end, and starts online learning.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from policy.networks import ValueNetwork
from policy.objective import explained_variance, generalized_advantage, value_loss
from policy.transitions import Transitions, split_by_episode
from policy.uni_o4.keeping import NOTHING_KEPT, Keeper, TrainingParts
from policy.uni_o4.settings import Progress, no_progress, require, seeded_network

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ValueSettings:
    """How V is fitted to the logs.

    Attributes:
        hidden_dims: widths of the hidden layers.
        discount: gamma a policy step. trace_decay: lambda of the targets.
        rounds: times the targets are computed anew.
        batch_size: steps an update. learning_rate: of Adam, decayed to zero along a cosine.
        holdout_fraction: share of the episodes held out; the round that explains most of their returns is kept.
    """

    hidden_dims: tuple[int, ...] = (128, 128)
    discount: float = 0.99
    trace_decay: float = 0.95
    rounds: int = 20
    batch_size: int = 1024
    learning_rate: float = 1e-3
    holdout_fraction: float = 0.1

    def __post_init__(self) -> None:
        require(self, "discount", 0.0, 0.9999)
        require(self, "trace_decay", 0.0, 1.0)
        require(self, "rounds", 1)
        require(self, "batch_size", 1)
        require(self, "holdout_fraction", 0.0, 0.5)


# ---- Reward scale ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RewardScale:
    """The one factor between logged rewards and what every network is trained on, carried through all stages."""

    factor: float

    def __call__(self, reward: Tensor) -> Tensor:
        """Logged reward (N,) -> scaled reward (N,)."""
        return reward * self.factor


def fit_reward_scale(transitions: Transitions, discount: float) -> RewardScale:
    """Scale that gives the logs' discounted returns, about their mean reward, a standard deviation of one."""
    nothing = torch.zeros(len(transitions))
    returns = generalized_advantage(
        transitions.reward - transitions.reward.mean(),
        nothing,
        nothing,
        transitions.terminated,
        transitions.episode_end,
        discount,
        1.0,
    )
    spread = float(returns.std(unbiased=False))
    return RewardScale(1.0 / spread if spread > 0.0 else 1.0)


# ---- State value by TD(lambda) ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ValueFit:
    """A fitted V, in scaled reward units, and how much of the held-out episodes' returns each round explained."""

    value: ValueNetwork
    curve: tuple[float, ...]

    @property
    def explained_variance(self) -> float:
        return max(self.curve)


def value_targets(
    value: ValueNetwork, transitions: Transitions, scale: RewardScale, discount: float, trace_decay: float
) -> tuple[Tensor, Tensor]:
    """Advantage and lambda-return (N,) of logged steps under the current V."""
    with torch.no_grad():
        now, following = value(transitions.observation), value(transitions.next_observation)
        advantage = generalized_advantage(
            scale(transitions.reward),
            now,
            following,
            transitions.terminated,
            transitions.episode_end,
            discount,
            trace_decay,
        )
    return advantage, advantage + now


def fit_value(
    transitions: Transitions,
    scale: RewardScale,
    settings: ValueSettings,
    generator: torch.Generator,
    start: ValueNetwork | None = None,
    progress: Progress = no_progress,
    keeper: Keeper = NOTHING_KEPT,
) -> ValueFit:
    """Fit V to the behaviour that produced the logs; `start` carries a value on instead of a cold beginning."""
    value = copy.deepcopy(start) if start is not None else _cold_value(transitions, scale, settings, generator)
    train_rows, holdout_rows = split_by_episode(transitions, settings.holdout_fraction, generator)
    optimizer = torch.optim.Adam(value.parameters(), settings.learning_rate)
    updates = max(1, len(train_rows) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.rounds * updates)
    best, best_score = copy.deepcopy(value), -float("inf")
    curve: list[float] = []
    parts = TrainingParts({"value": value, "best": best}, {"optimizer": optimizer}, {"optimizer": schedule})
    kept = keeper.kept()
    if kept is not None:
        parts.restore(kept)
        best_score, curve = kept.record["best_score"], kept.record["curve"]
    _, target = value_targets(value, transitions, scale, settings.discount, settings.trace_decay)
    for round_index in range(len(curve), settings.rounds):
        order = train_rows[torch.randperm(len(train_rows), generator=generator)]
        for update in range(updates):
            rows = order[update * settings.batch_size : (update + 1) * settings.batch_size]

            # L_V = 1/2 E[ (V(s) - G_lambda)^2 ]
            loss = value_loss(value(transitions.observation[rows]), target[rows])

            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        _, target = value_targets(value, transitions, scale, settings.discount, settings.trace_decay)
        with torch.no_grad():
            held = explained_variance(value(transitions.observation[holdout_rows]), target[holdout_rows])
        curve.append(held)
        # The targets lean on V itself, so an early round can look good by chance: the first quarter does not compete.
        if held > best_score and round_index >= settings.rounds // 4:
            best.load_state_dict(value.state_dict())
            best_score = held
        progress("value", round_index + 1, settings.rounds, {"explained_variance": held})
        record = {"best_score": best_score, "curve": curve}
        keeper.keep(functools.partial(parts.state, record), len(curve) == settings.rounds)
    return ValueFit(best, tuple(curve[settings.rounds // 4 :]))


def _cold_value(
    transitions: Transitions, scale: RewardScale, settings: ValueSettings, generator: torch.Generator
) -> ValueNetwork:
    width = transitions.observation.shape[1]
    value = seeded_network(lambda: ValueNetwork(width, settings.hidden_dims), generator)
    # Start at the value of earning the mean reward for ever: gradient steps alone would need thousands to get there.
    for parameter in list(value.parameters())[-1:]:
        parameter.data.fill_(float(scale(transitions.reward).mean()) / (1.0 - settings.discount))
    return value
