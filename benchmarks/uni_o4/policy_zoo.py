"""Policies to judge offline: good, bad, hardly different, and improved until they should be bad again (`ope_table`
counts how many are).

clones      of the behaviour, as a method of ours starts with
perturbed   clones with noise on their weights: worse, and never seen by any model
ensemble    on the way through the learned world with no budget on KL, far beyond where the method stops
published   clipped steps on Q - V with no gate, at the published and at ten times the rate
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace

import torch

from benchmarks.uni_o4.gymnasium_world import ExecutedCritics
from benchmarks.uni_o4.ours import FORMALITY, OurSettings
from benchmarks.uni_o4.preparation import Preparation, still_world
from policy.networks import GaussianActor, ValueNetwork
from policy.uni_o4.critics import Critics
from policy.uni_o4.offline import improve_in_ensemble
from policy.uni_o4.published import improve_published
from policy.uni_o4.settings import Progress, no_progress, require

ZOO_REPLACES = {
    "improvement": ("iterations", "patience", "kl_budget"),
    "published": ("updates", "learning_rate", "gate", "evaluation"),
}
"""Settings of ours by stage that no policy of the zoo is made with."""


@dataclass(frozen=True)
class ZooSettings:
    """Which policies there are.

    Attributes:
        perturbations: standard deviations of the noise on a clone's weights, each in units of its tensor's spread.
        path_iterations, path_stride: of the improvement without a budget, and every how many of them one is kept.
        published_updates: gradient steps after which the published step is looked at; published_rates: Adam's.
    """

    perturbations: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4)
    path_iterations: int = 30
    path_stride: int = 3
    published_updates: tuple[int, ...] = (500, 1000, 4000)
    published_rates: tuple[float, ...] = (1e-4, 1e-3)

    def __post_init__(self) -> None:
        require(self, "path_iterations", 1)
        require(self, "path_stride", 1, self.path_iterations)


@dataclass(frozen=True)
class ZooPolicy:
    """One policy with the family it belongs to."""

    name: str
    family: str
    actor: GaussianActor


def make_zoo(
    ready: Preparation,
    value: ValueNetwork,
    critics: Critics,
    ours: OurSettings,
    settings: ZooSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
) -> list[ZooPolicy]:
    """Every policy, without asking the environment."""
    zoo = [ZooPolicy(f"clone {place + 1}", "clones", member) for place, member in enumerate(ready.clones.members)]
    for level in settings.perturbations:
        zoo.append(ZooPolicy(f"noise {level:g}", "perturbed", perturbed(ready.clones.best, level, generator)))

    assert ready.world is not None
    everything = settings.path_iterations
    free = replace(ours.improvement, iterations=everything, patience=everything, kl_budget=math.inf)
    path = improve_in_ensemble(
        ready.clones.best, value, ready.world, ready.transitions, ready.scale, free, generator, progress
    ).candidates
    for candidate in path[settings.path_stride :: settings.path_stride]:
        zoo.append(ZooPolicy(f"{candidate.name}, KL {candidate.kl:.2g}", "ensemble", candidate.actor))

    world = still_world(ready.transitions, ready.standardization)
    for rate in settings.published_rates:
        for updates in settings.published_updates:
            ungated = replace(
                ours.published, updates=updates, learning_rate=rate, gate="always",
                gate_interval=min(ours.published.gate_interval, updates), evaluation=FORMALITY,
            )  # fmt: skip
            found = improve_published(
                [ready.clones.best], ExecutedCritics.of(critics), world, ready.transitions, ungated, generator,
                progress,
            )  # fmt: skip
            zoo.append(ZooPolicy(f"{updates} updates at {rate:g}", "published", found.best.actor))
    return zoo


@torch.no_grad()
def perturbed(actor: GaussianActor, level: float, generator: torch.Generator) -> GaussianActor:
    """A copy with Gaussian noise on every weight and bias of its mean."""
    changed = copy.deepcopy(actor)
    for parameter in changed.mean_network.parameters():
        spread = parameter.std(unbiased=False) if parameter.numel() > 1 else parameter.abs().mean()
        parameter.add_(level * spread * torch.randn(parameter.shape, generator=generator))
    return changed
