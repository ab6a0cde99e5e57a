"""How long the work that is left takes, by rates that were measured; printed before a run begins.

Rates are units a processor second of one thread, by the settings of the standard budget, on two cores that others kept
busy; an idle machine is faster. What stops early is counted as if it did not, so the sum is more than it takes, the
training behind the data excepted: how long a policy needs until it is medium is not known beforehand.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.ours import OurSettings, resolved
from benchmarks.uni_o4.paper_sizes import has_paper_widths
from benchmarks.uni_o4.plan import Job
from benchmarks.uni_o4.robots import EPISODE_STEPS

UNTIL_MEDIUM = 200_000
"""Steps of a training run until its policy is medium, as a guess; medium-replay has so many rows."""

RATES = {
    "training step": 170.0,  # one environment step with one gradient step of SAC
    "environment step": 2500.0,  # with the policy's mean, ten episodes side by side
    "bc update": 205.0,
    "td3bc update": 56.0,
    "iql update": 38.0,
    "cloned row": 60_000.0,  # of one member in one epoch
    "model row": 73_000.0,  # of one member in one epoch
    "value row": 35_000.0,  # in one round
    "critic update": 36.0,
    "wide critic update": 4.7,  # of the paper's widths
    "clipped update": 59.0,  # of the published step, one member
    "model step": 44_000.0,  # of one branch
    "fitted Q update": 9.0,  # of two networks for each of about 25 policies
    "online step": 600.0,  # collected and learned from
    "published online step": 250.0,  # the same with 30 epochs in minibatches of 128
}
"""Units a processor second."""


@dataclass(frozen=True)
class Estimate:
    """Processor hours by part, and how many jobs are left of how many."""

    hours: dict[str, float]
    jobs: int

    @property
    def total(self) -> float:
        return sum(self.hours.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {hours:.1f}" for name, hours in self.hours.items())
        return f"{self.jobs} jobs left, about {self.total:.1f} processor hours" + (f": {parts}" if parts else "")


def hours_of(jobs: Sequence[Job], budget: Budget, made: Sequence[tuple[str, str]]) -> Estimate:
    """Of jobs that are to be done; data sets that are there are named in `made`."""
    hours: dict[str, float] = defaultdict(float)
    fitted: set[tuple[str, str, int, str]] = set()
    trained: dict[str, int] = {robot: UNTIL_MEDIUM for robot, _ in made}
    for job in jobs:
        if (job.robot, job.data_set) not in made:
            whole = budget.recipe.expert_steps
            length = whole if job.data_set == "medium-expert" else min(UNTIL_MEDIUM, whole)
            missing = max(0, length - trained.get(job.robot, 0))
            trained[job.robot] = max(length, trained.get(job.robot, 0))
            hours["data"] += missing / RATES["training step"] / 3600
        seconds = _seconds(job, budget)
        for name, more in _shared_fits(job, budget).items():
            fit = (job.robot, job.data_set, job.seed, name)
            seconds += 0.0 if fit in fitted else more
            fitted.add(fit)
        if seconds > 0.0:
            hours[f"{job.part} {job.method}".strip()] += seconds / 3600
    return Estimate(dict(hours), len(jobs))


def _shared_fits(job: Job, budget: Budget) -> dict[str, float]:
    """Seconds of the fits that are made by the first job that needs them (`preparation`)."""
    rows, ours = _rows(job, budget), budget.ours
    clone = ours.cloning.epochs * rows / RATES["cloned row"]
    fits = {
        "one clone": clone,
        "all clones": ours.cloning.members * clone,
        "model": ours.dynamics.members * ours.dynamics.epochs * rows / RATES["model row"],
        "value": ours.value.rounds * rows / RATES["value row"],
        "critics": _critic_seconds(ours),
    }
    needed = {
        ("offline", "bppo"): ("one clone",),
        ("offline", "ensemble"): ("one clone", "model", "value"),
        ("offline", "uni_o4"): ("all clones", "model", "critics"),
        ("ope", "estimators"): ("all clones", "model", "value", "critics"),
    }
    return {name: fits[name] for name in needed.get((job.part, job.method), ())}


def _rows(job: Job, budget: Budget) -> int:
    recipe = budget.recipe
    known = {"medium": recipe.logged_steps, "medium-expert": 2 * recipe.logged_steps}
    return known.get(job.data_set, min(UNTIL_MEDIUM, recipe.expert_steps))


def _seconds(job: Job, budget: Budget) -> float:
    """Of one job, without data and shared fits."""
    if job.part == "data":
        return 0.0
    looks = budget.episodes * EPISODE_STEPS / RATES["environment step"]
    if job.part == "online":
        points = budget.online.steps / budget.online.evaluation_interval + 1
        if job.method == "iql":
            updates = budget.online.steps / budget.online.peer_steps_per_update
            return points * looks + updates / RATES["iql update"] + budget.online.steps / RATES["online step"]
        kind = "published online step" if job.method == "uni_o4" else "online step"
        return points * looks + budget.online.steps / RATES[kind]
    if job.part == "ope":
        return _ope_seconds(budget)
    point = budget.curve_episodes * EPISODE_STEPS / RATES["environment step"]
    if job.method in ("bc", "td3bc", "iql"):
        updates = budget.peers.cloning_updates if job.method == "bc" else budget.peers.updates
        points = -(-updates // budget.peers.watch_interval)
        return looks + points * point + updates / RATES[f"{job.method} update"]
    return looks + 10 * point + _our_seconds(job.method, budget.ours)


def _our_seconds(method: str, settings: OurSettings) -> float:
    """Without what is shared."""
    ours = resolved(method, settings)  # type: ignore[arg-type]
    if method == "ensemble":
        return sum(ours.improvement.iterations * _iteration_seconds(ours, halts) for halts in ours.halt_quantiles)
    published = ours.published
    evaluations = ours.cloning.members * published.updates / published.gate_interval
    judged = evaluations * published.evaluation.starts * published.evaluation.horizon / RATES["model step"]
    sarsa = _critic_seconds(ours) if method == "bppo" else 0.0
    return sarsa + ours.cloning.members * published.updates / RATES["clipped update"] + judged


def _iteration_seconds(ours: OurSettings, halts: float | None) -> float:
    """Of the ensemble's improvement: rollouts, passes over them at about the cost of a rollout each, one judgement.

    halts: every member is asked where there is a limit of their disagreement.
    """
    improvement, judging = ours.improvement, ours.improvement.evaluation
    asked = 1 if halts is None else ours.dynamics.elites
    steps = improvement.branches * improvement.horizon * (asked + improvement.ppo.epochs)
    judged = judging.starts * judging.horizon * (ours.dynamics.elites if judging.worst_member else 1)
    return (steps + judged) / RATES["model step"]


def _critic_seconds(ours: OurSettings) -> float:
    kind = "wide critic update" if has_paper_widths(ours.critics) else "critic update"
    return ours.critics.updates / RATES[kind]


def _ope_seconds(budget: Budget) -> float:
    ours, ope, zoo = budget.ours, budget.ope, budget.ope.zoo
    published = len(zoo.published_rates) * sum(zoo.published_updates)
    policies = ours.cloning.members + len(zoo.perturbations) + zoo.path_iterations // zoo.path_stride
    policies += len(zoo.published_rates) * len(zoo.published_updates)
    judged = ope.initial_starts * ope.horizon * ours.dynamics.elites
    judged += ope.whole_episodes.starts * ope.whole_episodes.horizon * ours.dynamics.elites
    judged += 2 * ope.logged_starts.starts * ope.logged_starts.horizon
    return (
        zoo.path_iterations * _iteration_seconds(ours, None)
        + published / RATES["clipped update"]
        + ope.fitted_q.updates / RATES["fitted Q update"]
        + policies * judged / RATES["model step"]
        + policies * ope.episodes * EPISODE_STEPS / RATES["environment step"]
    )
