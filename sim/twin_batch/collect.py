"""Data sets logged on a batch of twins: the format of `offline_data`, and a provenance that says what they are not.

A robot's log goes through the recorder, the reader and the velocity estimator. These rows come straight from the
twins: the signals are what a policy saw, noise included, but the velocity is the truth and nothing was ever lost.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Union

import numpy as np

from offline_data.dataset import Dataset
from offline_data.dataset_writer import DatasetHeader, DatasetWriter
from offline_data.log_schema import Ending
from offline_data.reward_columns import check_velocity_commands, reward_columns
from offline_data.velocity import rotation_trunk_to_world
from policy.bundle import Bundle, read_bundle
from policy.export import load_graph
from policy.rewards import REWARD_TERMS, RewardWeights
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import load_condition
from sim.evaluate import DEFAULT_COMMANDS, seeded
from sim.twin_batch.coverage import LEFT_OUT
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.twins import TwinBatch
from sim.twin_batch.walk import BatchWalk, WalkStep

_OUTPUT_COLUMNS = ("action", "action_mean", "action_std", "log_prob", "joint_target")


@dataclass(frozen=True)
class BatchCollectSettings:
    """How steps are logged; written into the data set's provenance.

    Attributes:
        robots: twins side by side, each with its own biases and ground; the data depend on it.
        commands: specification without a seed; each twin gets its own.
        episode_s: longest episode. exploration: factor on the policy's own noise; 1 is what learning needs.
    """

    robots: int = 60
    commands: str = DEFAULT_COMMANDS
    episode_s: float = 10.0
    exploration: float = 1.0

    def __post_init__(self) -> None:
        for name in ("robots", "episode_s"):
            if not getattr(self, name) > 0:
                raise TwinBatchError(f"{name} above 0", f"{getattr(self, name)}", "Correct the setting.")


def collect_batched(
    bundle: Union[str, Path],
    condition: Union[str, Path],
    steps: int,
    out: Path,
    seed: int,
    settings: BatchCollectSettings = BatchCollectSettings(),
    threads: int = 0,
    progress: Optional[Callable[[int, int], None]] = None,
) -> Dataset:
    """Log at least `steps` policy steps and write them as the data set `out`; a fallen robot stands again at once.

    Args:
        threads: of the physics; 0 takes every core. The data do not depend on it.
        progress: told the steps logged and those planned.

    Raises:
        TwinBatchError: a condition or commands that a batch does not cover.
        DatasetError: `out` exists.
    """
    sealed, loaded = read_bundle(bundle), load_condition(condition)
    check_velocity_commands(sealed.contract)
    seeds = [seed * 100_000 + index for index in range(settings.robots)]
    twins = TwinBatch(loaded, seeds, threads)
    weights = RewardWeights()
    provenance = {
        "importer": "twin_batch",
        "through_the_wire": False,
        "left_out": list(LEFT_OUT),
        "velocity": "the twins' truth, not an estimate",
        "reward": "from measured attitude, rates and joints, and the true velocity",
        "condition": asdict(loaded),
        "seed": seed,
        "settings": asdict(settings),
    }
    header = DatasetHeader(sealed.contract, twins.robot.sha256, REWARD_TERMS, weights.to_dict(), provenance)
    log = _EpisodeLog(DatasetWriter(out, header), sealed, twins.robot, weights)
    commands = [seeded(settings.commands, own) for own in seeds]
    walk = BatchWalk(twins, load_graph(sealed), commands, seeds, settings.exploration)
    _walk_and_log(walk, log, settings, steps, progress)
    return log.writer.finish()


def _walk_and_log(
    walk: BatchWalk,
    log: _EpisodeLog,
    settings: BatchCollectSettings,
    steps: int,
    progress: Optional[Callable[[int, int], None]],
) -> None:
    count = walk.twins.count
    share = -(-steps // count)
    longest = max(1, round(settings.episode_s * walk.graph.contract.control_hz))
    episodes = np.zeros(count, dtype=np.int64)
    for index in range(share):
        walked = walk.step()
        log.add(walked)
        last = index + 1 == share
        ended = walked.fell | (walk.episode_step >= longest) | last
        rows = np.flatnonzero(ended)
        if len(rows):
            log.close(rows, walk.signals(), walked)
            episodes[rows] += 1
            if not last:
                _restart(walk, rows, episodes)
        if progress is not None:
            progress((index + 1) * count, share * count)


def _restart(walk: BatchWalk, rows: np.ndarray, episodes: np.ndarray) -> None:
    """Begin the next episode of each of these robots; episodes of one number begin together."""
    for episode in np.unique(episodes[rows]).tolist():
        walk.restart(rows[episodes[rows] == episode], episode)


class _EpisodeLog:
    """Keeps each robot's running episode and hands it to the writer when it ends."""

    def __init__(self, writer: DatasetWriter, bundle: Bundle, robot: RobotModel, weights: RewardWeights) -> None:
        self.writer = writer
        self._bundle, self._robot, self._weights = bundle, robot, weights
        self._running: dict[int, list[dict[str, np.ndarray]]] = {}
        self._episodes: dict[int, int] = {}

    def add(self, walked: WalkStep) -> None:
        """A row for each robot."""
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

    def close(self, rows: np.ndarray, signals: dict[str, np.ndarray], walked: WalkStep) -> None:
        """Write the episodes of robots `rows` (R,), which end with these signals."""
        for row in rows.tolist():
            steps = self._running.pop(row)
            final: dict[str, Any] = {name: np.zeros_like(values) for name, values in steps[-1].items()}
            final.update({name: values[row] for name, values in signals.items()})
            final["command"] = steps[-1]["command"]
            final["velocity_trunk_in_trunk"] = walked.truth_after.linear_velocity_trunk_in_trunk[row]
            columns = {name: np.stack([step[name] for step in (*steps, final)]) for name in final}
            ending = Ending.TERMINATED if walked.fell[row] else Ending.TRUNCATED
            episode = self._episodes.get(row, 0)
            self._episodes[row] = episode + 1
            source = f"robot {row}, episode {episode}"
            self.writer.append(self._completed(columns, ending), ending, source, {self._bundle.sha256})

    def _completed(self, columns: dict[str, np.ndarray], ending: Ending) -> dict[str, np.ndarray]:
        """With what follows from the rows: gravity, reward, and that nothing is masked."""
        rotation = rotation_trunk_to_world(columns["orientation_trunk_in_world"].astype(np.float64))
        count = len(rotation)
        complete = {
            **columns,
            "projected_gravity_in_trunk": -rotation[:, 2, :],
            "velocity_confidence": np.ones(count),
            "valid": np.ones(count, dtype=bool),
        }
        reward, terms = reward_columns(complete, ending is Ending.TERMINATED, self._robot, self._weights)
        return {**complete, "reward": reward, "reward_terms": terms}
