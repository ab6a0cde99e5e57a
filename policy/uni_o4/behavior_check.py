"""The offline evaluation held against the log: from the same starts, what the model predicts and what was earned.

    predicted   sum_{t < H} gamma^t r_t of the policy in the model       + gamma^H V(s_H)
    logged      sum_{t < k} gamma^t r_t as logged, k <= H steps to a cut + gamma^k V(s_k), nothing behind a fall

The same V closes both, so it is the model's motion, reward and falls that are held to account, not V.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from policy.networks import GaussianActor, ValueNetwork
from policy.transitions import Transitions
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.evaluation import EvaluationSet, EvaluationSettings, Interval, bootstrap_interval, model_return
from policy.uni_o4.value import RewardScale


@dataclass(frozen=True)
class BehaviorCheck:
    """Discounted returns in logged reward units, each with its interval over episodes.

    Attributes:
        predicted: of the policy in the model. logged: of what happened from the same starts.
        difference: paired, predicted - logged. It holds the model's error and how far the policy is from the one that
            logged: nothing for that one itself, something for a clone, anything for a third.
        starts: logged states compared. cut_early: how many of them had fewer than H logged steps and no fall ahead.
    """

    predicted: Interval
    logged: Interval
    difference: Interval
    starts: int
    cut_early: int


@torch.no_grad()
def check_behavior(
    actor: GaussianActor,
    world: ModelWorld,
    value: ValueNetwork,
    scale: RewardScale,
    transitions: Transitions,
    settings: EvaluationSettings,
    generator: torch.Generator,
) -> BehaviorCheck:
    """Evaluate the policy that stands for the logged behaviour, beside the log itself.

    Raises:
        TransitionsError: all starts lie in one episode.
    """
    rows = torch.randperm(len(transitions), generator=generator)[: settings.starts]
    fixed = EvaluationSet.at(transitions, rows, settings, generator)
    predicted = model_return(actor, world, value, scale, fixed)
    logged, cut_early = logged_return(transitions, rows, value, scale, settings)
    return BehaviorCheck(
        predicted.interval,
        bootstrap_interval(logged, fixed),
        bootstrap_interval(predicted.per_start - logged, fixed),
        len(rows),
        int(cut_early.sum()),
    )


@torch.no_grad()
def logged_return(
    transitions: Transitions, rows: Tensor, value: ValueNetwork, scale: RewardScale, settings: EvaluationSettings
) -> tuple[Tensor, Tensor]:
    """Discounted logged return from rows (N,), V at the cut, (N,); and whether the log was cut before H steps, (N,)."""
    total = torch.zeros(len(rows))
    running = torch.ones(len(rows), dtype=torch.bool)
    cut_early = torch.zeros(len(rows), dtype=torch.bool)
    for step in range(settings.horizon):
        at = (rows + step).clamp(max=len(transitions) - 1)  # what lies beyond is not running any more
        total += settings.discount**step * transitions.reward[at].masked_fill(~running, 0.0)
        last = step == settings.horizon - 1
        cut = running & (transitions.truncated[at] | (last & ~transitions.terminated[at]))
        beyond = value(transitions.next_observation[at]) / scale.factor
        total += settings.discount ** (step + 1) * beyond.masked_fill(~cut, 0.0)
        cut_early |= cut & (not last)
        running = running & ~transitions.episode_end[at]
    return total, cut_early
