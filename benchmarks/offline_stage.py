"""Seconds that each part of the default offline stage takes: on a data set, or else on noise of a log's shapes.

    go1 data import uni-o4 REAL --out runs/real/dataset     # the recordings that the Uni-O4 authors published
    python -m benchmarks.offline_stage --dataset runs/real/dataset --threads 2 --share 0.05
    python -m benchmarks.offline_stage --steps 120000 --threads 2 --share 0.05

The parts are those of `go1 refine` without `--init`: replaying the log into observations, cloning, V, transition model,
improvement; sealing and reports, a few seconds, are not among them. No part stops early, so that a real run takes less.
`--share` runs that share of the fits' epochs and of the iterations, and scales the figures up.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch

from benchmarks.figures import Figure, load_average
from deploy.host.refine_settings import RefineSettings
from offline_data.dataset import Dataset
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.rewards import RewardWeights
from policy.transitions import PHYSICAL_GROUPS, VELOCITY_GROUP, Transitions, from_columns
from policy.uni_o4.cloning import clone_behavior, with_cloned_behavior
from policy.uni_o4.dynamics import fit_dynamics
from policy.uni_o4.ensemble_rollouts import FallRule
from policy.uni_o4.offline import improve_in_ensemble
from policy.uni_o4.settings import seeded_generator
from policy.uni_o4.value import fit_reward_scale, fit_value
from policy.uni_o4.velocity_world import velocity_world
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

EPISODE_STEPS = 500
TARGET_S = 360.0
TARGET_STEPS = 100_000  # 120,000 recorded ones leave about 110,000 to learn from
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Source:
    """What the stage learns from.

    Attributes:
        name: of it. graph: its contract's, with an actor that knows nothing yet. read: gives the steps.
        weights: of the reward. fell: another rule than the robot's of what a fall is, if any.
    """

    name: str
    graph: PolicyGraph
    read: Callable[[], Transitions]
    weights: RewardWeights
    fell: FallRule | None = None


def data_set(path: Path, settings: RefineSettings) -> Source:
    """A data set on disk.

    Raises:
        DatasetError: there is none.
    """
    data = Dataset.open(path)
    contract = data.contract
    actor = GaussianActor(contract.observation_dim, contract.action_dim, settings.cloning.hidden_dims, 1.0)
    graph = PolicyGraph(contract, actor)
    return Source(str(path), graph, lambda: from_columns(data, graph), RewardWeights(**data.reward_weights))


def noise(steps: int, settings: RefineSettings) -> Source:
    """Random steps; nothing falls in them, for a branch that has fallen costs less."""
    contract = velocity_contract(load_robot())
    actor = GaussianActor(contract.observation_dim, contract.action_dim, settings.cloning.hidden_dims, 1.0)
    graph = PolicyGraph(contract, actor)
    generator = seeded_generator(0)

    def never(physical: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(physical), dtype=torch.bool)

    return Source("noise", graph, lambda: random_transitions(graph, steps, generator), RewardWeights(), never)


def random_transitions(graph: PolicyGraph, steps: int, generator: torch.Generator) -> Transitions:
    """Noise with the shapes of a log: what the numbers are does not change how long they take."""
    contract = graph.contract

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(steps, *shape, generator=generator)

    physical_dim = sum(width for _, width in (*PHYSICAL_GROUPS, VELOCITY_GROUP))
    observation = normal(contract.observation_dim)
    action = normal(contract.action_dim)
    with torch.no_grad():
        mean, std = graph.actor(observation)
        log_prob = graph.actor.log_prob(observation, action)
    rows = torch.arange(steps)
    return Transitions(
        observation=observation,
        next_observation=normal(contract.observation_dim),
        action=action,
        action_mean=mean,
        action_std=std.clone(),
        log_prob=log_prob,
        reward=normal(),
        terminated=torch.zeros(steps, dtype=torch.bool),
        truncated=(rows + 1) % EPISODE_STEPS == 0,
        episode=rows // EPISODE_STEPS,
        physical=normal(physical_dim),
        next_physical=normal(physical_dim),
        command=normal(contract.command_dim),
        memory=normal(contract.memory_dim),
        past=normal(2, physical_dim + contract.action_dim),
        groups=(*PHYSICAL_GROUPS, VELOCITY_GROUP),
    )


class Clock:
    """Wall and processor seconds of parts, each scaled up by its factor."""

    def __init__(self) -> None:
        self.wall_s: dict[str, float] = {}

    def timed(self, name: str, factor: float, work: Callable[[], _Result]) -> _Result:
        """Run the work and print what it took."""
        usage, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        result = work()
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
        processor = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
        self.wall_s[name] = factor * wall
        print(f"{name:<12} wall {factor * wall:7.1f} s   processor {factor * processor:7.1f} s", flush=True)
        return result


def run_stage(source: Source, settings: RefineSettings, share: float) -> tuple[int, dict[str, float]]:
    """Steps learned from, and the wall seconds of every part [s]."""
    clock, generator, robot = Clock(), seeded_generator(settings.seed), load_robot()

    def some(count: int) -> int:
        return max(1, math.ceil(share * count))

    transitions = clock.timed("replay", 1.0, source.read)

    cloning = settings.cloning
    epochs = some(cloning.epochs)
    shorter = replace(cloning, epochs=epochs, patience=epochs)
    clones = clock.timed("clones", cloning.epochs / epochs, lambda: clone_behavior(transitions, shorter, generator))
    transitions = with_cloned_behavior(transitions, clones.best)

    value, scale = settings.value, fit_reward_scale(transitions, settings.value.discount)
    rounds = some(value.rounds)
    fitted = clock.timed(
        "value",
        value.rounds / rounds,
        lambda: fit_value(transitions, scale, replace(value, rounds=rounds), generator),
    )

    dynamics = settings.dynamics
    epochs = some(dynamics.epochs)
    model_settings = replace(dynamics, epochs=epochs, patience=epochs)
    model = clock.timed(
        "dynamics", dynamics.epochs / epochs, lambda: fit_dynamics(transitions, model_settings, generator)
    ).model

    world = velocity_world(model, source.graph, robot, source.weights, transitions.groups)
    if source.fell is not None:
        world = replace(world, fell=source.fell)
    improvement = settings.improvement
    iterations = some(improvement.iterations)
    endless = replace(improvement, iterations=iterations, patience=iterations, kl_budget=math.inf)
    clock.timed(
        "improvement",
        improvement.iterations / iterations,
        lambda: improve_in_ensemble(clones.best, fitted.value, world, transitions, scale, endless, generator),
    )
    return len(transitions), clock.wall_s


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the seconds of every part, and of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="folder of a data set; without, noise")
    parser.add_argument("--steps", type=int, default=120_000, help="of noise [%(default)s]")
    parser.add_argument("--threads", type=int, default=2, help="of torch [%(default)s]")
    parser.add_argument("--share", type=float, default=1.0, help="of epochs and iterations [%(default)s]")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    settings = RefineSettings(threads=options.threads)
    source = noise(options.steps, settings) if options.dataset is None else data_set(options.dataset, settings)
    print(f"{source.name}, torch {torch.__version__}, {options.threads} threads, load {load_average()}")
    steps, wall_s = run_stage(source, settings, options.share)
    bound = TARGET_S if steps >= TARGET_STEPS else None
    print(Figure(f"offline stage on {steps:,} steps", sum(wall_s.values()), "s", at_most=bound))
    print(f"load {load_average()} at the end")


if __name__ == "__main__":
    main()
