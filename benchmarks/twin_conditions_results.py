"""The results that `benchmarks.twin_conditions` has left in a folder, read and held together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from robot_configs.errors import Go1Error


class ConditionReportError(Go1Error):
    """Results that no table can be made of."""


@dataclass(frozen=True, eq=False)
class StageResult:
    """One stage of one condition and seed.

    Attributes:
        seed: None of the pretrained policy, which has none of its own.
        settings: all that it was made with. code_version: that made it.
        bundle_sha256: what was measured.
        returns: (E,) of the episodes. seeds, grounds: (E,) of them.
        interval: of the mean return, 95 %.
        held_out_return: by which an oracle is chosen; None of others.
    """

    condition: str
    seed: Optional[int]
    stage: str
    settings: dict[str, Any]
    code_version: str
    bundle_sha256: str
    returns: np.ndarray
    episode_seeds: tuple[int, ...]
    grounds: np.ndarray
    interval: tuple[float, float]
    linear_error_m_s: float
    falls: int
    held_out_return: Optional[float]


@dataclass(frozen=True)
class ConditionResults:
    """All results below a folder, by condition."""

    stages: tuple[StageResult, ...]

    @property
    def conditions(self) -> tuple[str, ...]:
        return tuple(sorted({result.condition for result in self.stages}))

    @property
    def rounds(self) -> tuple[str, ...]:
        """Names of the stages of refinement, in order."""
        found = {result.stage for result in self.stages if result.stage.startswith("refined")}
        return tuple(sorted(found, key=lambda stage: int(stage[len("refined") :])))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({result.seed for result in self.stages if result.seed is not None}))

    def of(self, condition: str, stage: str) -> dict[Optional[int], StageResult]:
        """Results of a stage in a condition by seed."""
        return {one.seed: one for one in self.stages if (one.condition, one.stage) == (condition, stage)}

    def best_oracle(self, condition: str) -> Optional[StageResult]:
        """The one that walked best on the held-out episodes; None where there is none."""
        oracles = [one for one in self.of(condition, "oracle").values() if one.held_out_return is not None]
        return max(oracles, key=lambda one: one.held_out_return or -np.inf, default=None)


def read_results(folder: Path) -> ConditionResults:
    """Everything below `folder`.

    Raises:
        ConditionReportError: no results, or such as do not belong together: of other pretrained bundles, episodes,
            conditions' contents or stages' settings, or refined from another policy than the one that is there.
    """
    files = sorted({*folder.glob("*/*.json"), *folder.glob("*/seed*/*.json")})
    records = [json.loads(file.read_text()) for file in files]
    stages = tuple(_stage(record) for record in records if isinstance(record, dict) and "evaluation" in record)
    if not stages:
        raise ConditionReportError(f"results below {folder}", "none", "Run the benchmark into it first.")
    _require_one("pretrained bundle", folder, (one.settings["pretrained_sha256"] for one in stages))
    _require_one("set of episodes", folder, (one.settings["evaluation"] for one in stages))
    _require_one("set of episodes", folder, (one.episode_seeds for one in stages))
    for condition in {one.condition for one in stages}:
        here = [one for one in stages if one.condition == condition]
        _require_one(f"content of {condition}", folder, (one.settings["condition"] for one in here))
        _require_one(f"division of {condition} into grounds", folder, (one.grounds.tolist() for one in here))
    for stage in {one.stage for one in stages}:
        _require_one(f"kind of {stage}", folder, (one.settings["stage"] for one in stages if one.stage == stage))
    results = ConditionResults(stages)
    for one in stages:
        _require_chain(results, one, folder)
    return results


def _stage(record: dict[str, Any]) -> StageResult:
    evaluation = record["evaluation"]
    walks = evaluation["per_episode"]
    return StageResult(
        condition=record["condition"],
        seed=record["seed"],
        stage=record["stage"],
        settings=record["settings"],
        code_version=record["code_version"],
        bundle_sha256=evaluation["bundle_sha256"],
        returns=np.array([walk["episode_return"] for walk in walks]),
        episode_seeds=tuple(walk["seed"] for walk in walks),
        grounds=np.array(evaluation["grounds"]),
        interval=tuple(evaluation["return_ci95"]),
        linear_error_m_s=evaluation["velocity_error"]["linear_m_s"],
        falls=evaluation["falls"],
        held_out_return=record.get("held_out_return"),
    )


def _require_one(what: str, folder: Path, values: Iterable[Any]) -> None:
    different = {json.dumps(value, sort_keys=True) for value in values}
    if len(different) > 1:
        raise ConditionReportError(
            f"one {what} below {folder}", f"{len(different)}", "Give runs of different settings folders of their own."
        )


def _require_chain(results: ConditionResults, one: StageResult, folder: Path) -> None:
    """Each round starts from the round before as it is there, all else from the pretrained bundle."""
    start = one.settings["pretrained_sha256"]
    number = int(one.stage[len("refined") :]) if one.stage.startswith("refined") else 1
    if number > 1:
        before = results.of(one.condition, f"refined{number - 1}").get(one.seed)
        start = before.bundle_sha256 if before is not None else None
    if one.settings["start_sha256"] != start:
        raise ConditionReportError(
            f"{one.condition} seed {one.seed} {one.stage} made from the stage before it below {folder}",
            "made from another policy",
            "Remove it and run the stage again.",
        )
