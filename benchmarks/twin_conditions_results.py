"""The results that `benchmarks.twin_conditions` has left in a folder, read and held together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from benchmarks.twin_conditions_settings import CONDITIONS, OFFLINE_STAGES, ONLINE_STAGES, STAGES
from robot_configs.errors import Go1Error


class ConditionReportError(Go1Error):
    """Results that no table can be made of."""


@dataclass(frozen=True, eq=False)
class StageResult:
    """One stage of one condition and seed.

    Attributes:
        seed: None of bundles that were given, which have none of their own.
        settings: all that it was made with. code_version: that made it.
        bundle_sha256: what was measured.
        returns: (E,) of the episodes. seeds, grounds: (E,) of them.
        interval: of the mean return, 95 %.
        held_out_return: by which an oracle is chosen; None of others.
        bundle: file of what was measured, below the condition and seed.
        logged_steps: policy steps that had been logged for it.
        forward_m_s: (U,) speed of each robot that walked to the end under a steady command; None where not measured.
        forward_falls: robots that did not.
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
    bundle: str
    logged_steps: int
    forward_m_s: Optional[np.ndarray]
    forward_falls: int

    @property
    def family(self) -> str:
        """The stage without its number."""
        return split_name(self.stage)[0]

    @property
    def number(self) -> int:
        """Of the round or look; 0 where there is only one."""
        return split_name(self.stage)[1]


def split_name(stage: str) -> tuple[str, int]:
    """`refined2` is (refined, 2), `oracle` is (oracle, 0)."""
    family, number = re.fullmatch(r"(.*?)(\d*)", stage).groups()  # type: ignore[union-attr]
    return family, int(number or 0)


@dataclass(frozen=True)
class ConditionResults:
    """All results below a folder, by condition."""

    stages: tuple[StageResult, ...]

    @property
    def conditions(self) -> tuple[str, ...]:
        """Those measured: the benchmark's own in its order, then others."""
        found = {result.condition for result in self.stages}
        return (*(name for name in CONDITIONS if name in found), *sorted(found - set(CONDITIONS)))

    @property
    def names(self) -> tuple[str, ...]:
        """Stages measured, in their order."""
        found = {(STAGES.index(one.family), one.number): one.stage for one in self.stages}
        return tuple(found[key] for key in sorted(found))

    def numbered(self, family: str) -> tuple[str, ...]:
        """Names of a family's rounds or looks, in order."""
        return tuple(name for name in self.names if split_name(name)[0] == family)

    @property
    def compared(self) -> tuple[str, ...]:
        """The learned stages whose shares of the gap are told: every round, and online learning's last look."""
        rounds = [name for family in OFFLINE_STAGES for name in self.numbered(family)]
        return (*rounds, *(name for family in ONLINE_STAGES for name in self.numbered(family)[-1:]))

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
    unknown = sorted({one.stage for one in stages if one.family not in STAGES})
    if unknown:
        raise ConditionReportError(f"the stages {', '.join(STAGES)}", ", ".join(unknown), f"Move them out of {folder}.")
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
        bundle=record["bundle"],
        logged_steps=record.get("logged_steps", 0),
        forward_m_s=np.array(record["steady"]["forward_m_s"]) if "steady" in record else None,
        forward_falls=record["steady"]["falls"] if "steady" in record else 0,
    )


def _require_one(what: str, folder: Path, values: Iterable[Any]) -> None:
    different = {json.dumps(value, sort_keys=True) for value in values}
    if len(different) > 1:
        raise ConditionReportError(
            f"one {what} below {folder}", f"{len(different)}", "Give runs of different settings folders of their own."
        )


def _require_chain(results: ConditionResults, one: StageResult, folder: Path) -> None:
    """Each round starts from the round before as it is there, online from the last one, others as they are given."""
    if one.settings["start_sha256"] != _start_of(results, one):
        raise ConditionReportError(
            f"{one.condition} seed {one.seed} {one.stage} made from the stage before it below {folder}",
            "made from another policy",
            "Remove it and run the stage again.",
        )


def _start_of(results: ConditionResults, one: StageResult) -> Optional[str]:
    """Hash of the bundle that a stage has to start from; None where that is not there."""
    if one.family == "robust":
        return one.bundle_sha256
    if one.family in ONLINE_STAGES:
        before = results.numbered(ONLINE_STAGES[one.family])[-1:]
    else:
        before = (f"{one.family}{one.number - 1}",) if one.number > 1 else ()
        if not before:
            pretrained: str = one.settings["pretrained_sha256"]
            return pretrained
    found = results.of(one.condition, before[0]).get(one.seed) if before else None
    return found.bundle_sha256 if found is not None else None
