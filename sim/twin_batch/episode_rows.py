"""Rows of a data set from the steps of a batch: episodes of each robot, and what follows from their rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline_data.log_schema import Ending
from offline_data.reward_columns import reward_columns
from offline_data.velocity import rotation_trunk_to_world
from policy.rewards import RewardWeights
from robot_configs.robot import RobotModel
from sim.twin_batch.walk import WalkStep

_OUTPUT_COLUMNS = ("action", "action_mean", "action_std", "log_prob", "joint_target")


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """One episode of a robot, its last row the final one.

    Attributes:
        columns: (n, ...) by name, `velocity_trunk_in_trunk` the twin's own.
        stamps_ns: (n,) on the robot's clock.
    """

    robot: int
    number: int
    ending: Ending
    columns: dict[str, np.ndarray]
    stamps_ns: np.ndarray


class EpisodeRows:
    """Keeps each robot's running episode until it ends; `finished` has those that have, in their order."""

    def __init__(self) -> None:
        self.finished: list[EpisodeRecord] = []
        self._running: dict[int, list[dict[str, np.ndarray]]] = {}
        self._stamps: dict[int, list[int]] = {}
        self._episodes: dict[int, int] = {}

    def add(self, walked: WalkStep, stamps_ns: np.ndarray) -> None:
        """A row for each robot; (N,) its clock as the step began."""
        columns: dict[str, np.ndarray] = {
            **walked.signals,
            "command": walked.command,
            "noise": walked.noise,
            **{name: walked.outputs[name] for name in _OUTPUT_COLUMNS},
            "velocity_trunk_in_trunk": walked.truth_before.linear_velocity_trunk_in_trunk,
            "joint_torque": walked.mean_torque,
        }
        for row in range(len(walked.fell)):
            self._running.setdefault(row, []).append({name: values[row] for name, values in columns.items()})
            self._stamps.setdefault(row, []).append(int(stamps_ns[row]))

    def close(self, rows: np.ndarray, signals: dict[str, np.ndarray], walked: WalkStep, stamps_ns: np.ndarray) -> None:
        """The episodes of robots `rows` (R,) end with these signals, at (N,) on their clocks."""
        for row in rows.tolist():
            steps, stamps = self._running.pop(row), self._stamps.pop(row)
            final = {name: np.zeros_like(values) for name, values in steps[-1].items()}
            final.update({name: values[row] for name, values in signals.items()})
            final["command"] = steps[-1]["command"]
            final["velocity_trunk_in_trunk"] = walked.truth_after.linear_velocity_trunk_in_trunk[row]
            columns = {name: np.stack([step[name] for step in (*steps, final)]) for name in final}
            number = self._episodes.get(row, 0)
            self._episodes[row] = number + 1
            ending = Ending.TERMINATED if walked.fell[row] else Ending.TRUNCATED
            stamped = np.array([*stamps, int(stamps_ns[row])])
            self.finished.append(EpisodeRecord(row, number, ending, columns, stamped))


@dataclass(frozen=True, eq=False)
class KnownVelocity:
    """Of n rows: (n, 3) in the trunk's frame [m/s], and (n,) confidence in [0, 1]."""

    velocity: np.ndarray
    confidence: np.ndarray


def completed(
    episode: EpisodeRecord,
    known: KnownVelocity,
    minimum_confidence: float,
    robot: RobotModel,
    weights: RewardWeights,
) -> dict[str, np.ndarray]:
    """The episode's columns with gravity, velocity and reward; transitions of less confidence are masked."""
    rotation = rotation_trunk_to_world(episode.columns["orientation_trunk_in_world"].astype(np.float64))
    confident = known.confidence >= minimum_confidence
    complete = {
        **episode.columns,
        "projected_gravity_in_trunk": -rotation[:, 2, :],
        "velocity_trunk_in_trunk": known.velocity,
        "velocity_confidence": known.confidence,
        "valid": confident & np.append(confident[1:], False),
    }
    reward, terms = reward_columns(complete, episode.ending is Ending.TERMINATED, robot, weights)
    return {**complete, "reward": reward, "reward_terms": terms}
