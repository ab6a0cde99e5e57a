"""The project's learners on a benchmark data set, from logged steps to one policy; the environment is never asked.

ensemble   PPO inside the learned world on a KL budget, gated by the lower bound (`policy.uni_o4.offline`)
uni_o4     the published method: four clones, IQL critics, clipped steps on Q - V, AM-Q gate. Its critics are as wide as
           `OurSettings.critics` says: by default 2 x 256 where the paper has Q of 2 x 1024 and V of 3 x 512; the
           report calls that, and fewer updates of critics or policy, "reduced" (`paper_sizes`)
bppo       its ablation to one clone, critics by SARSA and no offline evaluation: the behaviour always follows
           (Zhuang et al. 2023; its own choice by online scores would be no offline method)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from benchmarks.uni_o4.gymnasium_world import ExecutedCritics, Standardization, disagreement_limit
from benchmarks.uni_o4.logged_steps import LoggedSteps
from benchmarks.uni_o4.paper_sizes import is_reduced
from benchmarks.uni_o4.preparation import Preparation, PreparationCache, prepare, still_world, stream
from benchmarks.uni_o4.robots import BenchmarkError
from policy.networks import GaussianActor, ValueNetwork
from policy.uni_o4.candidates import Improvement
from policy.uni_o4.cloning import CloningSettings
from policy.uni_o4.critics import CriticSettings
from policy.uni_o4.dynamics import DynamicsSettings
from policy.uni_o4.ensemble_rollouts import FallRule
from policy.uni_o4.evaluation import EvaluationSettings
from policy.uni_o4.offline import EnsembleSettings, improve_in_ensemble
from policy.uni_o4.published import PublishedSettings, improve_published
from policy.uni_o4.settings import Progress, no_progress, require
from policy.uni_o4.value import RewardScale, ValueSettings

OurMethod = Literal["ensemble", "uni_o4", "bppo"]
OUR_METHODS: tuple[OurMethod, ...] = get_args(OurMethod)

FORMALITY = EvaluationSettings(starts=64, horizon=1, resamples=100)
"""Of scores that decide nothing."""


@dataclass(frozen=True)
class OurSettings:
    """Every setting of the three; which of them a method uses is in `record`.

    Attributes:
        halt_quantiles: courses of `ensemble`, each from the clone. A branch that teaches ends where the members of the
            transition model disagree more than in this share of the logged steps; None ends none for that.
        course_margin: a later course takes the place of those before it if its best policy promises more by this share
            of their promised gain: a world that is believed further promises more than it keeps.
    """

    cloning: CloningSettings = field(default_factory=CloningSettings)
    value: ValueSettings = field(default_factory=lambda: ValueSettings(hidden_dims=(256, 256)))
    dynamics: DynamicsSettings = field(default_factory=DynamicsSettings)
    improvement: EnsembleSettings = field(default_factory=EnsembleSettings)
    halt_quantiles: tuple[float | None, ...] = (None,)
    course_margin: float = 0.1
    critics: CriticSettings = field(default_factory=CriticSettings)
    published: PublishedSettings = field(default_factory=PublishedSettings)

    def __post_init__(self) -> None:
        quantiles = [quantile for quantile in self.halt_quantiles if quantile is not None]
        if not self.halt_quantiles or not all(0.0 < quantile <= 1.0 for quantile in quantiles):
            raise BenchmarkError(
                "halt_quantiles of at least one course, each in (0, 1] or None",
                f"{self.halt_quantiles}",
                "Correct them.",
            )
        if quantiles and self.dynamics.elites < 2:
            raise BenchmarkError(
                "two elites at least, to disagree", f"{self.dynamics.elites}", "Raise dynamics.elites."
            )
        require(self, "course_margin", 0.0)

    def record(self, method: OurMethod) -> dict[str, Any]:
        """The settings that this method uses, as JSON values."""
        used = resolved(method, self)
        if method == "ensemble":
            fits = {name: asdict(getattr(used, name)) for name in ("cloning", "value", "dynamics", "improvement")}
            return {**fits, "halt_quantiles": list(used.halt_quantiles), "course_margin": used.course_margin}
        names = ("cloning", "critics", "published", *(() if method == "bppo" else ("dynamics",)))
        record: dict[str, Any] = {name: asdict(getattr(used, name)) for name in names}
        return {**record, "scale_discount": used.value.discount, "reduced": is_reduced(used.critics, used.published)}


@dataclass(frozen=True)
class Learned:
    """A policy learned offline, with what online learning continues from.

    Attributes:
        actor: the policy that is evaluated, by its mean. value, scale: of the last stage.
        standardization: in front of both networks. improvement: every candidate on the way.
        notes: figures of the fits, as JSON values.
    """

    actor: GaussianActor
    value: ValueNetwork
    scale: RewardScale
    standardization: Standardization
    improvement: Improvement
    notes: dict[str, Any]


def resolved(method: OurMethod, settings: OurSettings) -> OurSettings:
    """The settings as this method uses them."""
    if method == "uni_o4":
        return settings
    cloning = replace(settings.cloning, members=1)
    if method == "ensemble":
        return replace(settings, cloning=cloning)
    return replace(
        settings,
        cloning=cloning,
        critics=replace(settings.critics, method="sarsa"),
        published=replace(settings.published, gate="always", evaluation=FORMALITY),
    )


def learn(
    method: OurMethod,
    steps: LoggedSteps,
    fell: FallRule,
    settings: OurSettings,
    seed: int,
    cache: PreparationCache,
    progress: Progress = no_progress,
) -> Learned:
    """Learn a policy from the data set and the rule by which its episodes end, and from nothing else."""
    settings = resolved(method, settings)
    dynamics = None if method == "bppo" else settings.dynamics
    ready = prepare(steps, fell, settings.cloning, settings.value.discount, dynamics, seed, cache, progress)
    notes = dict(ready.notes)
    if method == "ensemble":
        value, explained = cache.value(ready.transitions, ready.scale, settings.value, seed, progress)
        notes["value_explained_variance"] = explained
        courses = [
            improved_course(ready, value, settings, quantile, seed, progress) for quantile in settings.halt_quantiles
        ]
        notes["courses"] = [
            {"halt_quantile": quantile, "name": course.best.name, "kl": course.best.kl, "score": course.best.score.mean}
            for quantile, course in zip(settings.halt_quantiles, courses, strict=True)
        ]
        improvement = chosen_course(courses, settings.course_margin)
    else:
        critics = cache.critics(ready.transitions, ready.scale, settings.critics, seed, progress)
        world = ready.world or still_world(ready.transitions, ready.standardization)
        improvement = improve_published(
            ready.clones.members, ExecutedCritics.of(critics), world, ready.transitions, settings.published,
            stream(seed, method), progress,
        )  # fmt: skip
    best = improvement.best
    notes["chosen"] = {"name": best.name, "kl": best.kl, "predicted_gain": best.gain.mean}
    return Learned(best.actor, improvement.value, ready.scale, ready.standardization, improvement, notes)


def chosen_course(courses: Sequence[Improvement], margin: float) -> Improvement:
    """The course whose policy is kept, see `OurSettings`; all of them have the same start."""
    chosen = courses[0]
    for course in courses[1:]:
        gain, further = (each.best.score.mean - each.start.score.mean for each in (chosen, course))
        if further > (1.0 + margin) * gain:
            chosen = course
    return chosen


def improved_course(
    ready: Preparation,
    value: ValueNetwork,
    settings: OurSettings,
    quantile: float | None,
    seed: int,
    progress: Progress = no_progress,
) -> Improvement:
    """From the clone with one limit of disagreement; the luck, and so the evaluation, is that of every other course."""
    world = ready.world
    assert world is not None
    if quantile is not None:
        limit = disagreement_limit(world, ready.transitions, quantile, stream(seed, "disagreement"))
        world = replace(world, halts=limit)
    return improve_in_ensemble(
        ready.clones.best, value, world, ready.transitions, ready.scale, settings.improvement,
        stream(seed, "ensemble"), progress,
    )  # fmt: skip
