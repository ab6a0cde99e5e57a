"""Where the benchmark's results lie: one JSON file a trial, written whole as it comes, skipped when it is there.

<out>/<part>/<robot>_<set>/seed_<n>/<method>.json     figures with code version, data hash, settings, seed
                                    <method>.safetensors     the learned networks, where there are any
    <out>/<part>/<robot>_<set>/seed_<n>/<method>.state.*    of an online run, to go on from
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.robots import BenchmarkError
from policy.code_version import code_version


@dataclass(frozen=True)
class Trial:
    """One thing to measure: part of the benchmark, data, learner's seed, method, and all its settings."""

    part: str
    robot: str
    data_set: str
    seed: int
    method: str
    settings: Mapping[str, Any]

    def key(self, data_sha256: str) -> str:
        """What a result must have been made from to stand for this trial."""
        names = (self.part, self.robot, self.data_set, self.seed, self.method, data_sha256)
        text = json.dumps([names, self.settings], sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


class ResultStore:
    """Results under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, trial: Trial, suffix: str = ".json") -> Path:
        """Where a trial's file lies."""
        folder = self.root / trial.part / f"{trial.robot}_{trial.data_set}" / f"seed_{trial.seed}"
        return folder / f"{trial.method}{suffix}"

    def has(self, trial: Trial, data_sha256: str) -> bool:
        """Whether the trial was made, from these data and settings."""
        path = self.path(trial)
        return path.exists() and json.loads(path.read_text(encoding="utf-8")).get("key") == trial.key(data_sha256)

    def write(self, trial: Trial, data: DataSet, data_sha256: str, figures: Mapping[str, Any]) -> None:
        """Write a result atomically."""
        record = {
            "key": trial.key(data_sha256),
            "part": trial.part,
            "robot": trial.robot,
            "set": trial.data_set,
            "seed": trial.seed,
            "method": trial.method,
            "code_version": code_version(),
            "data": {
                "source": data.source,
                "sha256": data_sha256,
                "steps": len(data.steps),
                "behavior_score": data.mean_score(),
            },
            "settings": trial.settings,
            **figures,
        }
        path = self.path(trial)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(record, indent=1, default=str), encoding="utf-8")
        os.replace(partial, path)

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


class Stopwatch:
    """Wall and processor seconds of this process, without those spent looking at the policy on the way."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside does not count."""
        wall, processor = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self._wall += time.perf_counter() - wall
            self._processor += time.process_time() - processor

    def record(self) -> dict[str, float]:
        """Seconds so far."""
        return {"wall_s": time.perf_counter() - self._wall, "processor_s": time.process_time() - self._processor}
