"""A dataset: a folder with `dataset.json` and one memory-mapped array per column, sealed by hashes.

One row is one policy step: what the policy saw, what it did, and what came of it. Every episode closes with one extra
row, `final`, that holds the signals after the last action and no action. A transition is a pair of rows (i, i + 1) of
which row i is not final; the flags, the reward and `valid` of a row belong to the transition that starts in it.

    row        s0 s1 s2 s3 s4 | s0 s1 s2
    final       .  .  .  .  x |  .  .  x
    terminated  .  .  .  x  . |  .  .  .      s4 of the first episode is a terminal state: the value after it is zero
    truncated   .  .  .  .  . |  .  x  .      the second was cut: the value after it is that of its s2

`truncated` marks every end that is not terminal; the episode table keeps apart the planned time, an intervention and
the end of the recording (`Ending`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from policy.contract import PolicyContract
from robot_configs.errors import Go1Error
from robot_configs.robot import canonical_json

FORMAT_VERSION = 1
MANIFEST = "dataset.json"


class DatasetError(Go1Error):
    """A dataset that cannot be written or read."""


@dataclass(frozen=True)
class Column:
    """One array of a dataset: N rows of `width` values (a flat array where the width is 0)."""

    name: str
    dtype: str
    width: int
    required: bool = True
    """False for what some sources do not know; such a column is absent rather than invented."""


def dataset_columns(contract: PolicyContract, reward_terms: tuple[str, ...]) -> dict[str, Column]:
    """Every column that a dataset under this contract may have. Joints in wire order, frames in the names, SI units."""
    columns = (
        Column("episode", "<i4", 0),
        Column("final", "|b1", 0),
        Column("terminated", "|b1", 0),
        Column("truncated", "|b1", 0),
        Column("valid", "|b1", 0),  # False: masked; nothing in this transition may be learnt from
        Column("orientation_trunk_in_world", "<f4", 4),  # w x y z
        Column("angular_velocity_trunk_in_trunk", "<f4", 3),
        Column("joint_position", "<f4", 12),
        Column("joint_velocity", "<f4", 12),
        Column("command", "<f4", contract.command_dim),
        Column("projected_gravity_in_trunk", "<f4", 3),
        Column("velocity_trunk_in_trunk", "<f4", 3),  # estimated or tracked, see `provenance`
        Column("velocity_confidence", "<f4", 0),  # 0 to 1
        Column("action", "<f4", 12),  # policy units and policy joint order, as are the next three
        Column("noise", "<f4", 12, required=False),
        Column("action_mean", "<f4", 12, required=False),
        Column("action_std", "<f4", 12, required=False),
        Column("log_prob", "<f4", 0, required=False),
        Column("joint_target", "<f4", 12),
        Column("joint_torque", "<f4", 12),  # mean over the step, the motors' estimate
        Column("foot_force", "<f4", 4, required=False),  # mean over the step, raw counts
        Column("reward", "<f4", 0),
        Column("reward_terms", "<f4", len(reward_terms)),  # weighted, they add up to `reward`
        Column(
            "observation", "<f4", contract.observation_dim, required=False
        ),  # only where signals do not determine it
    )
    return {column.name: column for column in columns}


@dataclass(frozen=True)
class Episode:
    """Rows `start` to `stop` (exclusive, the final row included), why they end, and the file they came from."""

    start: int
    stop: int
    ending: str
    """Name of an `Ending` in lower case."""
    source: str


@dataclass(frozen=True)
class QuarantinedEpisode:
    """An episode of a log whose rows are not in the dataset, for it must not be learnt from; the log itself stays."""

    source: str
    """File it is in."""
    episode: int
    """Its number in that file."""
    steps: int
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.source}, episode {self.episode} ({self.steps} steps): {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class DatasetInfo:
    """Counts of a dataset; the four endings count episodes, `masked` counts transitions."""

    episodes: int
    steps: int
    """Transitions: rows that are not final."""
    terminated: int
    truncated: int
    intervention: int
    stopped: int
    masked: int
    quarantined: int
    """Episodes that are named but not in it (`Dataset.quarantined`)."""

    def to_dict(self) -> dict[str, int]:
        """JSON form, as `go1 data info --json` prints it."""
        return asdict(self)


class Dataset:
    """A read-only view of a dataset folder; columns are memory-mapped and read by name: `dataset["action"]`."""

    def __init__(self, path: Path, manifest: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> None:
        self.path = path
        self.contract = PolicyContract.from_json(canonical_json(manifest["contract"]))
        self.bundles: tuple[str, ...] = tuple(manifest["bundles"])
        self.robot_sha256: str = manifest["robot_sha256"]
        self.reward_terms: tuple[str, ...] = tuple(manifest["reward_terms"])
        self.reward_weights: dict[str, float] = dict(manifest["reward_weights"])
        self.provenance: dict[str, Any] = dict(manifest["provenance"])
        self.episodes: tuple[Episode, ...] = tuple(Episode(**episode) for episode in manifest["episodes"])
        # Absent where nothing is in quarantine, and from datasets that were made before there was one.
        self.quarantined = tuple(
            QuarantinedEpisode(**{**episode, "reasons": tuple(episode["reasons"])})
            for episode in manifest.get("quarantined", ())
        )
        self.sha256: str = manifest["content_sha256"]
        self._columns = columns

    @staticmethod
    def open(path: Path, verify: bool = True) -> Dataset:
        """Opens and validates a dataset folder.

        Args:
            verify: also compare the hash of every column file; False skips reading the data.

        Raises:
            DatasetError: no dataset, another version, or a column that is missing, of another shape, or changed.
        """
        manifest = _read_manifest(path)
        columns = {name: _open_column(path, name, entry, verify) for name, entry in manifest["columns"].items()}
        dataset = Dataset(path, manifest, columns)
        specification = dataset_columns(dataset.contract, dataset.reward_terms)
        missing = [name for name, column in specification.items() if column.required and name not in columns]
        rows = {len(values) for values in columns.values()}
        if missing or rows != {dataset.episodes[-1].stop}:
            raise DatasetError(
                f"all required columns with {dataset.episodes[-1].stop} rows in {path}",
                f"missing {missing}, rows {sorted(rows)}",
                "Ingest the logs again.",
            )
        return dataset

    def __getitem__(self, name: str) -> np.ndarray:
        """The column `name`, a read-only memory map."""
        if name not in self._columns:
            raise DatasetError(
                f"a column of {self.path.name}: {', '.join(sorted(self._columns))}",
                repr(name),
                "This source did not record it." if name in self._possible() else "Check the spelling.",
            )
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that this dataset has."""
        return tuple(self._columns)

    def __len__(self) -> int:
        """Rows, final ones included."""
        return self.episodes[-1].stop

    def _possible(self) -> dict[str, Column]:
        return dataset_columns(self.contract, self.reward_terms)

    def transitions(self) -> np.ndarray:
        """Rows (T,) int64 in which a transition starts that may be learnt from: neither final nor masked."""
        return np.nonzero(self["valid"] & ~self["final"])[0]

    def info(self) -> DatasetInfo:
        """Counts of episodes by ending, of steps and of masked steps."""
        endings = [episode.ending for episode in self.episodes]
        steps = int((~self["final"]).sum())
        return DatasetInfo(
            episodes=len(self.episodes),
            steps=steps,
            terminated=endings.count("terminated"),
            truncated=endings.count("truncated"),
            intervention=endings.count("intervention"),
            stopped=endings.count("stopped"),
            masked=steps - len(self.transitions()),
            quarantined=len(self.quarantined),
        )


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    if not file.is_file():
        raise DatasetError(f"a dataset folder with {MANIFEST}", f"none at {path}", "Make one with `go1 data ingest`.")
    try:
        manifest = json.loads(file.read_text())
    except ValueError as error:
        raise DatasetError(f"JSON in {file}", str(error), "Ingest the logs again.") from None
    if manifest.get("format_version") != FORMAT_VERSION:
        raise DatasetError(
            f"dataset format version {FORMAT_VERSION}", repr(manifest.get("format_version")), "Ingest the logs again."
        )
    if manifest.get("content_sha256") != content_sha256(manifest):
        raise DatasetError(
            f"{file} as it was written", "changed content (its hash differs)", "Ingest the logs again; never edit it."
        )
    return manifest


def _open_column(path: Path, name: str, entry: Mapping[str, Any], verify: bool) -> np.ndarray:
    file = column_path(path, name)
    if not file.is_file():
        raise DatasetError(f"the column file {file}", "none", "Copy the whole folder, or ingest the logs again.")
    if verify and file_sha256(file) != entry["sha256"]:
        raise DatasetError(f"{file} as it was written", "changed bytes", "Copy it anew, or ingest the logs again.")
    try:
        values = np.load(file, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise DatasetError(f"a NumPy array in {file}", str(error), "Copy it anew, or ingest the logs again.") from None
    if values.dtype.str != entry["dtype"] or list(values.shape) != entry["shape"]:
        raise DatasetError(
            f"{name} of type {entry['dtype']} and shape {entry['shape']}",
            f"{values.dtype.str} {list(values.shape)}",
            "Copy it anew, or ingest the logs again.",
        )
    return values


def column_path(folder: Path, name: str) -> Path:
    """File of a column."""
    return folder / "columns" / f"{name}.npy"


def content_sha256(manifest: Mapping[str, Any]) -> str:
    """Over everything that the manifest says, the columns' hashes included, and so over the whole dataset."""
    content = {name: value for name, value in manifest.items() if name != "content_sha256"}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
