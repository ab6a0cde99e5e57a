"""Where the benchmark's results lie: one JSON file a trial, written whole as it comes, skipped when it is there.

<out>/<part>/<robot>_<set>/seed_<n>/<method>_<key>.json            figures with code, data hash, settings, seed
                                    <method>_<key>.safetensors     the learned networks, where there are any
                                    <method>_<key>.state.*         of a training that is under way, to go on from

The key is that of everything that the trial is made from, so that results of other data or settings never replace each
other: they lie side by side, and the report says which are which.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.provenance import code_that_computes, versions
from benchmarks.uni_o4.robots import BenchmarkError
from policy.code_version import code_version
from policy.whole_files import write_whole

KEY_DIGITS = 10  # of a file's name; the whole key is inside


@dataclass(frozen=True)
class Trial:
    """One thing to measure: part of the benchmark, data, learner's seed, method, and all its settings.

    Attributes:
        code: what computes it, of `provenance.CODE`.
    """

    part: str
    robot: str
    data_set: str
    seed: int
    method: str
    settings: Mapping[str, Any]
    code: str

    def key(self, data_sha256: str) -> str:
        """What a result must have been made from to stand for this trial."""
        names = (self.part, self.robot, self.data_set, self.seed, self.method, data_sha256)
        return hashlib.sha256(to_json([names, self.settings]).encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.part} {self.robot} {self.data_set} seed {self.seed} {self.method}"


def to_json(value: Any, indent: int | None = None) -> str:
    """JSON with sorted keys in which a NumPy number is a number.

    Raises:
        TypeError: a value is none that JSON has; it is not turned into text.
    """
    return json.dumps(value, indent=indent, sort_keys=True, default=_number_of_numpy)


def _number_of_numpy(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} {value!r} is no JSON value")


class ResultStore:
    """Results under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, trial: Trial, data_sha256: str, suffix: str = ".json") -> Path:
        """Where a trial's file lies."""
        folder = self.root / trial.part / f"{trial.robot}_{trial.data_set}" / f"seed_{trial.seed}"
        return folder / f"{trial.method}_{trial.key(data_sha256)[:KEY_DIGITS]}{suffix}"

    def find(self, trial: Trial, data_sha256: str) -> dict[str, Any] | None:
        """The trial's result, made from these data and settings; None where there is none."""
        path = self.path(trial, data_sha256)
        if not path.exists():
            return None
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return record if record.get("key") == trial.key(data_sha256) else None

    def write(self, trial: Trial, data: DataSet, figures: Mapping[str, Any]) -> None:
        """Write a result; what its training kept to go on from is no longer needed."""
        record = {
            "key": trial.key(data.sha256),
            "part": trial.part,
            "robot": trial.robot,
            "set": trial.data_set,
            "seed": trial.seed,
            "method": trial.method,
            "code": code_that_computes(trial.code),
            "code_version": code_version(),
            "versions": versions(),
            "data": {
                "source": data.source,
                "sha256": data.sha256,
                "steps": len(data.steps),
                "behavior_score": data.mean_score(),
            },
            "settings": trial.settings,
            **figures,
        }
        path = self.path(trial, data.sha256)
        write_whole(path, to_json(record, indent=1))
        for state in path.parent.glob(f"{path.stem}.state.*"):
            state.unlink()

    def read(self, part: str) -> list[dict[str, Any]]:
        """Every result of a part, in the order of their paths.

        Raises:
            BenchmarkError: a file is no result.
        """
        records = []
        for path in sorted((self.root / part).rglob("*.json")):
            record = json.loads(path.read_text(encoding="utf-8"))
            if "key" not in record:
                raise BenchmarkError(f"a result in {path}", "no key", "Move other files out of the results' folder.")
            records.append(record)
        return records


@dataclass(frozen=True)
class Spent:
    """Wall and processor seconds."""

    wall_s: float = 0.0
    processor_s: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall_s + other.wall_s, self.processor_s + other.processor_s)


class Stopwatch:
    """Seconds of this process, without those spent looking at the policy on the way, with those of sessions before."""

    def __init__(self, before: Spent = Spent()) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()
        self.add(before)

    def add(self, spent: Spent) -> None:
        """Time that passed elsewhere: in a session before, or when something was made that is used again."""
        self._wall -= spent.wall_s
        self._processor -= spent.processor_s

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside does not count."""
        wall, processor = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self._wall += time.perf_counter() - wall
            self._processor += time.process_time() - processor

    def spent(self) -> Spent:
        """Seconds so far."""
        return Spent(time.perf_counter() - self._wall, time.process_time() - self._processor)
