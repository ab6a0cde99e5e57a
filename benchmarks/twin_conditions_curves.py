"""Learning curves of `benchmarks.twin_conditions`: return over the steps that had been logged, a panel a condition."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.twin_conditions_results import ConditionResults, StageResult
from benchmarks.twin_conditions_settings import ONLINE_STAGES

# Told apart by the colour-blind (Okabe and Ito's palette).
_METHODS = {"refined": ("ours", "#d55e00"), "published": ("published", "#0072b2")}
_LEVELS = {
    "pre": ("pretrained", "#6b6b6b", ":"),
    "robust": ("robust", "#009e73", "-."),
    "oracle": ("oracle", "#333333", "--"),
}
_STYLE: dict[Any, Any] = {"svg.fonttype": "none", "font.size": 9.0, "svg.hashsalt": "twin conditions"}
_COLUMNS = 3


def draw_curves(results: ConditionResults, picture: Path) -> None:
    """Write the picture, an SVG: lines are means over seeds, dots are seeds; the same results give the same file."""
    conditions = results.conditions
    rows = -(-len(conditions) // _COLUMNS)
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(3.4 * _COLUMNS, 2.7 * rows), layout="constrained")
        panels = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
        for axes, condition in zip(panels, conditions, strict=False):
            _panel(axes, results, condition)
        for axes in panels[len(conditions) :]:
            axes.set_axis_off()
        labelled: dict[Any, Any] = {}
        for axes in figure.axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                labelled.setdefault(label, handle)
        figure.legend(list(labelled.values()), list(labelled), loc="outside upper center", ncols=5, frameon=False)
        figure.supxlabel("logged steps [thousands]")
        figure.supylabel("mean return of a walk")
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None})


def curve_of(results: ConditionResults, condition: str, offline: str) -> dict[Optional[int], list[tuple[int, float]]]:
    """Of each seed the (logged steps, mean return) of its policies: start, rounds, looks online."""
    before = results.of(condition, "pre").get(None)
    names = [*results.numbered(offline)]
    for online, base in ONLINE_STAGES.items():
        names += results.numbered(online) if base == offline else ()
    curves: dict[Optional[int], list[tuple[int, float]]] = {}
    for name in names:
        for seed, one in results.of(condition, name).items():
            begin = [] if before is None else [(0, float(before.returns.mean()))]
            curves.setdefault(seed, begin).append((one.logged_steps, float(one.returns.mean())))
    return curves


def _panel(axes: Axes, results: ConditionResults, condition: str) -> None:
    for stage, (label, colour, dashes) in _LEVELS.items():
        level: Optional[StageResult]
        level = results.best_oracle(condition) if stage == "oracle" else results.of(condition, stage).get(None)
        if level is not None:
            axes.axhline(level.returns.mean(), color=colour, linestyle=dashes, linewidth=1.0, label=label)
    for offline, (label, colour) in _METHODS.items():
        curves = curve_of(results, condition, offline)
        points = sorted({point for curve in curves.values() for point in curve})
        if not points:
            continue
        steps = np.array([at / 1000 for at, _ in points])
        axes.plot(steps, [value for _, value in points], "o", color=colour, markersize=3, alpha=0.5, linewidth=0)
        marks = sorted({at for at, _ in points})
        means = [np.mean([dict(curve)[mark] for curve in curves.values() if mark in dict(curve)]) for mark in marks]
        axes.plot([mark / 1000 for mark in marks], means, "-", color=colour, linewidth=1.4, label=label)
    axes.set_title(condition.replace("_", " "), loc="left", fontsize=9.0)
    axes.spines[["top", "right"]].set_visible(False)
