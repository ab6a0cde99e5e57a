"""Offline policy evaluation in the transition model: AM-Q and the model return, on fixed starts, with intervals.

Starts and luck are drawn once (`EvaluationSet`) and every policy is scored on the same ones, so that the difference of
two policies carries only what differs between them. Intervals resample whole episodes: starts of one episode are no
independent evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from policy.networks import GaussianActor, ValueNetwork
from policy.transitions import Transitions, TransitionsError
from policy.uni_o4.critics import Critics
from policy.uni_o4.ensemble_rollouts import BranchStarts, ModelWorld, Rollout, RolloutNoise, roll_out
from policy.uni_o4.settings import require
from policy.uni_o4.value import RewardScale

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EvaluationSettings:
    """How policies are compared offline.

    Attributes:
        starts: logged states that branches leave from. horizon: H, policy steps a branch.
        discount: gamma of the model return. exploration: share of the policy's own noise while it is judged.
        outcome_noise: share of the spread that the model predicts of each outcome: 1 draws from its distribution, 0
            follows its mean.
        from_beginning: branches leave the first steps of logged episodes, not any; with a horizon as long as those,
            what the policy does to itself late shows. Who still stands at its end is credited with V there, too.
        worst_member: every member of the model follows all branches on its own, and the one in which the policy earns
            least is believed; else each step of a branch is dealt to a member by chance.
        resamples: of the bootstrap over episodes. confidence: of the two-sided interval.
    """

    starts: int = 2000
    horizon: int = 20
    discount: float = 0.99
    exploration: float = 1.0
    outcome_noise: float = 1.0
    from_beginning: bool = False
    worst_member: bool = False
    resamples: int = 1000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        require(self, "starts", 2)
        require(self, "horizon", 1)
        require(self, "discount", 0.0, 1.0)
        require(self, "exploration", 0.0, 1.0)
        require(self, "outcome_noise", 0.0, 1.0)
        require(self, "resamples", 100)
        require(self, "confidence", 0.5, 0.999)


# ---- Fixed starts ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EvaluationSet:
    """Starts and luck that every policy meets alike, and the seed of the resampling that every interval shares."""

    starts: BranchStarts
    noise: RolloutNoise
    settings: EvaluationSettings
    resample_seed: int

    @staticmethod
    def draw(transitions: Transitions, settings: EvaluationSettings, generator: torch.Generator) -> EvaluationSet:
        """Starts spread over all logged steps, the same for every policy that is scored on this set."""
        rows = transitions.first_rows() if settings.from_beginning else torch.arange(len(transitions))
        rows = rows[torch.randperm(len(rows), generator=generator)[: settings.starts]]
        return EvaluationSet.at(transitions, rows, settings, generator)

    @staticmethod
    def at(
        transitions: Transitions, rows: Tensor, settings: EvaluationSettings, generator: torch.Generator
    ) -> EvaluationSet:
        """Starts in the logged steps of the given rows (N,)."""
        physical_dim, action_dim = transitions.physical.shape[1], transitions.action.shape[1]
        noise = RolloutNoise.draw(settings.horizon, len(rows), action_dim, physical_dim, generator)
        noise = replace(noise, outcome=settings.outcome_noise * noise.outcome)
        seed = int(torch.randint(2**31, (1,), generator=generator))
        return EvaluationSet(BranchStarts.at(transitions, rows), noise, settings, seed)


@dataclass(frozen=True)
class Interval:
    """A mean with its two-sided bootstrap interval over episodes."""

    mean: float
    lower: float
    upper: float


@dataclass(frozen=True)
class PolicyScore:
    """One policy's score from every start (N,), in the order of the evaluation set's starts."""

    per_start: Tensor
    interval: Interval

    @property
    def mean(self) -> float:
        return self.interval.mean


# ---- Scores ----------------------------------------------------------------------------------------------------------


@torch.no_grad()
def am_q(actor: GaussianActor, world: ModelWorld, critics: Critics, fixed: EvaluationSet) -> PolicyScore:
    """J(pi) = E[ sum_t Q(s_t, a_t) ] over H steps in the model (Uni-O4, section 4.3): a sum, and no action clamped."""
    rollout = _followed(actor, world, fixed)
    horizon, count = rollout.reward.shape
    quality = critics.action_value(rollout.observation.flatten(0, 1), rollout.action.flatten(0, 1))
    quality = quality.unflatten(0, (horizon, count))
    return _score((quality * rollout.alive).sum(0), world, fixed)


@torch.no_grad()
def model_return(
    actor: GaussianActor, world: ModelWorld, value: ValueNetwork, scale: RewardScale, fixed: EvaluationSet
) -> PolicyScore:
    """J(pi) = E[ sum_t gamma^t r_t + gamma^H V(s_H) ] in the model, in logged reward units; a fall ends the sum."""
    rollout = _followed(actor, world, fixed)
    horizon = len(rollout.reward)
    discount = fixed.settings.discount ** torch.arange(horizon, dtype=torch.float32)
    earned = (discount[:, None] * rollout.reward * rollout.alive).sum(0)
    survived = rollout.alive[-1] & ~rollout.terminated[-1]
    beyond = value(rollout.next_observation[-1]).masked_fill(~survived, 0.0) / scale.factor
    return _score(earned + fixed.settings.discount**horizon * beyond, world, fixed)


def compare(candidate: PolicyScore, incumbent: PolicyScore, fixed: EvaluationSet) -> Interval:
    """Paired difference candidate - incumbent with its interval; above zero throughout, the candidate is better."""
    return bootstrap_interval(candidate.per_start - incumbent.per_start, fixed)


def bootstrap_interval(values: Tensor, fixed: EvaluationSet) -> Interval:
    """Percentile interval of the mean of values (N,), resampling episodes with all their starts."""
    names, member = fixed.starts.episode.unique(return_inverse=True)
    if len(names) < 2:
        raise TransitionsError(
            "evaluation starts from at least 2 episodes", f"{len(names)}", "Log more, shorter episodes."
        )
    total = torch.zeros(len(names)).index_add(0, member, values)
    count = torch.zeros(len(names)).index_add(0, member, torch.ones_like(values))
    generator = torch.Generator().manual_seed(fixed.resample_seed)
    drawn = torch.randint(len(names), (fixed.settings.resamples, len(names)), generator=generator)
    means = total[drawn].sum(1) / count[drawn].sum(1)
    tail = 0.5 * (1.0 - fixed.settings.confidence)
    return Interval(float(values.mean()), float(means.quantile(tail)), float(means.quantile(1.0 - tail)))


def _followed(actor: GaussianActor, world: ModelWorld, fixed: EvaluationSet) -> Rollout:
    """The policy through the model, from every start once, or once a member, as the settings say."""
    starts, noise = fixed.starts, fixed.noise
    if fixed.settings.worst_member:
        starts, noise = starts.repeated(world.model.members), noise.repeated_by_member(world.model.members)
    return roll_out(world, actor, starts, noise, fixed.settings.exploration)


def _score(values: Tensor, world: ModelWorld, fixed: EvaluationSet) -> PolicyScore:
    """A value a branch that was followed -> the score."""
    if fixed.settings.worst_member:
        by_member = values.unflatten(0, (world.model.members, -1))
        values = by_member[by_member.mean(1).argmin()]
    return PolicyScore(values, bootstrap_interval(values, fixed))
