"""What a finished run shows of itself: its curve as a picture, and a film of the policy walking."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.figure import Figure

from sim.curve_log import CURVE_FILE
from sim.play import PlayError, play_bundle

FILM_S = 8.0
_COMMANDS = "random:seed=1,hold_s=4,stand_fraction=0"
_PANELS = {
    "reward_per_step": "reward a step",
    "error/linear_m_s": "velocity error [m/s]",
    "error/yaw_rad_s": "yaw rate error [rad/s]",
    "falls_per_minute": "falls a minute",
    "action_std": "std of the action",
    "learning_rate": "learning rate",
}


def draw_curve(out: Path) -> str:
    """Draw `curve.csv` as `curve.png` beside it; returns where, or why not."""
    with open(out / CURVE_FILE, newline="") as stream:
        rows = list(csv.DictReader(stream))
    steps = [float(row["steps"]) / 1e6 for row in rows]
    figure = Figure(figsize=(10.0, 5.0), layout="constrained")
    for axes, (column, label) in zip(figure.subplots(2, 3).flat, _PANELS.items(), strict=True):
        axes.plot(steps, [float(row[column] or "nan") for row in rows], color="#0072b2", linewidth=1.2)
        axes.set_ylabel(label)
        axes.grid(color="#e0e0e0", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("environment steps [millions]")
    picture = out / "curve.png"
    figure.savefig(picture, dpi=120)
    return str(picture)


def film_walk(bundle: Path, out: Path) -> str:
    """Film the bundle on the nominal twin as `walk.gif`; returns where, or why there is nothing to draw it with."""
    film = out / "walk.gif"
    try:
        play_bundle(bundle, "nominal", _COMMANDS, FILM_S, film)
    except PlayError as error:
        return f"no film: {error}"
    return str(film)
