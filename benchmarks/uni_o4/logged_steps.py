"""A data set in memory and in D4RL's HDF5 layout, ours and the published files alike.

observations, next_observations (N, O)   actions (N, A)   rewards (N,)   terminals, timeouts (N,) bool
infos/action_log_probs (N,), where the file has them; attributes of the file: who made it, and how
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from benchmarks.uni_o4.robots import BenchmarkError, BenchmarkRobot
from policy.whole_files import whole_file

REQUIRED = ("observations", "next_observations", "actions", "rewards", "terminals", "timeouts")
LOG_PROBABILITIES = "infos/action_log_probs"


@dataclass(frozen=True, eq=False)
class LoggedSteps:
    """N steps in logged order, episodes contiguous; float32 but for the flags.

    Attributes:
        observations, next_observations: (N, O), raw, as the environment gave them; the next ones across no reset.
        actions: (N, A), as executed, within +-1. rewards: (N,).
        terminals: (N,) bool, the task ended the episode. timeouts: (N,) bool, the clock or the recording did.
        log_probabilities: (N,) of the action under the policy that took it [nat]; NaN where unknown.
    """

    observations: np.ndarray
    next_observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminals: np.ndarray
    timeouts: np.ndarray
    log_probabilities: np.ndarray

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def ends(self) -> np.ndarray:
        """(N,) bool: the next row does not continue this one; always so in the last."""
        ends = self.terminals | self.timeouts
        ends[-1:] = True
        return ends

    @property
    def first_rows(self) -> np.ndarray:
        """Row of each episode's first step (E,)."""
        return np.flatnonzero(np.append(True, self.ends[:-1]))

    def episode_returns(self) -> np.ndarray:
        """Undiscounted return of every episode (E,), one that was cut short included."""
        return np.add.reduceat(self.rewards.astype(np.float64), self.first_rows)

    def episode_lengths(self) -> np.ndarray:
        """Steps of every episode (E,)."""
        return np.diff(np.append(self.first_rows, len(self)))

    def sha256(self) -> str:
        """Hash over every value."""
        digest = hashlib.sha256()
        for name, column in _columns(self).items():
            digest.update(f"{name}{column.shape}{column.dtype}".encode())
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


def concatenate(parts: Sequence[LoggedSteps]) -> LoggedSteps:
    """Several sets one after the other; the last row of each closes an episode."""
    closed = []
    for part in parts:
        timeouts = part.timeouts | (part.ends & ~part.terminals)
        closed.append({**_fields(part), "timeouts": timeouts})
    return LoggedSteps(**{name: np.concatenate([part[name] for part in closed]) for name in closed[0]})


def write_hdf5(path: Path, steps: LoggedSteps, attributes: Mapping[str, str]) -> None:
    """Write atomically, compressed."""
    with whole_file(path) as partial, h5py.File(partial, "w") as file:
        for name, column in _columns(steps).items():
            file.create_dataset(name, data=column, compression="gzip", compression_opts=4)
        file.attrs.update(attributes)


def read_hdf5(path: Path, robot: BenchmarkRobot) -> LoggedSteps:
    """Read a file of ours or of D4RL.

    Raises:
        BenchmarkError: the file cannot be read, lacks a column, or its columns do not belong to this robot.
    """
    try:
        with h5py.File(path, "r") as file:
            missing = [name for name in REQUIRED if name not in file]
            if missing:
                raise BenchmarkError(
                    f"the columns {', '.join(REQUIRED)} in {path}",
                    f"no {', '.join(missing)}",
                    "Use a file of version 2 of D4RL's locomotion data, or one that this benchmark made.",
                )
            columns = {name: np.asarray(file[name]) for name in REQUIRED}
            known = np.asarray(file[LOG_PROBABILITIES]) if LOG_PROBABILITIES in file else None
    except OSError as error:
        raise BenchmarkError(f"an HDF5 file at {path}", str(error), "Check the path, or copy the file anew.") from None
    terminals = columns["terminals"].astype(bool).reshape(-1)
    unknown = np.full(len(terminals), np.nan)
    steps = LoggedSteps(
        columns["observations"].astype(np.float32),
        columns["next_observations"].astype(np.float32),
        columns["actions"].astype(np.float32),
        columns["rewards"].astype(np.float32).reshape(-1),
        terminals,
        columns["timeouts"].astype(bool).reshape(-1) & ~terminals,
        (unknown if known is None else known).astype(np.float32).reshape(-1),
    )
    _check(steps, path, robot)
    return steps


def _check(steps: LoggedSteps, path: Path, robot: BenchmarkRobot) -> None:
    rows = len(steps)
    expected = {
        "observations": (rows, robot.observation_dim),
        "next_observations": (rows, robot.observation_dim),
        "actions": (rows, robot.action_dim),
        "terminals": (rows,),
        "timeouts": (rows,),
    }
    found = {name: getattr(steps, name).shape for name in expected}
    if found != expected or rows == 0:
        raise BenchmarkError(f"{expected} in {path}", f"{found}", f"Use a file of {robot.name}.")
    numbers = (steps.observations, steps.next_observations, steps.actions, steps.rewards)
    if not all(np.isfinite(column).all() for column in numbers):
        raise BenchmarkError(f"finite numbers in {path}", "NaN or infinity", "Make or copy the file anew.")


def _fields(steps: LoggedSteps) -> dict[str, np.ndarray]:
    return {
        "observations": steps.observations,
        "next_observations": steps.next_observations,
        "actions": steps.actions,
        "rewards": steps.rewards,
        "terminals": steps.terminals,
        "timeouts": steps.timeouts,
        "log_probabilities": steps.log_probabilities,
    }


def _columns(steps: LoggedSteps) -> dict[str, np.ndarray]:
    """By their names in the file."""
    columns = _fields(steps)
    columns[LOG_PROBABILITIES] = columns.pop("log_probabilities")
    return columns
