"""Seconds that each part of the default offline stage takes, on random transitions of the real size.

    python -m benchmarks.offline_stage --steps 40000 --threads 2 --share 0.1

`--share` runs that share of the fits' epochs and of the iterations, and scales the figures up.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import torch

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.transitions import PHYSICAL_GROUPS, VELOCITY_GROUP, Transitions
from policy.uni_o4.dynamics import DynamicsSettings, fit_dynamics
from policy.uni_o4.ensemble_rollouts import GraphObserver, ModelWorld
from policy.uni_o4.offline import EnsembleSettings, improve_in_ensemble
from policy.uni_o4.settings import seeded_generator
from policy.uni_o4.value import RewardScale, ValueSettings, fit_value
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

EPISODE_STEPS = 500
_Result = TypeVar("_Result")


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


def timed(name: str, factor: float, work: Callable[[], _Result]) -> _Result:
    """Run the work and print wall and processor seconds, scaled up by the factor."""
    usage, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = work()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    print(f"{name:<12} wall {factor * wall:7.1f} s   processor {factor * processor:7.1f} s")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=40_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--share", type=float, default=1.0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = seeded_generator(0)

    contract = velocity_contract(load_robot())
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, (128, 128), 0.3))
    transitions = random_transitions(graph.requires_grad_(False), options.steps, generator)
    graph.actor.requires_grad_(True)

    def some(count: int) -> int:
        return max(1, math.ceil(options.share * count))

    value, dynamics, improvement = ValueSettings(), DynamicsSettings(), EnsembleSettings(kl_budget=1e9)
    scale = RewardScale(1.0)
    rounds, epochs, iterations = some(value.rounds), some(dynamics.epochs), some(improvement.iterations)
    fitted = timed(
        "value",
        value.rounds / rounds,
        lambda: fit_value(transitions, scale, replace(value, rounds=rounds), generator),
    )
    settings = replace(dynamics, epochs=epochs, patience=epochs)
    model = timed("dynamics", dynamics.epochs / epochs, lambda: fit_dynamics(transitions, settings, generator)).model
    world = ModelWorld(model, GraphObserver(graph), lambda physical: torch.zeros(len(physical), dtype=torch.bool))
    timed(
        "improvement",
        improvement.iterations / iterations,
        lambda: improve_in_ensemble(
            graph.actor,
            fitted.value,
            world,
            transitions,
            scale,
            replace(improvement, iterations=iterations),
            generator,
        ),
    )


if __name__ == "__main__":
    main()
