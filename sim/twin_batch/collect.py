"""Data sets logged on a batch of twins: the format of `offline_data`, and a provenance that says what they are not.

A robot's log goes through the recorder and the reader. These rows come straight from the twins: the signals are what a
policy saw, noise included, and nothing was ever lost. The velocity is what the estimator of `offline_data` makes of the
sensors at every tick of the link, as for a robot, and transitions that it does not trust are masked;
`velocity="true"` logs the twins' truth instead, which no robot has.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Callable, Literal, Optional, Union

import numpy as np

from offline_data.dataset import Dataset
from offline_data.dataset_writer import DatasetHeader, DatasetWriter
from offline_data.ingest import IngestSettings
from offline_data.reward_columns import check_velocity_commands
from offline_data.state_timeline import StateTimeline
from policy.bundle import read_bundle
from policy.export import load_graph
from policy.rewards import REWARD_TERMS
from robot_configs.twin_conditions import load_condition
from sim.evaluate import DEFAULT_COMMANDS, seeded
from sim.twin_batch.coverage import LEFT_OUT
from sim.twin_batch.episode_rows import EpisodeRecord, EpisodeRows, KnownVelocity, completed
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.sensed_log import SensedLog
from sim.twin_batch.twins import TwinBatch
from sim.twin_batch.walk import BatchWalk

_VELOCITY_TOLD = {
    "estimated": "leg odometry and IMU at the link's rate, smoothed over each robot's log",
    "true": "the twins' truth, not an estimate",
}


@dataclass(frozen=True)
class BatchCollectSettings:
    """How steps are logged; written into the data set's provenance.

    Attributes:
        robots: twins side by side, each with its own biases; the data depend on it.
        commands: specification without a seed; each twin gets its own.
        episode_s: longest episode. exploration: factor on the policy's own noise; 1 is what learning needs.
        velocity: estimated from the sensors, or the twins' own.
    """

    robots: int = 60
    commands: str = DEFAULT_COMMANDS
    episode_s: float = 10.0
    exploration: float = 1.0
    velocity: Literal["estimated", "true"] = "estimated"

    def __post_init__(self) -> None:
        for name in ("robots", "episode_s"):
            if not getattr(self, name) > 0:
                raise TwinBatchError(f"{name} above 0", f"{getattr(self, name)}", "Correct the setting.")
        if self.velocity not in _VELOCITY_TOLD:
            raise TwinBatchError(f"velocity: one of {', '.join(_VELOCITY_TOLD)}", self.velocity, "Choose one of them.")


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
    ingest = IngestSettings()
    provenance = {
        "importer": "twin_batch",
        "through_the_wire": False,
        "left_out": list(LEFT_OUT),
        "velocity": _VELOCITY_TOLD[settings.velocity],
        "minimum_confidence": ingest.minimum_confidence,
        "velocity_settings": asdict(ingest.velocity),
        "reward": "from measured attitude, rates and joints, and that velocity",
        "condition": loaded.to_dict(),
        "seed": seed,
        "settings": asdict(settings),
    }
    header = DatasetHeader(sealed.contract, twins.robot.sha256, REWARD_TERMS, ingest.reward.to_dict(), provenance)
    writer = DatasetWriter(out, header)
    commands = [seeded(settings.commands, own) for own in seeds]
    walk = BatchWalk(twins, load_graph(sealed), commands, seeds, settings.exploration)
    log = _BatchLog(walk, settings, ingest)
    log.walk(steps, progress)
    for episode in log.rows.finished:
        columns = completed(episode, log.velocity(episode), ingest.minimum_confidence, twins.robot, ingest.reward)
        writer.append(columns, episode.ending, f"robot {episode.robot}, episode {episode.number}", {sealed.sha256})
    return writer.finish()


class _BatchLog:
    """Walks the robots and keeps what each of them saw, did and measured."""

    def __init__(self, walk: BatchWalk, settings: BatchCollectSettings, ingest: IngestSettings) -> None:
        self._walk, self._settings, self._ingest = walk, settings, ingest
        self.rows = EpisodeRows()
        self._sensed = SensedLog(walk.twins.robot, walk.twins.count)
        self._timelines: dict[int, StateTimeline] = {}

    def walk(self, steps: int, progress: Optional[Callable[[int, int], None]]) -> None:
        """At least `steps` policy steps, all robots together."""
        walk, sensed, count = self._walk, self._sensed, self._walk.twins.count
        share = -(-steps // count)
        longest = max(1, round(self._settings.episode_s * walk.graph.contract.control_hz))
        episodes = np.zeros(count, dtype=np.int64)
        sensed.begin(np.arange(count), walk.states)
        for index in range(share):
            began_ns = sensed.now_ns.copy()
            walked = walk.step(sensed.tick)
            self.rows.add(walked, began_ns)
            last = index + 1 == share
            rows = np.flatnonzero(walked.fell | (walk.episode_step >= longest) | last)
            if len(rows):
                self.rows.close(rows, walk.signals(), walked, sensed.now_ns)
                episodes[rows] += 1
                if not last:
                    _restart(walk, rows, episodes)
                    sensed.begin(rows, walk.states)
            if progress is not None:
                progress((index + 1) * count, share * count)

    def velocity(self, episode: EpisodeRecord) -> KnownVelocity:
        """Of an episode's rows, by the estimator or, if that was asked for, the truth."""
        if self._settings.velocity == "true":
            truth = episode.columns["velocity_trunk_in_trunk"]
            return KnownVelocity(truth, np.ones(len(truth)))
        if episode.robot not in self._timelines:
            self._timelines[episode.robot] = self._sensed.timeline(episode.robot, self._ingest.velocity)
        return KnownVelocity(*self._timelines[episode.robot].velocity(episode.stamps_ns))


def _restart(walk: BatchWalk, rows: np.ndarray, episodes: np.ndarray) -> None:
    """Begin the next episode of each of these robots; episodes of one number begin together."""
    for episode in np.unique(episodes[rows]).tolist():
        walk.restart(rows[episodes[rows] == episode], episode)
