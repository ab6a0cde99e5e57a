"""Tables and pictures of the results there are, as a Markdown page with SVG files beside it.

Every table compares results of one budget and one version of the data (`comparison`). A target is met or missed only
where the interval of the figure says so (`statistics`), and open otherwise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.comparison import Comparison, Record, compare
from benchmarks.uni_o4.offline_trials import OFFLINE_METHODS
from benchmarks.uni_o4.ope import RANKED, WITH_INTERVAL
from benchmarks.uni_o4.peers import PEER_METHODS
from benchmarks.uni_o4.pictures import offline_curves, online_curves, predicted_against_true
from benchmarks.uni_o4.results import ResultStore
from benchmarks.uni_o4.statistics import CONFIDENCE, difference, drop_probability, gain_probability, ratio_to_best
from benchmarks.uni_o4.whole_files import write_whole

NAMES = {
    "bc": "BC", "iql": "IQL", "td3bc": "TD3+BC", "bppo": "BPPO (ours)", "uni_o4": "Uni-O4 (ours)",
    "ensemble": "ensemble (ours)", "scratch": "PPO from scratch", "estimators": "offline evaluation",
}  # fmt: skip

BEGIN, END = "<!-- benchmarks.uni_o4: begin -->", "<!-- benchmarks.uni_o4: end -->"
LEAST_RATIO, LEAST_RANK, LEAST_COVERAGE = 1.15, 0.8, 0.8
SIGNIFICANCE = 1.0 - CONFIDENCE


def write_report(store: ResultStore, page: Path, root: Path, budget: Budget) -> None:
    """Write the page, or renew what stands between its two marks, so that text around them stays.

    Raises:
        BenchmarkError: the results of the budget come from different data of one name.
    """
    found = compare(store, budget)
    text = "\n".join(
        [
            BEGIN,
            f"Made by `python -m benchmarks.uni_o4 --out {root} --report {page}`.",
            "",
            *_sections(found, page),
            END,
        ]
    )
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    if BEGIN in old and END in old:
        text = old[: old.index(BEGIN)] + text + old[old.index(END) + len(END) :]
    elif old:
        text = f"{old.rstrip()}\n\n{text}\n"
    else:
        text += "\n"
    write_whole(page, text)


def _sections(found: Comparison, page: Path) -> list[str]:
    pictures = page.parent / page.stem
    parts: list[str] = []
    if found.offline:
        parts += ["### Offline", "", *offline_table(found.offline), ""]
        parts += _pictures(offline_curves(found.offline, pictures), page)
    if found.ope:
        parts += ["### Offline evaluation against the truth", "", *ope_table(found.ope), ""]
        parts += _pictures(predicted_against_true(found.ope, pictures), page)
    if found.online:
        parts += ["### Offline to online", "", *online_table(found.online), ""]
        parts += _pictures(online_curves(found.online, pictures), page)
    if found.others:
        parts += ["### Of other settings", "", *others_table(found.others), ""]
    if found.compared:
        parts += ["### What the figures come from", "", *provenance_table(found), ""]
    return parts or ["No result of this budget has been made yet."]


# ---- Offline ---------------------------------------------------------------------------------------------------------


def offline_table(records: Sequence[Record]) -> list[str]:
    """Mean normalised score over seeds +- half their range (seeds), a row a data set; then means and the targets."""
    methods = [method for method in OFFLINE_METHODS if any(record["method"] == method for record in records)]
    by_set: dict[str, dict[str, dict[int, Record]]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        by_set[_set_name(record)][record["method"]][record["seed"]] = record
    lines = _header(["data", "behaviour", *(method_name(records, method) for method in methods)])
    for name, cells in by_set.items():
        behavior = next(iter(next(iter(cells.values())).values()))["data"]["behavior_score"]
        scores = [_spread([each["score"] for each in cells[method].values()]) for method in methods]
        lines.append(_row([name, f"{behavior:.1f}", *scores]))
    complete = {name: _common(cells, methods) for name, cells in by_set.items()}
    complete = {name: cells for name, cells in complete.items() if cells}
    means = [
        np.mean([np.mean(cells[method]) for cells in complete.values()]) if complete else None for method in methods
    ]
    lines.append(_row(["mean of the rows that are whole", "", *map(_number, means)]))
    seconds = {method: [each["wall_s"] for each in records if each["method"] == method] for method in methods}
    lines.append(_row(["minutes a run", "", *(f"{np.mean(seconds[method]) / 60:.1f}" for method in methods)]))
    return [*lines, "", *_unequal(by_set, methods), *_targets(by_set)]


def method_name(records: Sequence[Record], method: str) -> str:
    """With what a reader has to know: that a method was given less than its paper gives it."""
    name = NAMES[method]
    settings: Mapping[str, Any] = next((each["settings"] for each in records if each["method"] == method), {})
    share = settings.get("share_of_paper")
    if share is not None and share < 1.0:
        name += f", {100.0 * share:.3g} % of its paper's updates"
    return f"{name}, reduced" if settings.get("reduced") else name


Cells = Mapping[str, Mapping[int, Record]]


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


def _targets(by_set: Mapping[str, Cells]) -> list[str]:
    """The two targets of the offline comparison with their measured figures."""
    compared = [*PEER_METHODS, "ensemble"]
    complete = [cells for cells in (_common(each, compared) for each in by_set.values()) if cells]
    lines = []
    if complete:
        best, ratio = ratio_to_best(complete, "ensemble", PEER_METHODS)
        lines.append(
            f"- Mean score over the best peer's ({NAMES[best]}), {len(complete)} data sets: {ratio} "
            f"(target {LEAST_RATIO}): {ratio.verdict(LEAST_RATIO)}."
        )
    else:
        lines.append("- The target of the mean needs BC, IQL, TD3+BC and the ensemble on the same data sets and seeds.")
    verdicts: dict[str, list[str]] = defaultdict(list)
    for name, each in by_set.items():
        cells = _common(each, ["bc", "ensemble"])
        if cells:
            gap = difference(cells["ensemble"], cells["bc"])
            verdicts[gap.verdict(0.0)].append(f"{name} {gap}")
    if verdicts:
        overall = "MISSED" if verdicts["MISSED"] else "open" if verdicts["open"] else "met"
        lines.append(f"- The ensemble's score less BC's (target: nowhere below 0): {overall}.")
        lines += [f"    - {verdict}: {'; '.join(names)}" for verdict, names in verdicts.items() if names]
    return lines


# ---- Offline evaluation ----------------------------------------------------------------------------------------------


def ope_table(records: Sequence[Record]) -> list[str]:
    """Rank correlation and coverage, a row a data set and seed."""
    head = [*(f"rank: {name}" for name in RANKED), *(f"coverage: {name}" for name in WITH_INTERVAL)]
    lines = _header(["data", "policies", *head])
    for record in records:
        correlations = [f"{record['rank_correlation'][estimator]:.2f}" for estimator in RANKED]
        coverages = [
            f"{record['coverage'][name]:.2f} ({record['coverage_of_exact_truth'][name]:.2f})" for name in WITH_INTERVAL
        ]
        lines.append(_row([_run_name(record), str(len(record["policies"])), *correlations, *coverages]))
    ranks = {name: float(np.mean([record["rank_correlation"][name] for record in records])) for name in RANKED}
    covered = {name: float(np.mean([record["coverage"][name] for record in records])) for name in WITH_INTERVAL}
    lines.append(_row(["mean", "", *map(_hundredths, ranks.values()), *map(_hundredths, covered.values())]))
    percent = f"{100 * records[0]['confidence']:.0f} %"
    return [
        *lines,
        "",
        f"Targets for the combined estimate: rank correlation at least {LEAST_RANK}: "
        f"{_verdict(ranks['combined'] >= LEAST_RANK)}; its {percent} interval holds the truth "
        f"at least {LEAST_COVERAGE} of the time: {_verdict(covered['combined'] >= LEAST_COVERAGE)}. Coverage is of "
        "intervals widened by the error of the measured truth; in brackets, as if that were exact.",
    ]


# ---- Online ----------------------------------------------------------------------------------------------------------


def online_table(records: Sequence[Record]) -> list[str]:
    """Start, lowest point and end of every run; whether it dropped beyond the noise, and whether it gained."""
    lines = _header(["data", "method", "start", "lowest", "end", "no drop beyond noise", "end above start"])
    for record in records:
        scores = [point["score"] for point in record["curve"]]
        figures = [f"{value:.1f}" for value in (scores[0], min(scores), scores[-1])]
        verdicts = ("-", "-") if record["method"] == "scratch" else _online_verdicts(record)
        lines.append(_row([_run_name(record), method_name(records, record["method"]), *figures, *verdicts]))
    return [
        *lines,
        "",
        "Every point of a curve has the same episodes, and a verdict is one of their paired differences to the start "
        f"at {100 * SIGNIFICANCE:.0f} %; that of the drop allows for the number of points. Open: neither is shown.",
    ]


def _online_verdicts(record: Record) -> tuple[str, str]:
    episodes = [point["episode_scores"] for point in record["curve"]]
    held = drop_probability(episodes) >= SIGNIFICANCE
    if gain_probability(episodes[0], episodes[-1]) < SIGNIFICANCE:
        gained = "met"
    else:
        gained = "MISSED" if gain_probability(episodes[-1], episodes[0]) < SIGNIFICANCE else "open"
    return _verdict(held), gained


# ---- What stands behind the figures ----------------------------------------------------------------------------------


def others_table(records: Sequence[Record]) -> list[str]:
    """Results that are compared with nothing above: what they are, and what they scored."""
    lines = _header(["part", "data", "method", "updates", "episodes", "score"])
    for record in records:
        settings = record["settings"]
        cells = [record["part"], _run_name(record), method_name([record], record["method"]), _updates(settings)]
        score = f"{record['score']:.1f}" if "score" in record else "-"
        lines.append(_row([*cells, str(settings.get("episodes", "-")), score]))
    return lines


def provenance_table(found: Comparison) -> list[str]:
    """Updates, episodes, seeds and code of every method above; a mixture of code or versions stands out."""
    lines = _header(["part", "method", "updates", "episodes", "runs", "code"])
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in found.compared:
        groups[record["part"], record["method"]].append(record)
    for (part, method), records in groups.items():
        settings = records[0]["settings"]
        codes = Counter(record["code"] for record in records)
        text = ", ".join(f"{code} ({count})" for code, count in codes.items())
        mixed = f"MIXED: {text}" if len(codes) > 1 else next(iter(codes))
        episodes = str(settings.get("episodes", settings.get("ope", {}).get("episodes", "-")))
        lines.append(_row([part, method_name(records, method), _updates(settings), episodes, str(len(records)), mixed]))
    versions = Counter(_versions(record) for record in found.compared)
    lines += ["", "Code is a hash over the source that the figures depend on, without comments. Packages (runs):", ""]
    lines += [f"- {text} ({count})" for text, count in versions.items()]
    data = {_set_name(record): record["data"] for record in found.compared}
    lines += [
        f"- {name}: {each['steps']} steps, {each['source']}, {each['sha256'][:12]}" for name, each in data.items()
    ]
    return lines


def _versions(record: Record) -> str:
    packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return f"{packages}; commit {record['code_version']}"


def _updates(settings: Mapping[str, Any]) -> str:
    """Gradient steps, or what a method counts instead."""
    if "updates" in settings:
        return str(settings["updates"])
    if "steps" in settings:
        return f"{settings['steps']} steps"
    if "critics" in settings:
        return f"{settings['critics']['updates']} of the critics, {settings['published']['updates']} a member"
    if "improvement" in settings:
        return f"at most {settings['improvement']['iterations']} iterations"
    return "-"


# ---- Cells -----------------------------------------------------------------------------------------------------------


def _set_name(record: Record) -> str:
    return f"{record['robot']} {record['set']}"


def _run_name(record: Record) -> str:
    return f"{_set_name(record)}, seed {record['seed']}"


def _pictures(paths: Iterable[Path], page: Path) -> list[str]:
    return [line for path in paths for line in (f"![{path.stem}]({path.relative_to(page.parent)})", "")]


def _spread(values: Sequence[float]) -> str:
    """A single value has no spread."""
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.1f} (1)"
    return f"{np.mean(values):.1f} +- {0.5 * (max(values) - min(values)):.1f} ({len(values)})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _hundredths(value: float) -> str:
    return f"{value:.2f}"


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def _header(cells: Sequence[str]) -> list[str]:
    return [_row(cells), _row(["---"] * len(cells))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
