"""Offline policy evaluation, put to the test: what each estimator says of many policies against what they earn.

    am_q           E[sum_t Q(s_t, a_t)], 20 steps from logged states; ranks only, for it is no return
    model_gain     20 steps of model reward + V from logged states: what the learner's gate sees; ranks only
    model_return   H steps of model reward + gamma^H V from the logged initial states, each elite on its own
    fitted_q       Q(s, pi(s)) at the logged initial states (`fitted_q`)
    combined       the equal mixture of the two before
    whole_episodes undiscounted reward of whole episodes without any noise, each elite on its own; it ranks by the elite
                   in which a policy earns least, as the ensemble's gate does, which adds V for who still stands

The last four come with an interval: of the discounted return of an episode, but for the last, whose is of the return
itself. Its truth is measured on episodes of the environment, which no estimator sees. That measurement has an error of
its own: an interval counts as holding the truth if it does so when it is widened by that error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.estimates import Estimate, quantile, rank_correlation
from benchmarks.uni_o4.evaluate import Evaluation, evaluate, mean_policy, standard_error
from benchmarks.uni_o4.fitted_q import evaluate_by_fitted_q
from benchmarks.uni_o4.gymnasium_world import ExecutedCritics, ExecutedModel
from benchmarks.uni_o4.ope_settings import OpeSettings
from benchmarks.uni_o4.policy_zoo import ZOO_REPLACES, ZooPolicy, make_zoo
from benchmarks.uni_o4.preparation import Preparation, PreparationCache, prepare, stream
from benchmarks.uni_o4.results import Stopwatch, Trial
from benchmarks.uni_o4.termination import termination_rule
from policy.networks import GaussianActor, ValueNetwork
from policy.uni_o4.critics import Critics
from policy.uni_o4.ensemble_rollouts import BranchStarts, ModelWorld, RolloutNoise
from policy.uni_o4.evaluation import EvaluationSet, EvaluationSettings, am_q, model_return
from policy.uni_o4.settings import Progress

RANKED = ("am_q", "model_gain", "model_return", "fitted_q", "combined", "whole_episodes")
WITH_INTERVAL = ("model_return", "fitted_q", "combined", "whole_episodes")
_UNDISCOUNTED = "whole_episodes"
JUDGED = "whole_episodes"
"""The estimator that the targets are asked of: the nearest to what the ensemble's gate believes."""


def truth_of(estimator: str) -> str:
    """Name of the measured figure that the estimator's interval is of; its error is `<name>_error`."""
    return "true_return" if estimator == _UNDISCOUNTED else "true_discounted_return"


def ope_trial(robot: str, data_set: str, seed: int, budget: Budget) -> Trial:
    """The trial with every setting that it uses; the zoo has its own in place of some of ours."""
    ours = asdict(budget.ours)
    for stage, replaced in ZOO_REPLACES.items():
        ours[stage] = {name: value for name, value in ours[stage].items() if name not in replaced}
    return Trial("ope", robot, data_set, seed, "estimators", {"ours": ours, "ope": asdict(budget.ope)}, "ope")


def run_ope(trial: Trial, data: DataSet, budget: Budget, prepared: Path, progress: Progress) -> dict[str, Any]:
    """Every estimator's word on every policy, the truth, rank correlations and coverage."""
    stopwatch, settings, ours = Stopwatch(), budget.ope, budget.ours
    cache = PreparationCache(prepared, data.sha256)
    fell = termination_rule(data.robot.name)
    ready = prepare(data.steps, fell, ours.cloning, ours.value.discount, ours.dynamics, trial.seed, cache, progress)
    world = ready.world
    assert world is not None
    value, _ = cache.value(ready.transitions, ready.scale, ours.value, trial.seed, progress)
    critics = cache.critics(ready.transitions, ready.scale, ours.critics, trial.seed, progress)
    stopwatch.add(cache.reused)
    generator = stream(trial.seed, "offline evaluation")
    zoo = make_zoo(ready, value, critics, ours, settings.zoo, generator, progress)
    starts = torch.from_numpy(data.steps.first_rows)
    judged = _Judges(ready, world, value, critics, starts, settings, generator).judge(zoo, progress)
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
    return {**summarize(records, settings.confidence), **asdict(stopwatch.spent()), "policies": records}


def summarize(policies: Sequence[dict[str, Any]], confidence: float) -> dict[str, Any]:
    """Rank correlation of each estimator with the true score, and how often its interval held the true return.

    `coverage` widens each interval by the error of the measured truth; `coverage_of_exact_truth` takes that error for
    zero, and is the smaller of the two.
    """
    truth = np.array([policy["true_score"] for policy in policies])
    coverage, exact = {}, {}
    for name in WITH_INTERVAL:
        measured = np.array([policy[truth_of(name)] for policy in policies])
        low, high = np.array([policy["intervals"][name] for policy in policies]).T
        exact[name] = float(np.mean((low <= measured) & (measured <= high)))
        coverage[name] = float(np.mean(held(policies, name, confidence)))
    correlation = {
        name: rank_correlation(np.array([policy["estimates"][name] for policy in policies]), truth) for name in RANKED
    }
    return {
        "rank_correlation": correlation,
        "coverage": coverage,
        "coverage_of_exact_truth": exact,
        "confidence": confidence,
    }


def held(policies: Sequence[Mapping[str, Any]], estimator: str, confidence: float) -> np.ndarray:
    """Whether the interval, widened by the error of the measured truth, holds the truth (N,) bool."""
    name = truth_of(estimator)
    measured = np.array([policy[name] for policy in policies])
    error = quantile(confidence) * np.array([policy[f"{name}_error"] for policy in policies])
    low, high = np.array([policy["intervals"][estimator] for policy in policies]).T
    # Estimate and truth are independent, so their errors add as squares.
    half = np.hypot(0.5 * (high - low), error)
    return np.asarray(np.abs(measured - 0.5 * (low + high)) <= half)


@dataclass(frozen=True)
class _Judges:
    """What the estimators share; starts are the rows of the logged initial states that it works from."""

    ready: Preparation
    world: ModelWorld
    value: ValueNetwork
    critics: Critics
    starts: Tensor
    settings: OpeSettings
    generator: torch.Generator

    def judge(self, zoo: Sequence[ZooPolicy], progress: Progress) -> list[dict[str, float | Estimate]]:
        """By estimator, for each policy."""
        ready, settings = self.ready, self.settings
        logged = EvaluationSet.draw(ready.transitions, settings.logged_starts, self.generator)
        initial, whole = (
            self._initial_set(),
            EvaluationSet.draw(ready.transitions, settings.whole_episodes, self.generator),
        )
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
                    "am_q": am_q(policy.actor, self.world, ExecutedCritics.of(self.critics), logged).mean,
                    "model_gain": model_return(policy.actor, self.world, self.value, ready.scale, logged).mean,
                    "model_return": rolled,
                    "fitted_q": fitted,
                    "combined": rolled.mixed_with(fitted),
                    "whole_episodes": Estimate.of_one_more(self._by_member(policy.actor, whole, _NoFuture())),
                }
            )
            progress("estimates", place + 1, len(zoo), {"model_return": rolled.mean, "fitted_q": fitted.mean})
        return judged

    def _initial_set(self) -> EvaluationSet:
        """Branches without the policy's noise that leave initial states drawn at random, each state equally often."""
        settings, transitions = self.settings, self.ready.transitions
        rows = initial_rows(self.starts, settings.initial_starts, self.generator)
        noise = RolloutNoise.draw(
            settings.horizon, len(rows), transitions.action.shape[1], transitions.physical.shape[1], self.generator
        )
        evaluation = EvaluationSettings(
            starts=len(rows), horizon=settings.horizon, discount=settings.fitted_q.discount, exploration=0.0
        )
        return EvaluationSet(BranchStarts.at(transitions, rows), noise, evaluation, resample_seed=0)

    def _model_return(self, actor: GaussianActor, initial: EvaluationSet) -> Estimate:
        """One member of the transition model at a time: what they disagree about is what the data left open.

        Branches from one start are one piece of evidence, so they are averaged first.
        """
        values = self._by_member(actor, initial, self.value)
        return Estimate.of_members(mean_by_start(values, initial.starts.episode))

    def _by_member(self, actor: GaussianActor, fixed: EvaluationSet, value: ValueNetwork) -> Tensor:
        """Model return (members, branches) of each member alone; `value` is of what lies behind the horizon."""
        world, values = self.world, []
        fixed = replace(fixed, settings=replace(fixed.settings, worst_member=False))
        assert isinstance(world.model, ExecutedModel)
        for member in range(world.model.members):
            alone = ExecutedModel(world.model.model.keep(torch.tensor([member])), world.model.action_columns)
            single = ModelWorld(alone, world.observer, world.fell)
            values.append(model_return(actor, single, value, self.ready.scale, fixed).per_start)
        return torch.stack(values)


class _NoFuture(ValueNetwork):
    """V = 0: nothing is earned behind the end of an episode."""

    def __init__(self) -> None:
        super().__init__(1, ())

    def forward(self, observation: Tensor) -> Tensor:
        return torch.zeros(observation.shape[:-1])


def initial_rows(starts: Tensor, branches: int, generator: torch.Generator) -> Tensor:
    """Rows to branch from: `starts` (E,) in random order, as many as there are branches, or all of them repeatedly."""
    chosen = starts[torch.randperm(len(starts), generator=generator)[:branches]]
    return chosen.repeat_interleave(max(1, branches // len(chosen)))


def mean_by_start(values: Tensor, episode: Tensor) -> Tensor:
    """Values (members, branches) averaged over the branches of each start (members, starts); a start an episode."""
    names, place = episode.unique(return_inverse=True)
    total = torch.zeros(len(values), len(names)).index_add(1, place, values)
    return total / torch.bincount(place, minlength=len(names))


def _policy_record(
    policy: ZooPolicy, truth: Evaluation, estimates: dict[str, float | Estimate], settings: OpeSettings
) -> dict[str, Any]:
    means, intervals = {}, {}
    for name, estimate in estimates.items():
        means[name] = estimate.by_rank if isinstance(estimate, Estimate) else estimate
        if isinstance(estimate, Estimate):
            intervals[name] = list(estimate.interval(settings.confidence))
    return {
        "name": policy.name,
        "family": policy.family,
        "true_return": float(truth.returns.mean()),
        "true_return_error": standard_error(truth.returns),
        "true_discounted_return": float(truth.discounted_returns.mean()),
        "true_discounted_return_error": standard_error(truth.discounted_returns),
        "estimates": means,
        "intervals": intervals,
    }
