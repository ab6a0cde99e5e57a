"""A page of the results that `benchmarks.twin_conditions` has left in a folder, as Markdown with its pictures."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.twin_conditions_curves import draw_curves
from benchmarks.twin_conditions_films import FILM
from benchmarks.twin_conditions_gaps import Estimate, mean_of
from benchmarks.twin_conditions_results import ConditionResults, read_results
from benchmarks.twin_conditions_settings import REPORTED_CONDITIONS, STEADY_CONDITIONS, TUNED_CONDITIONS
from benchmarks.twin_conditions_steady import FORWARD
from benchmarks.twin_conditions_verdicts import closed_by, returns_of, verdicts
from sim.twin_batch.coverage import LEFT_OUT


def write_page(folder: Path, page: Path) -> None:
    """Write the page, its curves and copies of the films beside it, in a folder of the page's name.

    Raises:
        ConditionReportError: see `read_results`.
    """
    results = read_results(folder)
    pictures = page.with_suffix("")
    draw_curves(results, pictures / "curves.svg")
    films = []
    for condition in results.conditions:
        film, beside = folder / condition / FILM, pictures / condition / FILM
        if film.exists():
            beside.parent.mkdir(parents=True, exist_ok=True)
            if not beside.exists() or not os.path.samefile(film, beside):
                shutil.copy(film, beside)
            films.append(f"![{condition}, before and after]({os.path.relpath(beside, page.parent)})")
    page.write_text(report(results, f"![learning curves]({pictures.name}/curves.svg)", films))


def report(results: ConditionResults, curves: str = "", films: Sequence[str] = ()) -> str:
    """Verdicts, a table of every stage, one of gaps and the shares closed, and what all that was made with."""
    lines = [
        "# The twin's conditions, measured",
        "",
        "Written by `python -m benchmarks.twin_conditions --out FOLDER --report PAGE`; do not edit.",
        "",
        *_verdict_table(results),
        "",
        f"Settings may be fixed on {' and '.join(TUNED_CONDITIONS)}; {', '.join(REPORTED_CONDITIONS)} are reported on. "
        "Met and MISSED need the whole 95 % interval and three seeds in every condition, else a target is open.",
        "",
        curves,
        "",
        *[line for film in films for line in (film, "")],
        "## Stages",
        "",
        f"{_walks(results)} Measured on batches of twins, not through the wire; the same walks for all. Mean return "
        "and 95 % interval, over grounds where walks share them. `pre` is the policy pretrained on flat ground, that "
        "learning begins with; `robust` was pretrained on all kinds of ground and stands beside it. Left out:",
        "",
        *(f"- {line}" for line in LEFT_OUT),
        "",
        *_stage_table(results),
        "",
        *[line for condition in STEADY_CONDITIONS for line in _steady(results, condition)],
        "## Gaps",
        "",
        "Gap: best oracle on held-out episodes minus `pre`, paired. The oracle is a reference, not a bound: PPO on "
        "reward and shaping, from `pre`. Closed: (R - R_pre) / gap, mean over seeds with its 95 % interval over "
        "episodes and seeds, each seed in brackets.",
        "",
        *_gap_table(results),
        "",
        "## Made with",
        "",
        *_settings(results),
        "",
    ]
    return "\n".join(lines)


def _walks(results: ConditionResults) -> str:
    """What one line of the table is measured on."""
    evaluation = results.stages[0].settings["evaluation"]
    seeds = results.stages[0].episode_seeds
    return (
        f"Each line is an evaluation of {len(seeds)} walks of {evaluation['episode_s']:g} s, seeds {min(seeds)} to "
        f"{max(seeds)}."
    )


def _verdict_table(results: ConditionResults) -> list[str]:
    rows = [f"| {one.target} | {one.measured} | {one.word} |" for one in verdicts(results)]
    return ["| target | measured | |", "|---|---|---|", *rows]


def _stage_table(results: ConditionResults) -> list[str]:
    lines = ["| condition | seed | stage | return | velocity error m/s | falls |", "|---|---|---|---|---|---|"]
    for condition in results.conditions:
        for stage in results.names:
            for seed, found in sorted(results.of(condition, stage).items(), key=lambda item: item[0] or 0):
                low, high = found.interval
                lines.append(
                    f"| {condition} | {'' if seed is None else seed} | {stage} | {found.returns.mean():.0f} "
                    f"[{low:.0f}, {high:.0f}] | {found.linear_error_m_s:.3f} | {found.falls} of {len(found.returns)} |"
                )
    return lines


def _steady(results: ConditionResults, condition: str) -> list[str]:
    """Speeds under the steady command in a condition; nothing where they were not measured."""
    rows = []
    for stage in results.names:
        for seed, found in sorted(results.of(condition, stage).items(), key=lambda item: item[0] or 0):
            if found.forward_m_s is None:
                continue
            speeds, robots = found.forward_m_s, len(found.forward_m_s) + found.forward_falls
            reached = f"{speeds.mean():.2f} ({speeds.min():.2f} to {speeds.max():.2f})" if len(speeds) else ""
            seed_told = "" if seed is None else seed
            rows.append(f"| {stage} | {seed_told} | {reached} | {found.forward_falls} of {robots} |")
    if not rows:
        return []
    head = f"Speed on {condition} at a commanded {FORWARD[0]:g} m/s, mean and range of those that stayed up:"
    return [head, "", "| stage | seed | m/s | falls |", "|---|---|---|---|", *rows, ""]


def _gap_table(results: ConditionResults) -> list[str]:
    names, left_out = results.compared, _missing(results)
    lines = [f"| condition | gap | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    counted: dict[str, list[Estimate]] = {stage: [] for stage in names}
    for condition in results.conditions:
        start, oracle = returns_of(results, condition, "pre"), results.best_oracle(condition)
        if start is None or oracle is None:
            lines.append(f"| {condition} |{' |' * (len(names) + 1)}")
            continue
        gap = start.gap()
        row = [f"{gap.value:+.0f} [{gap.interval[0]:+.0f}, {gap.interval[1]:+.0f}], seed {oracle.seed}"]
        if not gap.is_above_its_interval:
            row += ["no gap"] * len(names)
            left_out.append(f"{condition}: its gap is not larger than its interval is wide")
        else:
            row += [_closed(results, condition, stage, counted[stage]) for stage in names]
        lines.append(f"| {condition} | {' | '.join(row)} |")
    overall = [_mean(shares, len(results.conditions)) for shares in counted.values()]
    lines.append(f"| mean over conditions | | {' | '.join(overall)} |" if names else "| mean over conditions | |")
    told = [f"- {line}" for line in left_out] or ["- nothing"]
    return [*lines, "", f"Left out of the shares ({len(left_out)}):", "", *told]


def _closed(results: ConditionResults, condition: str, stage: str, counted: list[Estimate]) -> str:
    closed, returns = closed_by(results, condition, stage), returns_of(results, condition, stage)
    if closed is None or returns is None:
        return ""
    counted.append(closed)
    each = ", ".join(f"{share:.2f}" for share in returns.shares().values())
    return f"{_share(closed)} ({each})"


def _share(closed: Estimate) -> str:
    low, high = closed.interval
    return f"{closed.value:.2f} [{low:.2f}, {high:.2f}]"


def _mean(counted: list[Estimate], conditions: int) -> str:
    return f"{_share(mean_of(counted))}, {len(counted)} of {conditions}" if counted else f"0 of {conditions}"


def _missing(results: ConditionResults) -> list[str]:
    """Stages that should be there for the table to be whole, a line each."""
    lines = []
    for condition in results.conditions:
        if not results.of(condition, "pre"):
            lines.append(f"{condition}: no result of pre")
        if results.best_oracle(condition) is None:
            lines.append(f"{condition}: no result of any oracle")
        for stage in (*results.compared, "oracle"):
            found = results.of(condition, stage)
            without = [str(seed) for seed in results.seeds if seed not in found]
            if without and not (stage == "oracle" and not found):
                lines.append(f"{condition}: no result of {stage} with seed {', '.join(without)}")
    return lines


def _settings(results: ConditionResults) -> list[str]:
    """What the results have in common, and the versions of the code that made them."""
    first = results.stages[0].settings
    lines = [f"Pretrained bundle {first['pretrained_sha256'][:12]}; episodes: `{json.dumps(first['evaluation'])}`.", ""]
    for stage in results.names:
        made_with = next(one.settings["stage"] for one in results.stages if one.stage == stage)
        lines.append(f"- {stage}: `{json.dumps(made_with)}`")
    versions = sorted({one.code_version for one in results.stages})
    warning = " (**several: what differs between them may be in the figures**)" if len(versions) > 1 else ""
    return [*lines, f"- made by {', '.join(versions)}{warning}"]
