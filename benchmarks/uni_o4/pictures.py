"""The results page's pictures, one SVG file each; the same results give the same files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.uni_o4.ope import JUDGED, truth_of

# Told apart by the colour-blind (Okabe and Ito's palette).
COLOURS = {
    "bc": "#999999", "iql": "#e69f00", "td3bc": "#cc79a7", "bppo": "#56b4e9", "uni_o4": "#0072b2",
    "ensemble": "#d55e00", "scratch": "#009e73",
    "clones": "#0072b2", "perturbed": "#999999", "published": "#e69f00",
}  # fmt: skip
Record = Mapping[str, Any]


def offline_curves(records: Sequence[Record], folder: Path) -> list[Path]:
    """Score over the share of the training that is done, a picture a data set; `folder` gets them.

    A policy on its way is a line. The published method's members do not follow one another: each is a dot at the end.
    """
    paths: list[Path] = []
    for name, group in _by_set(records).items():
        with _picture(folder / f"offline_{name}.svg", paths) as axes:
            for record, label in _labelled(group):
                share = [point["share"] for point in record["curve"]]
                scores = [point["score"] for point in record["curve"]]
                in_order = len(set(share)) == len(share) and len(share) > 2
                _curve(axes, share, scores, record, label, "o-" if in_order else "o")
            axes.set_xlabel("share of the training")
            axes.set_ylabel("normalised score")
            axes.set_title(name.replace("_", " "))
    return paths


def online_curves(records: Sequence[Record], folder: Path) -> list[Path]:
    """Score over online steps, a picture a data set, a line a run."""
    paths: list[Path] = []
    for name, group in _by_set(records).items():
        with _picture(folder / f"online_{name}.svg", paths) as axes:
            for record, label in _labelled(group):
                steps = [point["steps"] for point in record["curve"]]
                _curve(axes, steps, [point["score"] for point in record["curve"]], record, label, "o-")
            axes.set_xlabel("online steps")
            axes.set_ylabel("normalised score")
            axes.set_title(name.replace("_", " "))
    return paths


def predicted_against_true(records: Sequence[Record], folder: Path) -> list[Path]:
    """The estimate that is judged with its interval over the truth, a picture a data set and seed."""
    paths: list[Path] = []
    measured = truth_of(JUDGED)
    for record in records:
        name = f"ope_{record['robot']}_{record['set']}_seed_{record['seed']}"
        with _picture(folder / f"{name}.svg", paths) as axes:
            for family in dict.fromkeys(policy["family"] for policy in record["policies"]):
                members = [policy for policy in record["policies"] if policy["family"] == family]
                truth = np.array([policy[measured] for policy in members])
                low, high = np.array([policy["intervals"][JUDGED] for policy in members]).T
                middle, half = 0.5 * (low + high), 0.5 * (high - low)
                axes.errorbar(
                    truth, middle, yerr=half, fmt="o", markersize=4, elinewidth=0.8, capsize=2, color=COLOURS[family],
                    label=family,
                )  # fmt: skip
            _diagonal(axes, [policy[measured] for policy in record["policies"]])
            axes.set_xlabel(measured.replace("_", " "))
            axes.set_ylabel(f"predicted, {100 * record['confidence']:.0f} % interval")
            axes.set_title(f"{record['robot']} {record['set']}, seed {record['seed']}")
    return paths


def _labelled(records: Sequence[Record]) -> Iterator[tuple[Record, str | None]]:
    """Each record with its entry in the legend: a method has one, at its first run."""
    named: set[str] = set()
    for record in records:
        method = record["method"]
        yield record, None if method in named else method
        named.add(method)


def _curve(
    axes: Axes, position: Sequence[float], scores: Sequence[float], record: Record, label: str | None, style: str
) -> None:
    axes.plot(position, scores, style, markersize=3, linewidth=1.0, color=COLOURS[record["method"]], label=label)


def _diagonal(axes: Axes, truth: Sequence[float]) -> None:
    ends = [min(truth), max(truth)]
    axes.plot(ends, ends, color="#333333", linewidth=0.8, zorder=0)


def _by_set(records: Sequence[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[f"{record['robot']}_{record['set']}"].append(record)
    return groups


@contextmanager
def _picture(path: Path, paths: list[Path]) -> Iterator[Axes]:
    """Axes to draw on; the file is written behind them, and its path is added to the list."""
    style: dict[Any, Any] = {"svg.fonttype": "none", "font.size": 9.0, "svg.hashsalt": path.name}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(5.0, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        yield axes
        axes.legend(loc="best", frameon=False, fontsize=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
    paths.append(path)
