"""Tables and pictures of the results there are, as a Markdown page with SVG files beside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.uni_o4.offline_trials import OFFLINE_METHODS
from benchmarks.uni_o4.ope import RANKED, WITH_INTERVAL
from benchmarks.uni_o4.peers import PEER_METHODS
from benchmarks.uni_o4.pictures import offline_curves, online_curves, predicted_against_true
from benchmarks.uni_o4.results import ResultStore

NAMES = {
    "bc": "BC", "iql": "IQL", "td3bc": "TD3+BC", "bppo": "BPPO (ours)", "uni_o4": "Uni-O4 (ours)",
    "ensemble": "ensemble (ours)", "scratch": "PPO from scratch",
}  # fmt: skip

BEGIN, END = "<!-- benchmarks.uni_o4: begin -->", "<!-- benchmarks.uni_o4: end -->"
Record = Mapping[str, Any]


def write_report(store: ResultStore, page: Path, root: Path) -> None:
    """Write the page, or renew what stands between its two marks, so that text around them stays."""
    pictures = page.parent / page.stem
    offline, ope, online = store.read("offline"), store.read("ope"), store.read("online")
    parts = [BEGIN, f"Made by `python -m benchmarks.uni_o4 --out {root} --report {page}`.", ""]
    parts += ["### Offline", "", *offline_table(offline), ""]
    parts += _pictures(offline_curves(offline, pictures), page)
    if ope:
        parts += ["### Offline evaluation against the truth", "", *ope_table(ope), ""]
        parts += _pictures(predicted_against_true(ope, pictures), page)
    if online:
        parts += ["### Offline to online", "", *online_table(online), ""]
        parts += _pictures(online_curves(online, pictures), page)
    parts.append(END)
    text = "\n".join(parts)
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    if BEGIN in old and END in old:
        text = old[: old.index(BEGIN)] + text + old[old.index(END) + len(END) :]
    elif old:
        text = f"{old.rstrip()}\n\n{text}\n"
    else:
        text += "\n"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def offline_table(records: Sequence[Record]) -> list[str]:
    """Mean normalised score over seeds +- half their range, a row a data set; then the means and the two targets."""
    methods = [method for method in OFFLINE_METHODS if any(record["method"] == method for record in records)]
    by_set: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    behavior: dict[str, float] = {}
    seconds: dict[str, list[float]] = defaultdict(list)
    for record in records:
        name = f"{record['robot']} {record['set']}"
        by_set[name][record["method"]].append(record["score"])
        behavior[name] = record["data"]["behavior_score"]
        seconds[record["method"]].append(record["wall_s"])
    lines = _header(["data", "behaviour", *(NAMES[method] for method in methods)])
    for name, scores in by_set.items():
        cells = [_spread(scores[method]) for method in methods]
        lines.append(_row([name, f"{behavior[name]:.1f}", *cells]))
    means = _means(by_set, methods)
    lines.append(_row(["mean", "", *(_number(means.get(method)) for method in methods)]))
    minutes = [f"{np.mean(seconds[method]) / 60:.1f}" for method in methods]
    lines.append(_row(["minutes a run", "", *minutes]))
    return [*lines, "", *_targets(by_set, means)]


def _means(by_set: Mapping[str, Mapping[str, Sequence[float]]], methods: Iterable[str]) -> dict[str, float]:
    """Mean over the data sets that every method has; a method without all of them would not compare."""
    methods = list(methods)
    complete = [scores for scores in by_set.values() if all(scores.get(method) for method in methods)]
    if not complete:
        return {}
    return {method: float(np.mean([np.mean(scores[method]) for scores in complete])) for method in methods}


def _targets(by_set: Mapping[str, Mapping[str, Sequence[float]]], means: Mapping[str, float]) -> list[str]:
    """The two targets of the offline comparison with their measured figures."""
    peers = {method: means[method] for method in PEER_METHODS if method in means}
    if not peers or "ensemble" not in means:
        return ["The targets need BC, IQL, TD3+BC and the ensemble on the same data sets."]
    best = max(peers, key=peers.__getitem__)
    ratio = means["ensemble"] / peers[best]
    worse = [
        name
        for name, scores in by_set.items()
        if scores.get("bc") and scores.get("ensemble") and np.mean(scores["ensemble"]) < np.mean(scores["bc"])
    ]
    return [
        f"- Mean score over the best peer's ({NAMES[best]}): {ratio:.2f} (target 1.15): {_verdict(ratio >= 1.15)}.",
        f"- Data sets on which the ensemble is below BC: {', '.join(worse) or 'none'} (target none): "
        f"{_verdict(not worse)}.",
    ]


def ope_table(records: Sequence[Record]) -> list[str]:
    """Rank correlation and coverage, a row a data set and seed."""
    head = [*(f"rank: {name}" for name in RANKED), *(f"coverage: {name}" for name in WITH_INTERVAL)]
    lines = _header(["data", "policies", *head])
    for record in records:
        name = f"{record['robot']} {record['set']}, seed {record['seed']}"
        correlations = [f"{record['rank_correlation'][estimator]:.2f}" for estimator in RANKED]
        coverages = [f"{record['coverage'][estimator]:.2f}" for estimator in WITH_INTERVAL]
        lines.append(_row([name, str(len(record["policies"])), *correlations, *coverages]))
    means = [f"{np.mean([record['rank_correlation'][name] for record in records]):.2f}" for name in RANKED]
    covered = [f"{np.mean([record['coverage'][name] for record in records]):.2f}" for name in WITH_INTERVAL]
    lines.append(_row(["mean", "", *means, *covered]))
    return [*lines, "", "Targets: rank correlation at least 0.8; the 90 % interval holds the truth at least 0.8."]


def online_table(records: Sequence[Record]) -> list[str]:
    """Start, lowest point and end of every run; whether it dropped beyond the noise, and whether it gained."""
    lines = _header(["data", "method", "start", "lowest", "end", "no drop beyond noise", "end above start"])
    for record in records:
        curve = record["curve"]
        start = curve[0]
        lowest = min(curve, key=lambda point: point["score"])
        noise = 2.0 * float(np.hypot(start["score_standard_error"], lowest["score_standard_error"]))
        held = start["score"] - lowest["score"] <= noise
        name = f"{record['robot']} {record['set']}, seed {record['seed']}"
        figures = [f"{value:.1f}" for value in (start["score"], lowest["score"], record["score"])]
        verdicts = [_verdict(held), _verdict(record["score"] > start["score"])]
        lines.append(_row([name, NAMES[record["method"]], *figures, *verdicts]))
    return lines


def _pictures(paths: Iterable[Path], page: Path) -> list[str]:
    return [line for path in paths for line in (f"![{path.stem}]({path.relative_to(page.parent)})", "")]


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return f"{np.mean(values):.1f} +- {0.5 * (max(values) - min(values)):.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def _header(cells: Sequence[str]) -> list[str]:
    return [_row(cells), _row(["---"] * len(cells))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
