"""What a policy earns in the true environment: ten episodes of its mean action, all episodes side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.uni_o4.gymnasium_world import Standardization, executed
from benchmarks.uni_o4.robots import BenchmarkRobot, benchmark_package
from policy.networks import GaussianActor

BatchPolicy = Callable[[np.ndarray], np.ndarray]
"""Raw observations (N, O) float32 -> actions (N, A)."""

EPISODES = 10
EVALUATION_SEED = 10_000
"""Of the first episode; data are logged with seeds far from here, and every policy meets the same resets."""


@dataclass(frozen=True)
class Evaluation:
    """Episodes of one policy: undiscounted and discounted returns (E,), lengths (E,) in steps."""

    returns: np.ndarray
    discounted_returns: np.ndarray
    lengths: np.ndarray

    def record(self, robot: BenchmarkRobot) -> dict[str, Any]:
        """JSON values; the score is normalised, its error the standard error of its mean over episodes."""
        scores = [robot.normalized_score(float(value)) for value in self.returns]
        return {
            "score": float(np.mean(scores)),
            "score_standard_error": standard_error(np.asarray(scores)),
            "episode_scores": scores,
            "episode_lengths": self.lengths.tolist(),
        }


def standard_error(values: np.ndarray) -> float:
    """Of the mean of values (N,); zero for a single one."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0


def make_environment(robot: BenchmarkRobot) -> Any:
    """The Gymnasium environment.

    Raises:
        BenchmarkError: the benchmark's own packages are not installed.
    """
    return benchmark_package("gymnasium").make(robot.environment_id)


def evaluate(
    policy: BatchPolicy,
    robot: BenchmarkRobot,
    episodes: int = EPISODES,
    seed: int = EVALUATION_SEED,
    discount: float = 0.99,
) -> Evaluation:
    """Run the episodes of seeds seed, seed + 1, ... to their ends."""
    environments = [make_environment(robot) for _ in range(episodes)]
    observation = np.stack([environment.reset(seed=seed + place)[0] for place, environment in enumerate(environments)])
    returns, discounted = np.zeros(episodes), np.zeros(episodes)
    lengths, running = np.zeros(episodes, dtype=int), np.ones(episodes, dtype=bool)
    while running.any():
        active = np.flatnonzero(running)
        action = executed(policy(observation[active].astype(np.float32)))
        for row, place in zip(action, active, strict=True):
            observation[place], reward, terminated, truncated, _ = environments[place].step(row)
            returns[place] += reward
            discounted[place] += discount ** lengths[place] * reward
            lengths[place] += 1
            running[place] = not (terminated or truncated)
    for environment in environments:
        environment.close()
    return Evaluation(returns, discounted, lengths)


def mean_policy(actor: GaussianActor, standardization: Standardization) -> BatchPolicy:
    """The actor's mean action on raw observations."""

    @torch.no_grad()
    def act(observation: np.ndarray) -> np.ndarray:
        return actor(standardization(torch.from_numpy(observation)))[0].numpy()

    return act
