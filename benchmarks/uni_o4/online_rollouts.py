"""On-policy steps in the true environment, as the online learner takes them."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.uni_o4.evaluate import make_environment
from benchmarks.uni_o4.gymnasium_world import PHYSICAL_GROUP, Standardization, executed
from benchmarks.uni_o4.robots import BenchmarkRobot
from policy.networks import GaussianActor
from policy.transitions import Transitions

TRAINING_SEED = 5_000_000
"""Of the first online episode; far from those of the data and of the evaluation."""


@torch.no_grad()
def collect(
    actor: GaussianActor,
    standardization: Standardization,
    robot: BenchmarkRobot,
    steps: int,
    beside: int,
    iteration: int,
    seed: int,
) -> Transitions:
    """About `steps` of one iteration in `beside` environments with the policy's own noise, from fresh episodes.

    They come environment after environment. The log-probability is that of the action as sampled; the environment
    executes what of it lies within its limits.
    """
    generator = torch.Generator().manual_seed(1_000_003 * (seed + 1) + iteration)
    length = max(1, steps // beside)
    environments = [make_environment(robot) for _ in range(beside)]
    next_seed = TRAINING_SEED + seed * 1_000_000 + iteration * steps
    state = np.stack([each.reset(seed=next_seed + place)[0] for place, each in enumerate(environments)])
    next_seed += beside
    columns: dict[str, list[torch.Tensor]] = {}
    for step in range(length):
        physical = torch.from_numpy(state).float()
        observation = standardization(physical)
        mean, std = actor(observation)
        action = mean + std * torch.randn(mean.shape, generator=generator)
        following, reward = state.copy(), np.zeros(beside, dtype=np.float32)
        terminated, truncated = np.zeros(beside, dtype=bool), np.zeros(beside, dtype=bool)
        for place, (environment, row) in enumerate(zip(environments, executed(action.numpy()), strict=True)):
            following[place], reward[place], terminated[place], truncated[place], _ = environment.step(row)
        next_physical = torch.from_numpy(following).float()
        rows = {
            "observation": observation, "next_observation": standardization(next_physical), "action": action,
            "action_mean": mean, "action_std": std.clone(), "log_prob": actor.log_prob(observation, action),
            "reward": torch.from_numpy(reward), "terminated": torch.from_numpy(terminated),
            "truncated": torch.from_numpy((truncated | (step == length - 1)) & ~terminated),
            "physical": physical, "next_physical": next_physical,
        }  # fmt: skip
        for name, value in rows.items():
            columns.setdefault(name, []).append(value)
        state = following
        for ended in np.flatnonzero(terminated | truncated):
            state[ended] = environments[ended].reset(seed=next_seed)[0]
            next_seed += 1
    for environment in environments:
        environment.close()
    return _joined({name: torch.stack(values, dim=1).flatten(0, 1) for name, values in columns.items()})


def _joined(columns: dict[str, torch.Tensor]) -> Transitions:
    """Columns (N, ...), one environment after the other, as transitions without command, memory and past."""
    ends = columns["terminated"] | columns["truncated"]
    count, width = columns["physical"].shape
    return Transitions(
        **columns,
        episode=ends.long().cumsum(0) - ends.long(),
        command=torch.zeros(count, 0),
        memory=torch.zeros(count, 0),
        past=torch.zeros(count, 0, width + columns["action"].shape[1]),
        groups=((PHYSICAL_GROUP, width),),
    )
