"""What the race comes to: seconds of each seed and method, their ratio, and the worst seed against the targets."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Optional, Sequence

import numpy as np

from benchmarks.figures import Figure
from benchmarks.walk_race.judge import JudgeSettings, Verdict
from benchmarks.walk_race.race import Walked

SECONDS_TARGET, RATIO_TARGET = 600.0, 0.5


def ratio_to_theirs(ours: Walked, theirs: Walked) -> Optional[float]:
    """Our seconds / theirs; where they did not walk at all, an upper bound by all that they trained.

    None where ours did not walk.
    """
    if ours.moment is None:
        return None
    return ours.moment.own_s / (theirs.moment.own_s if theirs.moment is not None else theirs.trained_s)


def figures(parts: Sequence[Walked]) -> list[Figure]:
    """The worst seed's seconds and ratio; a seed that did not walk is infinitely late.

    Of ours also how many seeds' first walking policies walk on fresh walks, and how many last ones on the same walks.
    """
    ours = {part.task.seed: part for part in parts if part.task.method == "ours"}
    theirs = {part.task.seed: part for part in parts if part.task.method != "ours"}
    found = []
    if ours:
        worst = max(part.moment.own_s if part.moment is not None else float("inf") for part in ours.values())
        found.append(Figure(f"seconds to walk, worst of {len(ours)} seeds", worst, "s", at_most=SECONDS_TARGET))
        fresh = sum(part.fresh is not None and part.fresh.walks_well for part in ours.values())
        last = sum(part.last_verdict.walks_well for part in ours.values())
        found.append(Figure("the first policy that walks: on fresh walks, too", fresh, "seeds", at_least=len(ours)))
        found.append(Figure("the last policy, which is delivered: walks", last, "seeds", at_least=len(ours)))
    both = sorted(set(ours) & set(theirs))
    if both:
        ratios = [ratio_to_theirs(ours[seed], theirs[seed]) for seed in both]
        worst = max(float("inf") if ratio is None else ratio for ratio in ratios)
        begun = "the trot" if theirs[both[0]].task.tuned.begin_with_trot else "random weights"
        title = f"... / stable-baselines3 from {begun}, worst of {len(both)}"
        found.append(Figure(title, worst, "x", at_most=RATIO_TARGET))
    return found


def table(parts: Sequence[Walked]) -> str:
    """Markdown, a row a part."""
    lines = [
        "| method | seed | walks after | steps | tracking: linear, yaw | errors | on fresh walks | last policy | "
        "trained | turns with | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for part in parts:
        load = part.training["loads"]
        others = ", ".join(name for name in part.together if name != part.task.method) or "nobody"
        if part.moment is None or part.verdict is None or part.fresh is None:
            cells = ["not", "-", "-", "-", "-"]
        else:
            verdict = part.verdict
            cells = [
                f"{part.moment.own_s:.0f} s ({part.moment.processor_s:.0f} s of processor time)",
                f"{part.moment.steps / 1e6:.2f} M",
                f"{verdict.linear_tracking:.3f}, {verdict.yaw_tracking:.3f}",
                f"{verdict.linear_error_m_s:.3f} m/s, {verdict.yaw_error_rad_s:.3f} rad/s",
                whether_it_walks(part.fresh),
            ]
        row = [method_name(part), part.task.seed, *cells, whether_it_walks(part.last_verdict)]
        row += [f"{part.trained_s:.0f} s", others]
        row.append(f"{np.median(load):.1f}" if load else "-")
        lines.append("| " + " | ".join(map(str, row)) + " |")
    return "\n".join(lines)


def whether_it_walks(verdict: Verdict) -> str:
    """A cell: yes or no, and the tracking, linear and yaw, or when the first robot fell."""
    if verdict.falls:
        return f"no: a fall after {verdict.walked_s:.1f} s"
    answer = "yes" if verdict.walks_well else "no"
    return f"{answer}: {verdict.linear_tracking:.3f}, {verdict.yaw_tracking:.3f}"


def method_name(part: Walked) -> str:
    """With what it began where that was not its own way."""
    begun = part.task.method != "ours" and part.task.tuned.begin_with_trot
    return f"{part.task.method}, from the trot" if begun else part.task.method


def content(parts: Sequence[Walked], judging: JudgeSettings) -> dict[str, Any]:
    """Everything, for a file."""
    return {
        "judge": asdict(judging),
        "fresh_judge": asdict(judging.fresh()),
        "figures": [{**asdict(figure), "verdict": figure.verdict} for figure in figures(parts)],
        "parts": [_part(part) for part in parts],
    }


def _part(part: Walked) -> dict[str, Any]:
    training = {name: value for name, value in part.training.items() if name != "moments"}
    return {
        "method": part.task.method,
        "seed": part.task.seed,
        "walked": None if part.moment is None else asdict(part.moment),
        "verdict": None if part.verdict is None else asdict(part.verdict),
        "fresh_verdict": None if part.fresh is None else asdict(part.fresh),
        "last": asdict(part.last),
        "last_verdict": asdict(part.last_verdict),
        "trained_s": part.trained_s,
        "iterations": len(part.training["moments"]),
        "policies_judged": part.judged,
        "took_turns_with": list(part.together),
        "training": training,
    }
