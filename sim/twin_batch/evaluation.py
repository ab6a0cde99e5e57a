"""Measure a bundle on a batch of twins: commands, seeds and scores of `sim.evaluate`, without the wire.

Episode i of seed s is the same robot with the same commands as through the wire, so that the two can be compared in
pairs; the noise between policy steps is another, and so are, on rough ground, the bumps: robots share at most eight
grounds there, and the interval of the mean draws grounds, not episodes. What a batch leaves out stands beside every
result.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Sequence, Union

import numpy as np
import torch

from offline_data.log_schema import Ending
from policy.bundle import read_bundle
from policy.export import load_graph
from policy.graph import PolicyGraph, projected_gravity
from policy.rewards import RewardInputs, RewardWeights, velocity_reward
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import load_condition
from sim.evaluate import DEFAULT_COMMANDS, EpisodeResult, Evaluation, seeded
from sim.twin_batch.coverage import LEFT_OUT
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.resampling import mean_interval
from sim.twin_batch.twins import TwinBatch
from sim.twin_batch.walk import BatchWalk, WalkStep


@dataclass(frozen=True)
class BatchEvaluation(Evaluation):
    """An evaluation that says of itself that it was not measured through the wire.

    Attributes:
        grounds: number of each episode's ground; see `TwinBatch.grounds`.
    """

    grounds: tuple[int, ...]

    def summary(self) -> dict[str, Any]:
        """See `Evaluation.summary`; the interval is over grounds, and what was left out stands beside it."""
        grounds = np.array(self.grounds)
        return {
            **super().summary(),
            "return_ci95": mean_interval(self.returns, grounds),
            "distinct_grounds": len(np.unique(grounds)),
            "through_the_wire": False,
            "left_out": list(LEFT_OUT),
        }

    def to_dict(self) -> dict[str, Any]:
        """See `Evaluation.to_dict`; with the grounds."""
        return {**super().to_dict(), "grounds": list(self.grounds)}


def evaluate_bundle_batched(
    bundle: Union[str, Path],
    condition: Union[str, Path],
    episodes: int,
    seed: int = 0,
    episode_s: float = 10.0,
    commands: str = DEFAULT_COMMANDS,
    threads: int = 0,
    progress: Optional[Callable[[int, int], None]] = None,
) -> BatchEvaluation:
    """Run a bundle's mean action on as many twins as there are episodes; the arguments of `evaluate_bundle`.

    Args:
        threads: of the physics; 0 takes every core. The result does not depend on it.
        progress: told the policy steps made and those planned.

    Raises:
        TwinBatchError: no episodes, or a condition or commands that a batch does not cover.
    """
    if episodes < 1:
        raise TwinBatchError("at least one episode", f"{episodes}", "Raise --episodes.")
    sealed, loaded = read_bundle(bundle), load_condition(condition)
    seeds = [seed * 100_000 + index for index in range(episodes)]
    twins = TwinBatch(loaded, seeds, threads)
    results = walk_episodes(load_graph(sealed), twins, seeds, episode_s, commands, progress)
    return BatchEvaluation(sealed.sha256, loaded.name, episode_s, commands, results, tuple(twins.grounds.tolist()))


def walk_episodes(
    graph: PolicyGraph,
    twins: TwinBatch,
    seeds: Sequence[int],
    episode_s: float = 10.0,
    commands: str = DEFAULT_COMMANDS,
    progress: Optional[Callable[[int, int], None]] = None,
) -> tuple[EpisodeResult, ...]:
    """Results of a policy that need not be sealed, one episode a robot of `twins`, which were made of `seeds`.

    The twins have to stand: fresh ones do, others after a `reset`.
    """
    walk = BatchWalk(twins, graph, [seeded(commands, seed) for seed in seeds], seeds, exploration=0.0)
    scores = _Scores(twins.robot, len(seeds))
    steps = max(1, round(episode_s * graph.contract.control_hz))
    for index in range(steps):
        walked = walk.step()
        scores.add(walked)
        twins.retire(np.flatnonzero(walked.fell))
        if progress is not None:
            progress(index + 1, steps)
        if not scores.walking.any():
            break
    return scores.results(seeds)


class _Scores:
    """Sums over the steps of N episodes, each up to its fall."""

    def __init__(self, robot: RobotModel, count: int) -> None:
        self._robot = robot
        self._torque_limit = torch.tensor(robot.torque_limit, dtype=torch.float32)
        self._last_action = torch.zeros(count, len(robot.joint_names))
        self.walking = np.ones(count, dtype=bool)
        self._steps = np.zeros(count, dtype=np.int64)
        self._sums = {
            name: np.zeros(count)
            for name in ("reward", "linear_error", "yaw_error", "speed", "commanded_speed", "power", "way")
        }

    def add(self, walked: WalkStep) -> None:
        """Score a step by the state after its action, as `sim.evaluate` does."""
        truth, command = walked.truth_after, walked.command[:, :3]
        velocity = truth.linear_velocity_trunk_in_trunk
        added = {
            "reward": self._reward(walked),
            "linear_error": np.linalg.norm((velocity - command)[:, :2], axis=1),
            "yaw_error": np.abs(truth.angular_velocity_trunk_in_trunk[:, 2] - command[:, 2]),
            "speed": velocity[:, 0],
            "commanded_speed": command[:, 0],
            "power": truth.mechanical_power_w,
            "way": np.linalg.norm(velocity[:, :2], axis=1),
        }
        for name, values in added.items():
            self._sums[name][self.walking] += values[self.walking]
        self._steps[self.walking] += 1
        self.walking &= ~walked.fell

    def _reward(self, walked: WalkStep) -> np.ndarray:
        def tensor(array: np.ndarray) -> torch.Tensor:
            return torch.tensor(array, dtype=torch.float32)

        truth, action = walked.truth_after, tensor(walked.outputs["action"])
        inputs = RewardInputs(
            command=tensor(walked.command[:, :3]),
            linear_velocity_trunk_in_trunk=tensor(truth.linear_velocity_trunk_in_trunk),
            angular_velocity_trunk_in_trunk=tensor(truth.angular_velocity_trunk_in_trunk),
            gravity_in_trunk=projected_gravity(tensor(truth.orientation_trunk_in_world)),
            joint_velocity=tensor(truth.joint_velocity),
            torque_fraction=tensor(truth.joint_torque) / self._torque_limit,
            action=action,
            last_action=self._last_action,
            fallen=torch.from_numpy(walked.fell),
        )
        self._last_action = action
        total, _ = velocity_reward(inputs, RewardWeights())
        values: np.ndarray = total.numpy()
        return values

    def results(self, seeds: Sequence[int]) -> tuple[EpisodeResult, ...]:
        """One result an episode."""
        means = {name: values / self._steps for name, values in self._sums.items()}
        return tuple(
            EpisodeResult(
                seed=seed,
                steps=int(self._steps[row]),
                episode_return=float(self._sums["reward"][row]),
                linear_error_m_s=float(means["linear_error"][row]),
                yaw_error_rad_s=float(means["yaw_error"][row]),
                forward_speed_m_s=float(means["speed"][row]),
                commanded_forward_speed_m_s=float(means["commanded_speed"][row]),
                fell=not self.walking[row],
                ending=(Ending.TRUNCATED if self.walking[row] else Ending.TERMINATED).name.lower(),
                power_w=float(means["power"][row]),
                distance_m=float(self._sums["way"][row] / self._robot.control_hz),
            )
            for row, seed in enumerate(seeds)
        )
