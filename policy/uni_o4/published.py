"""Uni-O4's own multi-step improvement, kept as a faithful baseline: clipped steps on Q - V, gated by AM-Q.

s from the logs, a ~ pi_k -> A = Q - V -> clipped update of pi against pi_k
every so often: AM-Q(pi) above the best so far -> pi_k := pi                    (Uni-O4, algorithm 1)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import torch
from torch import nn

from policy.networks import GaussianActor, gaussian_log_prob
from policy.objective import clipped_surrogate, normalize_advantage
from policy.transitions import Transitions
from policy.uni_o4.critics import Critics
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.evaluation import EvaluationSet, EvaluationSettings, PolicyScore, am_q, compare
from policy.uni_o4.offline import Candidate, Gate, Improvement, behavior_budget, passes
from policy.uni_o4.settings import Progress, no_progress, require

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PublishedSettings:
    """The published improvement step; the paper's values are the defaults, section 5 and appendix.

    Attributes:
        updates: gradient steps a member. batch_size: logged states a step.
        clip, learning_rate: at the first step; both fall linearly to zero at the last.
        max_gradient_norm: of an actor. gate_interval: updates between two evaluations.
        gate: accept on a higher mean as published, only where the paired interval lies above zero, or always (the
            behaviour then follows every `gate_interval` updates unasked, as in BPPO without its online scores).
        budget_states: logged states over which the KL is reported; it limits nothing here.
        evaluation: fixed starts and horizon of AM-Q.
    """

    updates: int = 10_000
    batch_size: int = 512
    clip: float = 0.25
    learning_rate: float = 1e-4
    max_gradient_norm: float = 0.5
    gate_interval: int = 100
    gate: Gate = "mean"
    budget_states: int = 4096
    evaluation: EvaluationSettings = EvaluationSettings()

    def __post_init__(self) -> None:
        require(self, "updates", 1)
        require(self, "batch_size", 2)
        require(self, "clip", 1e-3, 1.0)
        require(self, "gate_interval", 1)

    def remaining(self, update: int) -> float:
        """Share of clip and learning rate left at an update: linear from 1 at the first to 0 behind the last."""
        return 1.0 - update / self.updates


# ---- Improvement -----------------------------------------------------------------------------------------------------


def improve_published(
    members: Sequence[GaussianActor],
    critics: Critics,
    world: ModelWorld,
    transitions: Transitions,
    settings: PublishedSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
    start: Optional[GaussianActor] = None,
) -> Improvement:
    """Improve every member on its own; candidates are each member's best by AM-Q, not its last.

    Args:
        start: what gains are counted from, and what stays where no member passes; by default the best member as cloned.
    """
    fixed = EvaluationSet.draw(transitions, settings.evaluation, generator)
    budget = behavior_budget(transitions, settings.budget_states, float("inf"), generator)
    cloned = [am_q(member, world, critics, fixed) for member in members]
    if start is None:
        start = members[max(range(len(members)), key=lambda index: cloned[index].mean)]
    before = am_q(start, world, critics, fixed)
    candidates = [Candidate("start", start, budget.spent(start), before, compare(before, before, fixed), None)]
    for index, member in enumerate(members):
        improver = _MemberImprover(critics, world, transitions, fixed, settings, generator)
        actor, score = improver.improve(member, cloned[index], index * settings.updates, len(members), progress)
        gain = compare(score, before, fixed)
        candidates.append(Candidate(f"member {index + 1}", actor, budget.spent(actor), score, gain, None))
    return Improvement(tuple(candidates), critics.value, settings.gate)


@dataclass(frozen=True)
class _MemberImprover:
    """What the improvement of one member needs; nothing in it changes."""

    critics: Critics
    world: ModelWorld
    transitions: Transitions
    fixed: EvaluationSet
    settings: PublishedSettings
    generator: torch.Generator

    def improve(
        self, member: GaussianActor, score: PolicyScore, done: int, members: int, progress: Progress
    ) -> tuple[GaussianActor, PolicyScore]:
        """The best policy on the way by AM-Q, and its score."""
        settings = self.settings
        actor, behavior, best = copy.deepcopy(member), copy.deepcopy(member), score
        optimizer = torch.optim.Adam(actor.parameters(), settings.learning_rate)
        for update in range(settings.updates):
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * settings.remaining(update)
            self._step(actor, behavior, optimizer, settings.clip * settings.remaining(update))
            if (update + 1) % settings.gate_interval and update + 1 < settings.updates:
                continue
            candidate = am_q(actor, self.world, self.critics, self.fixed)
            gain = compare(candidate, best, self.fixed)
            if passes(gain, settings.gate):
                behavior, best = copy.deepcopy(actor), candidate
            progress("published", done + update + 1, members * settings.updates, {"am_q": best.mean})
        return behavior, best

    def _step(
        self, actor: GaussianActor, behavior: GaussianActor, optimizer: torch.optim.Optimizer, clip: float
    ) -> None:
        rows = torch.randint(len(self.transitions), (self.settings.batch_size,), generator=self.generator)
        observation = self.transitions.observation[rows]

        # Advantage: a ~ pi_k(.|s), A = Q(s, a) - V(s), normalised over the batch
        with torch.no_grad():
            mean, std = behavior(observation)
            action = mean + std * torch.randn(mean.shape, generator=self.generator)
            old_log_prob = gaussian_log_prob(action, mean, std)
            advantage = normalize_advantage(self.critics.advantage(observation, action))

        # Policy: L_pi = -E[ min(r A, clip(r, 1 - eps, 1 + eps) A) ] with r = pi / pi_k
        loss, _ = clipped_surrogate(actor.log_prob(observation, action), old_log_prob, advantage, clip)

        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(actor.parameters(), self.settings.max_gradient_norm)
        optimizer.step()
