"""Offline evaluation beside the truth: a row a data set and seed, and two targets, held by every data set's interval.

The rank correlation is resampled over policies and seeds. The share of truths that an interval holds has Wilson's
interval, over the policies of all seeds as if each were a piece of evidence of its own; those of one path through the
learned world resemble each other, so it is narrower than it should be.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.uni_o4.cells import header, hundredths, row, run_name, set_name, verdict_lines
from benchmarks.uni_o4.comparison import Record
from benchmarks.uni_o4.estimates import quantile, rank_correlation
from benchmarks.uni_o4.ope import JUDGED, RANKED, WITH_INTERVAL, held
from benchmarks.uni_o4.significance import CONFIDENCE, Measured, mean_figure, share

LEAST_RANK, LEAST_COVERAGE = 0.8, 0.8


def ope_table(records: Sequence[Record]) -> list[str]:
    """Rank correlation and coverage, a row a data set and seed; then the targets."""
    head = [*(f"rank: {name}" for name in RANKED), *(f"coverage: {name}" for name in WITH_INTERVAL)]
    lines = header(["data", "policies", "over-optimised", *head])
    for record in records:
        correlations = [f"{record['rank_correlation'][estimator]:.2f}" for estimator in RANKED]
        coverages = [
            f"{record['coverage'][name]:.2f} ({record['coverage_of_exact_truth'][name]:.2f})" for name in WITH_INTERVAL
        ]
        counted = [str(len(record["policies"])), str(over_optimised(record["policies"]))]
        lines.append(row([run_name(record), *counted, *correlations, *coverages]))
    ranks = [float(np.mean([record["rank_correlation"][name] for record in records])) for name in RANKED]
    covered = [float(np.mean([record["coverage"][name] for record in records])) for name in WITH_INTERVAL]
    lines.append(row(["mean", "", "", *map(hundredths, ranks), *map(hundredths, covered)]))
    return [
        *lines,
        "",
        "Over-optimised: policies on the path through the learned world whose true return is below that of "
        "an earlier one, of how many; in brackets, by more than the error of both truths. Coverage is of intervals "
        "widened by the error of the measured truth; in brackets, as if that were exact.",
        "",
        *_targets(records),
    ]


def _targets(records: Sequence[Record]) -> list[str]:
    percent = f"{100 * records[0]['confidence']:.0f} %"
    wanted: list[tuple[str, float, Callable[[Sequence[Record]], Measured]]] = [
        (f"Rank correlation of the {JUDGED} estimate with the truth", LEAST_RANK, _rank),
        (f"Share of truths that its {percent} interval holds", LEAST_COVERAGE, _coverage),
    ]
    by_set: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_set[set_name(record)].append(record)
    alone = ", by one seed" if any(len(seeds) < 2 for seeds in by_set.values()) else ""
    lines = []
    for what, least, measure in wanted:
        verdicts: dict[str, list[str]] = defaultdict(list)
        for name, seeds in by_set.items():
            figure = measure(seeds)
            verdicts[figure.verdict(least)].append(f"{name} {figure}")
        lines += verdict_lines(f"{what} (target: at least {least} on every data set)", verdicts, alone)
    return lines


def _rank(seeds: Sequence[Record]) -> Measured:
    pairs = [
        np.array([[policy["estimates"][JUDGED], policy["true_score"]] for policy in record["policies"]])
        for record in seeds
    ]
    return mean_figure(pairs, lambda rows: rank_correlation(rows[:, 0], rows[:, 1]))


def _coverage(seeds: Sequence[Record]) -> Measured:
    return share([bool(hit) for each in seeds for hit in held(each["policies"], JUDGED, each["confidence"])])


# ---- Over-optimised --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OverOptimised:
    """Of `path` policies in a row, how many are below an earlier one, and how many clearly."""

    path: int
    below: int
    clearly: int

    def __str__(self) -> str:
        return f"{self.below} of {self.path} ({self.clearly})"


def over_optimised(policies: Sequence[Mapping[str, Any]]) -> OverOptimised:
    """Counted on the path of the ensemble without a budget, each policy against the best before it."""
    path = [policy for policy in policies if policy["family"] == "ensemble"]
    below = clearly = 0
    for place, policy in enumerate(path[1:], start=1):
        best = max(path[:place], key=lambda each: each["true_return"])
        lost = best["true_return"] - policy["true_return"]
        error = np.hypot(best["true_return_error"], policy["true_return_error"])
        below += lost > 0.0
        clearly += lost > quantile(CONFIDENCE) * error
    return OverOptimised(len(path), below, clearly)
