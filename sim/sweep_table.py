"""What came of a sweep: a row a trial, and each condition's mean and spread over its seeds."""

from __future__ import annotations

import csv
import io
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np

from sim.sweep_plan import Trial
from sim.sweep_trial import TrialRecord

LAST_ITERATIONS = 10
"""A trial's figures are means over so many last rows of its curve: one iteration is half a second of each robot."""

MEASURES = {
    "reward_per_step": "reward a step",
    "error/linear_m_s": "error [m/s]",
    "error/yaw_rad_s": "error [rad/s]",
    "falls_per_minute": "falls a minute",
}
"""Columns of a curve that are averaged, and their titles."""

_HEADINGS = (*MEASURES.values(), "wall time [s]")


@dataclass(frozen=True)
class TrialRow:
    """One trial in the table.

    Attributes:
        steps: environment steps made. wall_s: time they took, over all sittings.
        figures: by title, of `_HEADINGS`; None where the curve has none yet.
    """

    trial: Trial
    record: TrialRecord
    steps: int
    figures: Dict[str, Optional[float]]


def trial_row(trial: Trial, record: TrialRecord, folder: Path) -> TrialRow:
    """Read what the trial's curve says at its end."""
    rows = _complete_rows(folder / "curve.csv")
    figures = {title: _mean([row.get(name) for row in rows[-LAST_ITERATIONS:]]) for name, title in MEASURES.items()}
    figures["wall time [s]"] = float(rows[-1]["wall_s"]) if rows else None
    steps = round(float(rows[-1]["steps"])) if rows else 0
    return TrialRow(trial, record, steps, figures)


def _complete_rows(path: Path) -> List[Dict[str, str]]:
    """Of a curve; a line that a killed trial has begun is none."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1])))


def _mean(values: Sequence[Optional[str]]) -> Optional[float]:
    numbers = [float(value) for value in values if value]
    return float(np.mean(numbers)) if numbers else None


def as_csv(rows: Sequence[TrialRow], paths: Sequence[str]) -> str:
    """Every trial: its settings that vary, its state and its figures, unrounded."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        ["trial", "status", "preset", *paths, "seed", "steps", *_HEADINGS, "code_version", "bundle_sha256", "failure"]
    )
    for row in rows:
        trial, record = row.trial, row.record
        varied = dict(trial.assignments)
        figures = ["" if row.figures[name] is None else repr(row.figures[name]) for name in _HEADINGS]
        settings = [trial.name, record.status, trial.preset, *(varied[path] for path in paths), trial.seed, row.steps]
        writer.writerow([*settings, *figures, record.code_version, record.bundle_sha256 or "", record.failure or ""])
    return stream.getvalue()


def as_markdown(rows: Sequence[TrialRow]) -> str:
    """Conditions over their seeds, then every trial, then what failed and why."""
    parts = [
        f"Means over each trial's last {LAST_ITERATIONS} iterations; mean +- standard deviation over finished seeds.",
        _grouped(rows),
        _single(rows),
    ]
    failed = [f"- {row.trial.name}: {row.record.failure}" for row in rows if row.record.status == "failed"]
    if failed:
        parts.append("Failed:\n\n" + "\n".join(failed))
    versions = sorted({row.record.code_version for row in rows})
    parts.append(f"Code: {', '.join(versions)}.")
    return "\n\n".join(parts) + "\n"


def _grouped(rows: Sequence[TrialRow]) -> str:
    lines = [f"| condition | seeds | {' | '.join(_HEADINGS)} |", "|---" * (2 + len(_HEADINGS)) + "|"]
    for condition in dict.fromkeys(row.trial.condition for row in rows):
        group = [row for row in rows if row.trial.condition == condition]
        finished = [row for row in group if row.record.status == "finished"]
        cells = [mean_and_spread([row.figures[name] for row in finished]) for name in _HEADINGS]
        lines.append(f"| {condition} | {len(finished)} of {len(group)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _single(rows: Sequence[TrialRow]) -> str:
    lines = [f"| trial | status | steps | {' | '.join(_HEADINGS)} |", "|---" * (3 + len(_HEADINGS)) + "|"]
    for row in rows:
        cells = [_number(row.figures[name]) for name in _HEADINGS]
        lines.append(f"| {row.trial.name} | {row.record.status} | {row.steps} | {' | '.join(cells)} |")
    return "\n".join(lines)


def mean_and_spread(values: Sequence[Optional[float]]) -> str:
    """Mean +- sample standard deviation (n - 1); one value has no spread, and none is a dash."""
    numbers = [value for value in values if value is not None]
    if len(numbers) < 2:
        return _number(numbers[0] if numbers else None)
    spread = math.sqrt(sum((value - np.mean(numbers)) ** 2 for value in numbers) / (len(numbers) - 1))
    return f"{_number(float(np.mean(numbers)))} +- {spread:.2g}"


def _number(value: Optional[float]) -> str:
    return "-" if value is None else f"{value:.4g}"


def write_tables(rows: Sequence[TrialRow], paths: Sequence[str], out: Path) -> None:
    """`sweep.csv` and `sweep.md`, each complete or not at all."""
    for name, text in (("sweep.csv", as_csv(rows, paths)), ("sweep.md", as_markdown(rows))):
        part = out / f"{name}.part"
        part.write_text(text, encoding="utf-8")
        os.replace(part, out / name)
