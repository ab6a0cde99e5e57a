"""The report's plots, each an SVG element to stand inside an HTML page: no script, no font, no file beside it."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

STAGE_COLOURS = {"pretrained": "#6b6b6b", "offline": "#0072b2", "online": "#d55e00"}
"""Told apart by the colour-blind, and in grey by their labels (Okabe and Ito's palette)."""

_INK, _FAINT = "#333333", "#c8c8c8"
_WIDTH_IN = 5.0  # about a phone's width at 72 points an inch, so that labels keep their size there
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


def returns_chart(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Return of each episode, joined across the stages by episode; the mean with its interval beside each stage."""
    names = list(stages)
    returns = np.array([[episode["episode_return"] for episode in stages[name]["per_episode"]] for name in names])
    fell = np.array([[episode["fell"] for episode in stages[name]["per_episode"]] for name in names])
    figure, (axes,) = _figure(height_in=3.4)
    axes.plot(returns, color=_FAINT, linewidth=0.8, zorder=1)
    for place, name in enumerate(names):
        colour = STAGE_COLOURS[name]
        standing = returns[place][~fell[place]]
        fallen = returns[place][fell[place]]
        axes.scatter(np.full(len(standing), place), standing, s=12, color=colour, alpha=0.6, linewidths=0, zorder=2)
        axes.scatter(np.full(len(fallen), place), fallen, s=28, color=colour, marker="x", zorder=3)
        mean, (low, high) = stages[name]["return_mean"], stages[name]["return_ci95"]
        axes.errorbar(
            place + 0.16, mean, yerr=[[mean - low], [high - mean]], fmt="o", color=colour, capsize=4, markersize=6
        )
        axes.annotate(f"{mean:.0f}", (place + 0.16, mean), (8, -3), textcoords="offset points", color=colour)
    axes.set_xticks(range(len(names)), names)
    axes.set_xlim(-0.3, len(names) - 0.5)
    axes.set_ylabel("return of an episode")
    return _svg(figure, "returns", "Return of each episode, paired across the stages, with means and intervals")


def errors_chart(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Velocity errors and falls, a bar a stage."""
    panels = {
        "velocity error [m/s]": ([stage["velocity_error"]["linear_m_s"] for stage in stages.values()], "{:.3f}"),
        "turn rate error [rad/s]": ([stage["velocity_error"]["yaw_rad_s"] for stage in stages.values()], "{:.3f}"),
        "falls per minute": ([stage["falls_per_minute"] for stage in stages.values()], "{:.2f}"),
    }
    figure, rows = _figure(height_in=3.6, rows=len(panels))
    for axes, (title, (values, pattern)) in zip(rows, panels.items(), strict=True):
        bars = axes.barh(list(stages), values, color=[STAGE_COLOURS[name] for name in stages], height=0.65)
        axes.bar_label(bars, [pattern.format(value) for value in values], padding=3)
        axes.set_xlim(0.0, 1.2 * max(values) or 1.0)
        axes.set_title(title, loc="left", fontsize=9.0)
        axes.invert_yaxis()
        axes.tick_params(left=False)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
    return _svg(figure, "errors", "Velocity errors and falls per minute of each stage")


def candidates_chart(candidates: Sequence[Mapping[str, Any]], best: str) -> str:
    """Predicted gain of each candidate over how far it has gone from the logged behaviour; the chosen one ringed."""
    distance = np.array([candidate["kl"] for candidate in candidates])
    gain = np.array([candidate["gain"] for candidate in candidates])
    low, high = np.array([candidate["gain_interval"] for candidate in candidates]).T
    figure, (axes,) = _figure(height_in=2.8)
    axes.axhline(0.0, color=_FAINT, linewidth=0.8)
    axes.errorbar(
        distance, gain, yerr=[gain - low, high - gain], fmt="o-", color=STAGE_COLOURS["offline"],
        markersize=4, linewidth=0.8, elinewidth=1.0, capsize=2, label="candidate, 95 % interval",
    )  # fmt: skip
    chosen = [candidate["name"] for candidate in candidates].index(best)
    axes.plot(
        distance[chosen], gain[chosen], "o", markersize=12, fillstyle="none", color=STAGE_COLOURS["online"],
        linestyle="none", label=f"chosen: {best}",
    )  # fmt: skip
    axes.set_xlabel("KL divergence from the logged behaviour [nat]")
    axes.set_ylabel("predicted gain")
    axes.legend(loc="best", frameon=False)
    return _svg(figure, "candidates", "Predicted gain of the candidates over their distance from the logged behaviour")


def horizon_chart(horizon_error: Mapping[str, Sequence[float]], step_s: float) -> str:
    """Error of the transition model as it follows the logged actions, next to two models that cost nothing."""
    lines = {
        "ensemble": ("transition model", STAGE_COLOURS["offline"], "-"),
        "linear": ("linear", STAGE_COLOURS["online"], "--"),
        "unchanged": ("nothing changes", STAGE_COLOURS["pretrained"], ":"),
    }
    figure, (axes,) = _figure(height_in=2.8)
    for key, (label, colour, dashes) in lines.items():
        errors = horizon_error[key]
        axes.plot(step_s * np.arange(1, len(errors) + 1), errors, dashes, color=colour, label=label)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("time ahead [s]")
    axes.set_ylabel("error [spread of each signal]")
    axes.legend(loc="best", frameon=False)
    return _svg(figure, "horizon", "Open-loop error of the transition model over the time ahead")


def _figure(height_in: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH_IN, height_in), layout="constrained")
        return figure, [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]


def _svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an <svg> element as wide as its surroundings allow; the same figure gives the same text."""
    buffer = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Several plots share one page and its identifiers.
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    title = html.escape(description, quote=True)
    return re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', f'role="img" aria-label="{title}"', text, count=1)
