"""Which results may stand in one table: those of one budget, made from the same data; the rest is listed beside."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.finetune import online_trial
from benchmarks.uni_o4.offline_trials import offline_trial
from benchmarks.uni_o4.ope import ope_trial
from benchmarks.uni_o4.results import ResultStore, to_json
from benchmarks.uni_o4.robots import BenchmarkError

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Results by part.

    Attributes:
        offline, ope, online: of the budget, from one version of each data set.
        others: of other settings, or online from other networks than the offline results here.
    """

    offline: Sequence[Record]
    ope: Sequence[Record]
    online: Sequence[Record]
    others: Sequence[Record]

    @property
    def compared(self) -> list[Record]:
        """All but the others."""
        return [*self.offline, *self.ope, *self.online]


def compare(store: ResultStore, budget: Budget) -> Comparison:
    """Sort what is there.

    Raises:
        BenchmarkError: a file is no result, or two results of this budget come from different data of one name.
    """
    others: list[Record] = []
    offline = _of_budget(store.read("offline"), budget, others, [])
    ope = _of_budget(store.read("ope"), budget, others, [])
    online = _of_budget(store.read("online"), budget, others, offline)
    comparison = Comparison(offline, ope, online, others)
    _require_one_version(comparison.compared)
    return comparison


def _of_budget(
    records: Sequence[Record], budget: Budget, others: list[Record], offline: Sequence[Record]
) -> list[Record]:
    kept = []
    for record in records:
        if settings_now(record, budget, offline) == record["settings"]:
            kept.append(record)
        else:
            others.append(record)
    return kept


def settings_now(record: Record, budget: Budget, offline: Sequence[Record]) -> dict[str, Any] | None:
    """What the record's settings would be by this budget, as JSON has them; None where there is no such trial.

    offline: results that online ones may have begun with.
    """
    wanted = _settings(record, budget, offline)
    return None if wanted is None else dict(json.loads(to_json(wanted)))


def _settings(record: Record, budget: Budget, offline: Sequence[Record]) -> Mapping[str, Any] | None:
    name = (record["robot"], record["set"], record["seed"])
    try:
        if record["part"] == "offline":
            return offline_trial(*name, record["method"], budget).settings
        if record["part"] == "ope":
            return ope_trial(*name, budget).settings
        start = [each for each in offline if _cell(each) == _cell(record) and _data(each) == _data(record)]
        return online_trial(*name, record["method"], budget, start[0] if start else None).settings
    except BenchmarkError:
        return None


def _cell(record: Record) -> tuple[Any, ...]:
    return record["robot"], record["set"], record["seed"], record["method"]


def _data(record: Record) -> str:
    return str(record["data"]["sha256"])


def _require_one_version(records: Sequence[Record]) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for record in records:
        found[f"{record['robot']} {record['set']}"].add(_data(record))
    mixed = {name: sorted(hashes) for name, hashes in found.items() if len(hashes) > 1}
    if mixed:
        raise BenchmarkError(
            "results from one version of each data set",
            "; ".join(f"{name} of SHA-256 {', '.join(each[:12] for each in hashes)}" for name, hashes in mixed.items()),
            "Move the results of all but one version (data.sha256 in each file) out of the folder.",
        )
