"""Writes datasets: episodes are checked as they come, and the folder appears complete or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offline_data.dataset import (
    FORMAT_VERSION,
    MANIFEST,
    Dataset,
    DatasetError,
    Episode,
    QuarantinedEpisode,
    column_path,
    content_sha256,
    dataset_columns,
    file_sha256,
)
from offline_data.log_schema import Ending
from policy.contract import PolicyContract


@dataclass(frozen=True)
class DatasetHeader:
    """What a dataset is about, known before the first row."""

    contract: PolicyContract
    robot_sha256: str
    reward_terms: tuple[str, ...]
    reward_weights: Mapping[str, float]
    provenance: Mapping[str, Any]
    """How the rows were made: importer, estimator settings, what was masked and why. JSON values, no clock times."""


class DatasetWriter:
    """Collects episodes and writes the folder in one go: it appears complete or not at all."""

    def __init__(self, path: Path, header: DatasetHeader) -> None:
        if path.exists():
            raise DatasetError(
                f"no dataset at {path}", "one", "Choose another name, or remove the old one: datasets are not edited."
            )
        self.path = path
        self.header = header
        self.episodes: list[Episode] = []
        self.quarantined: list[QuarantinedEpisode] = []
        self._specification = dataset_columns(header.contract, header.reward_terms)
        self._parts: dict[str, list[np.ndarray]] = {}
        self._bundles: set[str] = set()
        self._rows = 0

    def append(self, columns: Mapping[str, np.ndarray], ending: Ending, source: str, bundles: set[str]) -> None:
        """Adds one episode.

        Args:
            columns: arrays of n >= 2 equally many rows, the last one final; without `episode`, `final`, `terminated`
                and `truncated`, which follow from the ending.
            ending: anything but NONE.
            source: file the episode came from.
            bundles: hex digests of the bundles that acted.
        """
        if ending is Ending.NONE:
            raise DatasetError("an episode that ended", "Ending.NONE", "Cut it, and say why it was cut.")
        rows = len(columns["action"])
        if rows < 2:
            raise DatasetError("an episode of at least one step and its final row", f"{rows} rows", "Leave it out.")
        last_step = np.arange(rows) == rows - 2
        complete = dict(columns)
        complete["episode"] = np.full(rows, len(self.episodes))
        complete["final"] = np.arange(rows) == rows - 1
        complete["terminated"] = last_step & (ending is Ending.TERMINATED)
        complete["truncated"] = last_step & (ending is not Ending.TERMINATED)
        complete["valid"] = np.asarray(complete["valid"], dtype=bool) & ~complete["final"]
        self._check(complete, rows, source)
        for name, values in complete.items():
            self._parts.setdefault(name, []).append(np.ascontiguousarray(values, self._specification[name].dtype))
        self.episodes.append(Episode(self._rows, self._rows + rows, ending.name.lower(), source))
        self._bundles |= bundles
        self._rows += rows

    def quarantine(self, episode: QuarantinedEpisode) -> None:
        """Names an episode that is left out, with its reasons."""
        if not episode.reasons:
            raise DatasetError("a reason for the quarantine", "none", "Append the episode, or say what is wrong.")
        self.quarantined.append(episode)

    def _check(self, columns: Mapping[str, np.ndarray], rows: int, source: str) -> None:
        """Names, shapes and finiteness; every episode of a dataset has the same columns."""
        required = {name for name, column in self._specification.items() if column.required}
        expected = set(self._parts) if self._parts else required | (set(columns) & set(self._specification))
        if set(columns) != expected:
            raise DatasetError(
                f"the columns {sorted(expected)} in {source}",
                f"missing {sorted(expected - set(columns))}, unknown {sorted(set(columns) - expected)}",
                "Every episode of a dataset has the same columns; import the sources into separate datasets.",
            )
        for name, values in columns.items():
            width = self._specification[name].width
            shape = (rows, width) if width else (rows,)
            if np.shape(values) != shape:
                raise DatasetError(f"{name} of shape {shape}", f"{np.shape(values)} in {source}", "Mend the importer.")
            if not np.isfinite(values).all():
                where = int(np.nonzero(~np.isfinite(values).reshape(rows, -1).all(axis=1))[0][0])
                raise DatasetError(
                    f"finite values in {name}",
                    f"NaN or infinity in row {where}, {source}",
                    "Cut the episode before.",
                )

    def finish(self) -> Dataset:
        """Writes the folder and opens it.

        Raises:
            DatasetError: no episode was appended; of those in quarantine the first is named.
        """
        if self.quarantined and not self.episodes:
            raise DatasetError(
                "an episode that may be learnt from",
                f"{len(self.quarantined)} in quarantine, the first of them {self.quarantined[0]}",
                "Mend what the reason names and log again; the logs are left as they were.",
            )
        if not self.episodes:
            raise DatasetError("at least one episode", "none", "See the report on the files that were read.")
        partial = self.path.with_name(self.path.name + ".partial")
        if partial.exists():  # left by a run that was killed
            shutil.rmtree(partial)
        (partial / "columns").mkdir(parents=True)
        hashes: dict[str, dict[str, Any]] = {}
        for name, parts in self._parts.items():
            values = np.concatenate(parts)
            np.save(column_path(partial, name), values)
            hashes[name] = {
                "dtype": values.dtype.str,
                "shape": list(values.shape),
                "sha256": file_sha256(column_path(partial, name)),
            }
        manifest = {
            "format_version": FORMAT_VERSION,
            "contract": json.loads(self.header.contract.to_json()),
            "bundles": sorted(self._bundles),
            "robot_sha256": self.header.robot_sha256,
            "reward_terms": list(self.header.reward_terms),
            "reward_weights": dict(self.header.reward_weights),
            "provenance": dict(self.header.provenance),
            "episodes": [asdict(episode) for episode in self.episodes],
            "columns": hashes,
        }
        if self.quarantined:
            manifest["quarantined"] = [asdict(episode) for episode in self.quarantined]
        manifest["content_sha256"] = content_sha256(manifest)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
        partial.rename(self.path)
        return Dataset.open(self.path, verify=False)
