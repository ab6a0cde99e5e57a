"""Uni-O4's own multi-step improvement, kept as a faithful baseline: clipped steps on Q - V, gated by AM-Q.

s from the logs, a ~ pi_k -> A = Q - V -> clipped update of pi against pi_k
every so often: AM-Q(pi) above the best so far -> pi_k := pi                    (Uni-O4, algorithm 1)
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Optional

import torch
from torch import nn

from policy.named_tensors import part_of, under
from policy.networks import GaussianActor, gaussian_log_prob
from policy.objective import clipped_surrogate, normalize_advantage
from policy.trainer_state import TrainerState
from policy.transitions import Transitions
from policy.uni_o4.candidates import Candidate, Gate, Improvement, passes, state_with_candidates, unpack_candidates
from policy.uni_o4.critics import Critics
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.evaluation import EvaluationSet, EvaluationSettings, Interval, PolicyScore, am_q, compare
from policy.uni_o4.keeping import NOTHING_KEPT, Keeper, TrainingParts
from policy.uni_o4.offline import behavior_budget
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
    keeper: Keeper = NOTHING_KEPT,
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
    kept = keeper.kept()
    if kept is not None:
        candidates += unpack_candidates(kept, members[0], None)
    improver = _MemberImprover(critics, world, transitions, fixed, settings, generator, len(members), progress, keeper)
    for index in range(len(candidates) - 1, len(members)):
        course = _MemberCourse(members[index], cloned[index], settings.learning_rate)
        course.restore(kept)
        kept = None  # the members behind it begin at their beginning
        improver.improve(course, candidates[1:])
        gain = compare(course.score, before, fixed)
        actor = course.behavior
        candidates.append(Candidate(f"member {index + 1}", actor, budget.spent(actor), course.score, gain, None))
    parts = TrainingParts({})
    keeper.keep(functools.partial(state_with_candidates, parts, candidates[1:], {"updates": 0}), finished=True)
    return Improvement(tuple(candidates), critics.value, settings.gate)


class _MemberCourse:
    """How far the improvement of one member is.

    Attributes:
        actor: in the making. behavior: the best so far by AM-Q, which the actor's steps are counted from.
        score: of the behaviour. updates: made of the actor.
    """

    def __init__(self, member: GaussianActor, score: PolicyScore, learning_rate: float) -> None:
        self.actor, self.behavior, self.score, self.updates = copy.deepcopy(member), copy.deepcopy(member), score, 0
        self.optimizer = torch.optim.Adam(self.actor.parameters(), learning_rate)
        self._parts = TrainingParts({"actor": self.actor, "behavior": self.behavior}, {"optimizer": self.optimizer})

    def follow(self, score: PolicyScore) -> None:
        """The actor, of this score, is the behaviour from now on."""
        self.behavior.load_state_dict(self.actor.state_dict())
        self.score = score

    def state(self, finished_members: Sequence[Candidate]) -> TrainerState:
        """To be kept, along with what the members before it have become."""
        score = {"per_start": self.score.per_start}
        record = {"updates": self.updates, "score": asdict(self.score.interval)}
        state = state_with_candidates(self._parts, finished_members, record)
        return TrainerState({**state.tensors, **under("score", score)}, state.record)

    def restore(self, kept: Optional[TrainerState]) -> None:
        """Go on from what was kept, if a member was under way then."""
        if kept is None or not kept.record["updates"]:
            return
        self._parts.restore(kept)
        self.updates = kept.record["updates"]
        self.score = PolicyScore(part_of(kept.tensors, "score")["per_start"], Interval(**kept.record["score"]))


@dataclass(frozen=True)
class _MemberImprover:
    """What the improvement of one member needs; nothing in it changes."""

    critics: Critics
    world: ModelWorld
    transitions: Transitions
    fixed: EvaluationSet
    settings: PublishedSettings
    generator: torch.Generator
    members: int
    progress: Progress
    keeper: Keeper

    def improve(self, course: _MemberCourse, finished_members: Sequence[Candidate]) -> None:
        """Every update of one member that is left, with a look at its AM-Q every so often."""
        settings, before = self.settings, len(finished_members) * self.settings.updates
        while course.updates < settings.updates:
            for group in course.optimizer.param_groups:
                group["lr"] = settings.learning_rate * settings.remaining(course.updates)
            clip = settings.clip * settings.remaining(course.updates)
            self._step(course.actor, course.behavior, course.optimizer, clip)
            course.updates += 1
            if course.updates % settings.gate_interval == 0 or course.updates == settings.updates:
                candidate = am_q(course.actor, self.world, self.critics, self.fixed)
                if passes(compare(candidate, course.score, self.fixed), settings.gate):
                    course.follow(candidate)
                done, total = before + course.updates, self.members * settings.updates
                self.progress("published", done, total, {"am_q": course.score.mean})
            self.keeper.keep(functools.partial(course.state, finished_members))

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
