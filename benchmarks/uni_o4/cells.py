"""What the report's tables are made of: rows of Markdown, and the names of data, runs and methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.uni_o4.comparison import Record

NAMES = {
    "bc": "BC", "iql": "IQL", "td3bc": "TD3+BC", "bppo": "BPPO (ours)", "uni_o4": "Uni-O4 (ours)",
    "ensemble": "ensemble (ours)", "scratch": "PPO from scratch", "estimators": "offline evaluation",
}  # fmt: skip


def method_name(records: Sequence[Record], method: str) -> str:
    """With what a reader has to know: that a method was given less than its paper gives it."""
    name = NAMES[method]
    settings: Mapping[str, Any] = next((each["settings"] for each in records if each["method"] == method), {})
    share = settings.get("share_of_paper")
    if share is not None and share < 1.0:
        name += f", {100.0 * share:.3g} % of its paper's updates"
    return f"{name}, reduced" if settings.get("reduced") else name


def is_short(record: Record) -> bool:
    """Whether a peer made fewer gradient steps than in its paper."""
    share = record["settings"].get("share_of_paper")
    return share is not None and share < 1.0


def set_name(record: Record) -> str:
    return f"{record['robot']} {record['set']}"


def run_name(record: Record) -> str:
    return f"{set_name(record)}, seed {record['seed']}"


def hundredths(value: float) -> str:
    return f"{value:.2f}"


def verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def verdict_lines(target: str, verdicts: Mapping[str, Sequence[str]], remark: str = "") -> list[str]:
    """The verdict on a target that every data set has to meet, and below it the data sets with their figures."""
    overall = "MISSED" if verdicts.get("MISSED") else "open" if verdicts.get("open") else "met"
    lines = [f"- {target}: {overall}{remark}."]
    return lines + [f"    - {each}: {'; '.join(names)}" for each, names in verdicts.items() if names]


def header(cells: Sequence[str]) -> list[str]:
    return [row(cells), row(["---"] * len(cells))]


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
