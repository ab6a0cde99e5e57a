"""The offline comparison: a row a data set, a column a method, and the two targets with their intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.uni_o4.cells import NAMES, header, is_short, method_name, row, run_name, set_name, verdict_lines
from benchmarks.uni_o4.comparison import Record
from benchmarks.uni_o4.offline_trials import OFFLINE_METHODS
from benchmarks.uni_o4.peers import PEER_METHODS
from benchmarks.uni_o4.significance import difference, ratio_to_best

LEAST_RATIO = 1.15

Cells = Mapping[str, Mapping[int, Record]]
"""Results by method and seed."""


def offline_table(records: Sequence[Record], others: Sequence[Record] = ()) -> list[str]:
    """Mean normalised score over seeds +- half their range (seeds), a row a data set; then means and the targets.

    others: results of other settings; those of peers with all of their papers' updates take part in the first target.
    """
    methods = [method for method in OFFLINE_METHODS if any(record["method"] == method for record in records)]
    by_set: dict[str, dict[str, dict[int, Record]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        by_set[set_name(record)][record["method"]][record["seed"]] = record
    lines = header(["data", "behaviour", *(method_name(records, method) for method in methods)])
    for name, cells in by_set.items():
        behavior = next(iter(next(iter(cells.values())).values()))["data"]["behavior_score"]
        scores = [_spread([each["score"] for each in cells[method].values()]) for method in methods]
        lines.append(row([name, f"{behavior:.1f}", *scores]))
    complete = {name: _common(cells, methods) for name, cells in by_set.items()}
    complete = {name: cells for name, cells in complete.items() if cells}
    means = [
        np.mean([np.mean(cells[method]) for cells in complete.values()]) if complete else None for method in methods
    ]
    lines.append(row(["mean of the rows that are whole", "", *map(_number, means)]))
    seconds = {method: [each["wall_s"] for each in records if each["method"] == method] for method in methods}
    lines.append(row(["minutes a run", "", *(f"{np.mean(seconds[method]) / 60:.1f}" for method in methods)]))
    return [*lines, "", *_unequal(by_set, methods), *_targets(by_set, others)]


def _common(cells: Cells, methods: Iterable[str]) -> dict[str, list[list[float]]]:
    """Episode scores by method of the seeds that every method has; nothing where one lacks them all."""
    methods = list(methods)
    seeds = sorted(set.intersection(*(set(cells.get(method, {})) for method in methods))) if methods else []
    return {method: [cells[method][seed]["episode_scores"] for seed in seeds] for method in methods} if seeds else {}


def _unequal(by_set: Mapping[str, Cells], methods: Sequence[str]) -> list[str]:
    counts = {len(cells.get(method, {})) for cells in by_set.values() for method in methods}
    lines = []
    if len(counts) > 1:
        lines.append(
            f"- Between {min(counts)} and {max(counts)} seeds a cell (in brackets): means and targets take "
            "of each row the seeds that all methods in question have."
        )
    if min(counts) <= 1:
        lines.append("- Where there is one seed, no interval holds the luck of training: it is wider than it says.")
    return lines


def _targets(by_set: Mapping[str, Cells], others: Sequence[Record]) -> list[str]:
    """The two targets of the offline comparison with their measured figures."""
    lines = _ratio_lines(by_set, others)
    verdicts: dict[str, list[str]] = defaultdict(list)
    held_against: list[Mapping[str, Sequence[object]]] = []
    for name, each in by_set.items():
        cells = _common(each, ["bc", "ensemble"])
        if cells:
            held_against.append(cells)
            gap = difference(cells["ensemble"], cells["bc"])
            verdicts[gap.verdict(0.0)].append(f"{name} {gap}")
    if verdicts:
        target = "The ensemble's score less BC's (target: nowhere below 0)"
        lines += verdict_lines(target, verdicts, _by_one_seed(held_against))
    return lines


def _ratio_lines(by_set: Mapping[str, Cells], others: Sequence[Record]) -> list[str]:
    """The ensemble's mean over the best peer's, each peer's run with its paper's updates in the place of a shorter one.

    A lead over peers of which not one run with all of its paper's updates is known is open, however large: it may be a
    lead over the budget. To be behind them is to be behind.
    """
    compared = [*PEER_METHODS, "ensemble"]
    full, replaced = _with_papers_updates(by_set, others)
    complete = [cells for cells in (_common(each, compared) for each in full.values()) if cells]
    if not complete:
        return ["- The target of the mean needs BC, IQL, TD3+BC and the ensemble on the same data sets and seeds."]
    best, ratio = ratio_to_best(complete, "ensemble", PEER_METHODS)
    verdict = ratio.verdict(LEAST_RATIO)
    short = [
        NAMES[method]
        for method in PEER_METHODS
        if any(is_short(each) for cells in by_set.values() for each in cells.get(method, {}).values())
        and not any(each["method"] == method for each, _ in replaced)
    ]
    if verdict == "met" and short:
        verdict = (
            f"open: {', '.join(short)} had less than their papers' updates, and no cell of `--budget papers` stands "
            "beside them"
        )
    lines = [
        f"- Mean score over the best peer's ({NAMES[best]}), {len(complete)} data sets: {ratio} "
        f"(target {LEAST_RATIO}): {verdict}{_by_one_seed(complete)}."
    ]
    if replaced:
        told = [
            f"{run_name(longer)}, {NAMES[longer['method']]} {longer['score']:.1f} ({shorter['score']:.1f} with fewer)"
            for longer, shorter in replaced
        ]
        lines.append(f"    - With the papers' updates, and so in the ratio: {'; '.join(told)}.")
    return lines


def _with_papers_updates(
    by_set: Mapping[str, Cells], others: Sequence[Record]
) -> tuple[dict[str, dict[str, dict[int, Record]]], list[tuple[Record, Record]]]:
    """The results with longer runs in the place of shorter ones where there are any, and each such pair."""
    longer = {
        (set_name(each), each["method"], each["seed"], each["data"]["sha256"]): each
        for each in others
        if each["part"] == "offline" and each["settings"].get("share_of_paper", 0.0) and not is_short(each)
    }
    replaced: list[tuple[Record, Record]] = []
    full: dict[str, dict[str, dict[int, Record]]] = {}
    for name, cells in by_set.items():
        full[name] = {method: dict(runs) for method, runs in cells.items()}
        for method, runs in cells.items():
            for seed, run in runs.items():
                found = longer.get((name, method, seed, run["data"]["sha256"]))
                if is_short(run) and found is not None:
                    full[name][method][seed] = found
                    replaced.append((found, run))
    return full, replaced


def _by_one_seed(cells: Sequence[Mapping[str, Sequence[object]]]) -> str:
    """A remark to a verdict whose interval lacks the luck of training somewhere."""
    return ", by one seed" if any(len(seeds) < 2 for each in cells for seeds in each.values()) else ""


def _spread(values: Sequence[float]) -> str:
    """A single value has no spread."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.1f} (1)"
    return f"{np.mean(values):.1f} +- {0.5 * (max(values) - min(values)):.1f} ({len(values)})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
