"""Offline policy evaluation, put to the test: what each estimator says of many policies against what they earn.

    am_q           E[sum_t Q(s_t, a_t)], 20 steps from logged states; ranks only, for it is no return
    model_gain     20 steps of model reward + V from logged states: what the learner's gate sees; ranks only
    model_return   H steps of model reward + gamma^H V from the logged initial states, each elite on its own
    fitted_q       Q(s, pi(s)) at the logged initial states (`fitted_q`)
    combined       the equal mixture of the two before

The last three estimate the discounted return of an episode and come with an interval; its truth is measured on episodes
of the environment, which no estimator sees.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.evaluate import Evaluation, evaluate, mean_policy, standard_error
from benchmarks.uni_o4.fitted_q import evaluate_by_fitted_q
from benchmarks.uni_o4.gymnasium_world import ExecutedCritics, ExecutedModel
from benchmarks.uni_o4.ope_settings import OpeSettings
from benchmarks.uni_o4.ours import Preparation, prepare
from benchmarks.uni_o4.policy_zoo import ZooPolicy, make_zoo
from benchmarks.uni_o4.results import Stopwatch, Trial
from policy.networks import GaussianActor, ValueNetwork
from policy.uni_o4.critics import Critics, fit_critics
from policy.uni_o4.ensemble_rollouts import BranchStarts, ModelWorld, RolloutNoise
from policy.uni_o4.evaluation import EvaluationSet, EvaluationSettings, am_q, model_return
from policy.uni_o4.settings import Progress, seeded_generator
from policy.uni_o4.value import fit_value

RANKED = ("am_q", "model_gain", "model_return", "fitted_q", "combined")
WITH_INTERVAL = ("model_return", "fitted_q", "combined")


@dataclass(frozen=True)
class Estimate:
    """A normal belief about a discounted return."""

    mean: float
    deviation: float

    def interval(self, confidence: float) -> tuple[float, float]:
        """Two-sided."""
        half = NormalDist().inv_cdf(0.5 + 0.5 * confidence) * self.deviation
        return self.mean - half, self.mean + half

    def mixed_with(self, other: Estimate) -> Estimate:
        """Mean and deviation of the equal mixture of two beliefs: where they disagree, it is wider than either."""
        within = 0.5 * (self.deviation**2 + other.deviation**2)
        between = 0.25 * (self.mean - other.mean) ** 2
        return Estimate(0.5 * (self.mean + other.mean), math.sqrt(within + between))

    @staticmethod
    def of_members(values: Tensor) -> Estimate:
        """Values (members, starts): spread of the members' means, and the error of the mean over starts."""
        means = values.mean(1)
        over_members = float(means.var()) if len(means) > 1 else 0.0
        over_starts = float(values.mean(0).var()) / values.shape[1] if values.shape[1] > 1 else 0.0
        return Estimate(float(means.mean()), math.sqrt(over_members + over_starts))


def ope_trial(robot: str, data_set: str, seed: int, budget: Budget) -> Trial:
    """The trial with every setting that it uses."""
    return Trial("ope", robot, data_set, seed, "estimators", {"ours": asdict(budget.ours), "ope": asdict(budget.ope)})


def run_ope(trial: Trial, data: DataSet, budget: Budget, progress: Progress) -> dict[str, Any]:
    """Every estimator's word on every policy, the truth, rank correlations and coverage."""
    stopwatch, settings, ours = Stopwatch(), budget.ope, budget.ours
    ready = prepare(data.steps, ours, trial.seed, progress)
    generator = seeded_generator(trial.seed + 2)
    value = fit_value(ready.transitions, ready.scale, ours.value, generator, progress=progress).value
    critics = fit_critics(ready.transitions, ready.scale, ours.critics, generator, progress)
    zoo = make_zoo(ready, value, critics, ours, settings.zoo, generator, progress)
    starts = torch.from_numpy(data.steps.first_rows)
    judged = _Judges(ready, value, critics, starts, settings, generator).judge(zoo, progress)
    with stopwatch.paused():
        truths = []
        for place, policy in enumerate(zoo):
            acting = mean_policy(policy.actor, ready.standardization)
            truths.append(evaluate(acting, data.robot, settings.episodes, discount=settings.fitted_q.discount))
            progress("truth", place + 1, len(zoo), {"return": float(truths[-1].returns.mean())})
    records = [
        {
            "true_score": data.robot.normalized_score(float(truth.returns.mean())),
            **_policy_record(policy, truth, estimates, settings),
        }
        for policy, truth, estimates in zip(zoo, truths, judged, strict=True)
    ]
    return {**summarize(records, settings.confidence), **stopwatch.record(), "policies": records}


def summarize(policies: Sequence[dict[str, Any]], confidence: float) -> dict[str, Any]:
    """Rank correlation of each estimator with the true score, and how often its interval held the true return."""
    truth = np.array([policy["true_score"] for policy in policies])
    discounted = np.array([policy["true_discounted_return"] for policy in policies])
    coverage = {}
    for name in WITH_INTERVAL:
        low, high = np.array([policy["intervals"][name] for policy in policies]).T
        coverage[name] = float(np.mean((low <= discounted) & (discounted <= high)))
    correlation = {
        name: rank_correlation(np.array([policy["estimates"][name] for policy in policies]), truth) for name in RANKED
    }
    return {"rank_correlation": correlation, "coverage": coverage, "confidence": confidence}


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's: Pearson's of the ranks, ties sharing their mean rank; zero where one side is constant."""
    one, two = _ranks(first), _ranks(second)
    one, two = one - one.mean(), two - two.mean()
    scale = math.sqrt(float((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / scale if scale > 0.0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (count.cumsum() - 0.5 * (count - 1))[place]


@dataclass(frozen=True)
class _Judges:
    """What the estimators share."""

    ready: Preparation
    value: ValueNetwork
    critics: Critics
    starts: Tensor
    settings: OpeSettings
    generator: torch.Generator

    def judge(self, zoo: Sequence[ZooPolicy], progress: Progress) -> list[dict[str, float | Estimate]]:
        """By estimator, for each policy."""
        ready, settings = self.ready, self.settings
        logged = EvaluationSet.draw(ready.transitions, settings.logged_starts, self.generator)
        initial = self._initial_set()
        first = ready.transitions.observation[self.starts]
        by_fitted_q = evaluate_by_fitted_q(
            ready.transitions, [policy.actor for policy in zoo], first, ready.scale, settings.fitted_q, self.generator,
            progress,
        )  # fmt: skip
        judged: list[dict[str, float | Estimate]] = []
        for place, policy in enumerate(zoo):
            rolled = self._model_return(policy.actor, initial)
            fitted = Estimate.of_members(by_fitted_q[place])
            judged.append(
                {
                    "am_q": am_q(policy.actor, ready.world, ExecutedCritics.of(self.critics), logged).mean,
                    "model_gain": model_return(policy.actor, ready.world, self.value, ready.scale, logged).mean,
                    "model_return": rolled,
                    "fitted_q": fitted,
                    "combined": rolled.mixed_with(fitted),
                }
            )
            progress("estimates", place + 1, len(zoo), {"model_return": rolled.mean, "fitted_q": fitted.mean})
        return judged

    def _initial_set(self) -> EvaluationSet:
        """Branches that leave the logged initial states evenly, long ones, without the policy's noise."""
        settings, transitions = self.settings, self.ready.transitions
        rows = self.starts[torch.arange(settings.initial_starts) % len(self.starts)]
        noise = RolloutNoise.draw(
            settings.horizon, len(rows), transitions.action.shape[1], transitions.physical.shape[1], self.generator
        )
        evaluation = EvaluationSettings(
            starts=len(rows), horizon=settings.horizon, discount=settings.fitted_q.discount, exploration=0.0
        )
        return EvaluationSet(BranchStarts.at(transitions, rows), noise, evaluation, resample_seed=0)

    def _model_return(self, actor: GaussianActor, initial: EvaluationSet) -> Estimate:
        """One member of the transition model at a time: what they disagree about is what the data left open."""
        world, values = self.ready.world, []
        assert isinstance(world.model, ExecutedModel)
        for member in range(world.model.members):
            alone = ExecutedModel(world.model.model.keep(torch.tensor([member])), world.model.action_columns)
            single = ModelWorld(alone, world.observer, world.fell)
            values.append(model_return(actor, single, self.value, self.ready.scale, initial).per_start)
        return Estimate.of_members(torch.stack(values))


def _policy_record(
    policy: ZooPolicy, truth: Evaluation, estimates: dict[str, float | Estimate], settings: OpeSettings
) -> dict[str, Any]:
    means, intervals = {}, {}
    for name, estimate in estimates.items():
        means[name] = estimate.mean if isinstance(estimate, Estimate) else estimate
        if isinstance(estimate, Estimate):
            intervals[name] = list(estimate.interval(settings.confidence))
    return {
        "name": policy.name,
        "family": policy.family,
        "true_discounted_return": float(truth.discounted_returns.mean()),
        "true_discounted_return_error": standard_error(truth.discounted_returns),
        "estimates": means,
        "intervals": intervals,
    }
