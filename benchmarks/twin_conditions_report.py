"""Tables of the results that `benchmarks.twin_conditions` has left in a folder, as Markdown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from robot_configs.errors import Go1Error

_LEAST_GAP = 1.0  # of return: where the oracle is not this much better there is nothing to close


class ConditionReportError(Go1Error):
    """Results that no table can be made of."""


@dataclass(frozen=True)
class StageMeasure:
    """One stage of one condition and seed.

    Attributes:
        mean: return. half_width: of its 95 % interval. linear_error_m_s: tracking. falls: of `episodes`.
    """

    mean: float
    half_width: float
    linear_error_m_s: float
    falls: int
    episodes: int


def gap_closed(before: float, after: float, oracle: float) -> Optional[float]:
    """(R - R_pre) / (R_oracle - R_pre): 0 is where it started, 1 is the oracle; None where there is no gap."""
    gap = oracle - before
    return (after - before) / gap if gap >= _LEAST_GAP else None


def read_measures(folder: Path) -> dict[tuple[str, int], dict[str, StageMeasure]]:
    """Measures by (condition, seed) and stage.

    Raises:
        ConditionReportError: no results below the folder, or results of different pretrained bundles.
    """
    measures: dict[tuple[str, int], dict[str, StageMeasure]] = {}
    parents: set[str] = set()
    for file in sorted(folder.glob("*_seed*/*.json")):
        record: dict[str, Any] = json.loads(file.read_text())
        if "evaluation" not in record:  # settings of a trainer, say
            continue
        parents.add(record["settings"]["pretrained_sha256"])
        cell = measures.setdefault((record["condition"], record["seed"]), {})
        cell[record["stage"]] = _measure(record["evaluation"])
    if not measures:
        raise ConditionReportError(f"results below {folder}", "none", "Run the benchmark into it first.")
    if len(parents) > 1:
        raise ConditionReportError(
            f"results of one pretrained bundle below {folder}", f"{len(parents)}", "Give each bundle its own --out."
        )
    return measures


def _measure(evaluation: dict[str, Any]) -> StageMeasure:
    low, high = evaluation["return_ci95"]
    return StageMeasure(
        mean=evaluation["return_mean"],
        half_width=(high - low) / 2.0,
        linear_error_m_s=evaluation["velocity_error"]["linear_m_s"],
        falls=evaluation["falls"],
        episodes=evaluation["episodes"],
    )


def report(folder: Path) -> str:
    """One table of every stage and one of the gaps closed."""
    measures = read_measures(folder)
    refined = sorted({stage for cell in measures.values() for stage in cell if stage.startswith("refined")})
    lines = [
        f"### {folder.name}",
        "",
        "Measured on batches of twins, not through the wire. Return of ten-second walks: mean and half width of the "
        "95 % interval over episodes.",
        "",
        *_stage_table(measures, ("pre", *refined, "oracle")),
        "",
        "Gap closed, (R - R_pre) / (R_oracle - R_pre): mean over seeds, each seed in brackets.",
        "",
        *_gap_table(measures, refined),
        "",
    ]
    return "\n".join(lines)


def _stage_table(measures: dict[tuple[str, int], dict[str, StageMeasure]], stages: tuple[str, ...]) -> list[str]:
    lines = ["| condition | seed | stage | return | velocity error m/s | falls |", "|---|---|---|---|---|---|"]
    for (condition, seed), cell in sorted(measures.items()):
        for stage in stages:
            if stage in cell:
                found = cell[stage]
                lines.append(
                    f"| {condition} | {seed} | {stage} | {found.mean:.0f} ± {found.half_width:.0f} "
                    f"| {found.linear_error_m_s:.3f} | {found.falls} of {found.episodes} |"
                )
    return lines


def _gap_table(measures: dict[tuple[str, int], dict[str, StageMeasure]], refined: list[str]) -> list[str]:
    lines = [f"| condition | {' | '.join(refined)} |", "|---" * (len(refined) + 1) + "|"]
    means: dict[str, list[float]] = {stage: [] for stage in refined}
    for condition in sorted({condition for condition, _ in measures}):
        cells = [cell for (name, _), cell in sorted(measures.items()) if name == condition]
        row = []
        for stage in refined:
            closed = [
                gap_closed(cell["pre"].mean, cell[stage].mean, cell["oracle"].mean)
                for cell in cells
                if {"pre", stage, "oracle"} <= set(cell)
            ]
            known = [share for share in closed if share is not None]
            if known:
                means[stage].append(float(np.mean(known)))
            row.append(_shares(closed, known))
        lines.append(f"| {condition} | {' | '.join(row)} |")
    overall = [f"{np.mean(shares):.2f}" if shares else "" for shares in means.values()]
    lines.append(f"| mean over conditions | {' | '.join(overall)} |")
    return lines


def _shares(closed: list[Optional[float]], known: list[float]) -> str:
    if not closed:
        return ""
    each = ", ".join("no gap" if share is None else f"{share:.2f}" for share in closed)
    return f"{np.mean(known):.2f} ({each})" if known else f"({each})"
