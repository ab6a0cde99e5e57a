"""The project's learners on a benchmark data set, from logged steps to one policy; the environment is never asked.

ensemble   PPO inside the learned world on a KL budget, gated by the lower bound (`policy.uni_o4.offline`)
uni_o4     the published method: four clones, IQL critics, clipped steps on Q - V, AM-Q gate
bppo       its ablation to one clone, critics by SARSA and no offline evaluation: the behaviour always follows
           (Zhuang et al. 2023; its own choice by online scores would be no offline method)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from benchmarks.uni_o4.gymnasium_world import ExecutedCritics, Standardization, gymnasium_world, transitions_of
from benchmarks.uni_o4.logged_steps import LoggedSteps
from policy.networks import GaussianActor, ValueNetwork
from policy.transitions import Transitions
from policy.uni_o4.cloning import CloningFit, CloningSettings, clone_behavior, with_cloned_behavior
from policy.uni_o4.critics import CriticSettings, fit_critics
from policy.uni_o4.dynamics import DynamicsSettings, fit_dynamics
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.offline import EnsembleSettings, Improvement, improve_in_ensemble
from policy.uni_o4.published import PublishedSettings, improve_published
from policy.uni_o4.settings import Progress, no_progress, seeded_generator
from policy.uni_o4.value import RewardScale, ValueSettings, fit_reward_scale, fit_value

OurMethod = Literal["ensemble", "uni_o4", "bppo"]
OUR_METHODS: tuple[OurMethod, ...] = get_args(OurMethod)


@dataclass(frozen=True)
class OurSettings:
    """Every setting of the three; which of them a method uses is in `learn`."""

    cloning: CloningSettings = field(default_factory=CloningSettings)
    value: ValueSettings = field(default_factory=lambda: ValueSettings(hidden_dims=(256, 256)))
    dynamics: DynamicsSettings = field(default_factory=DynamicsSettings)
    improvement: EnsembleSettings = field(default_factory=EnsembleSettings)
    critics: CriticSettings = field(default_factory=CriticSettings)
    published: PublishedSettings = field(default_factory=PublishedSettings)


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


@dataclass(frozen=True)
class Preparation:
    """What every method of ours starts with, and the offline evaluation too."""

    transitions: Transitions
    standardization: Standardization
    clones: CloningFit
    scale: RewardScale
    world: ModelWorld
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
        published=replace(settings.published, gate="always"),
    )


def prepare(steps: LoggedSteps, settings: OurSettings, seed: int, progress: Progress = no_progress) -> Preparation:
    """Clone the behaviour and fit the transition model."""
    generator = seeded_generator(seed)
    standardization = Standardization.of(steps)
    transitions = transitions_of(steps, standardization)
    clones = clone_behavior(transitions, settings.cloning, generator, progress)
    transitions = with_cloned_behavior(transitions, clones.best)
    scale = fit_reward_scale(transitions, settings.value.discount)
    fit = fit_dynamics(transitions, settings.dynamics, generator, progress)
    world = gymnasium_world(fit.model, transitions, standardization)
    notes = {"cloning_log_prob": list(clones.holdout_log_prob), "dynamics_error": list(fit.holdout_error)}
    return Preparation(transitions, standardization, clones, scale, world, notes)


def learn(
    method: OurMethod, steps: LoggedSteps, settings: OurSettings, seed: int, progress: Progress = no_progress
) -> Learned:
    """Learn a policy from the data set alone."""
    settings = resolved(method, settings)
    ready = prepare(steps, settings, seed, progress)
    generator = seeded_generator(seed + 1)
    notes = dict(ready.notes)
    if method == "ensemble":
        fitted = fit_value(ready.transitions, ready.scale, settings.value, generator, progress=progress)
        notes["value_explained_variance"] = fitted.explained_variance
        improvement = improve_in_ensemble(
            ready.clones.best, fitted.value, ready.world, ready.transitions, ready.scale, settings.improvement,
            generator, progress,
        )  # fmt: skip
    else:
        critics = fit_critics(ready.transitions, ready.scale, settings.critics, generator, progress)
        improvement = improve_published(
            ready.clones.members, ExecutedCritics.of(critics), ready.world, ready.transitions, settings.published,
            generator, progress,
        )  # fmt: skip
    best = improvement.best
    notes["chosen"] = {"name": best.name, "kl": best.kl, "predicted_gain": best.gain.mean}
    return Learned(best.actor, improvement.value, ready.scale, ready.standardization, improvement, notes)
