"""Tables of the results that `benchmarks.twin_conditions` has left in a folder, as Markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Optional

from benchmarks.twin_conditions_gaps import ConditionReturns, Estimate, mean_closed
from benchmarks.twin_conditions_results import ConditionResults, StageResult, read_results
from sim.twin_batch.coverage import LEFT_OUT


def report(folder: Path) -> str:
    """A table of every stage, one of the gaps and the shares of them that were closed, and what all that was made with.

    Raises:
        ConditionReportError: see `read_results`.
    """
    results = read_results(folder)
    lines = [
        f"### {folder.name}",
        "",
        "Measured on batches of twins, not through the wire. Return of the same walks for all: mean and 95 % interval, "
        "over grounds where walks share them. Left out:",
        "",
        *(f"- {line}" for line in LEFT_OUT),
        "",
        *_stage_table(results),
        "",
        "Gap: best oracle on held-out episodes minus `pre`, paired. The oracle is a reference, not a bound: PPO on "
        "reward and shaping, from `pre`. Closed: (R - R_pre) / gap, mean over seeds with its 95 % interval over "
        "episodes and seeds, each seed in brackets.",
        "",
        *_gap_table(results),
        "",
        *_settings(results),
        "",
    ]
    return "\n".join(lines)


def _stage_table(results: ConditionResults) -> list[str]:
    lines = ["| condition | seed | stage | return | velocity error m/s | falls |", "|---|---|---|---|---|---|"]
    for condition in results.conditions:
        for stage in ("pre", *results.rounds, "oracle"):
            for seed, found in sorted(results.of(condition, stage).items(), key=lambda item: item[0] or 0):
                low, high = found.interval
                lines.append(
                    f"| {condition} | {'' if seed is None else seed} | {stage} | {found.returns.mean():.0f} "
                    f"[{low:.0f}, {high:.0f}] | {found.linear_error_m_s:.3f} | {found.falls} of {len(found.returns)} |"
                )
    return lines


def _gap_table(results: ConditionResults) -> list[str]:
    rounds, left_out = results.rounds, _missing(results)
    lines = [f"| condition | gap | {' | '.join(rounds)} |", "|---" * (len(rounds) + 2) + "|"]
    counted: dict[str, list[Estimate]] = {stage: [] for stage in rounds}
    for index, condition in enumerate(results.conditions):
        before, oracle = results.of(condition, "pre").get(None), results.best_oracle(condition)
        if before is None or oracle is None:
            lines.append(f"| {condition} |{' |' * (len(rounds) + 1)}")
            continue
        gap = _returns(before, oracle, {}).gap()
        row = [f"{gap.value:+.0f} [{gap.interval[0]:+.0f}, {gap.interval[1]:+.0f}], seed {oracle.seed}"]
        if not gap.is_above_its_interval:
            row += ["no gap"] * len(rounds)
            left_out.append(f"{condition}: its gap is not larger than its interval is wide")
        else:
            for stage in rounds:
                found = results.of(condition, stage)
                row.append(_closed(_returns(before, oracle, found), index, counted[stage]) if found else "")
        lines.append(f"| {condition} | {' | '.join(row)} |")
    overall = [_mean(shares, len(results.conditions)) for shares in counted.values()]
    lines.append(f"| mean over conditions | | {' | '.join(overall)} |")
    told = [f"- {line}" for line in left_out] or ["- nothing"]
    return [*lines, "", f"Left out of the shares ({len(left_out)}):", "", *told]


def _returns(before: StageResult, oracle: StageResult, refined: dict[Optional[int], StageResult]) -> ConditionReturns:
    by_seed = {seed: one.returns for seed, one in refined.items() if seed is not None}
    return ConditionReturns(before.returns, oracle.returns, by_seed, before.grounds)


def _closed(returns: ConditionReturns, draw_seed: int, counted: list[Estimate]) -> str:
    closed = returns.closed(draw_seed)
    counted.append(closed)
    each = ", ".join(f"{share:.2f}" for share in returns.shares().values())
    return f"{_share(closed)} ({each})"


def _share(closed: Estimate) -> str:
    low, high = closed.interval
    return f"{closed.value:.2f} [{low:.2f}, {high:.2f}]"


def _mean(counted: list[Estimate], conditions: int) -> str:
    return f"{_share(mean_closed(counted))}, {len(counted)} of {conditions}" if counted else f"0 of {conditions}"


def _missing(results: ConditionResults) -> list[str]:
    """Stages that should be there for the table to be whole, a line each."""
    lines = []
    for condition in results.conditions:
        if not results.of(condition, "pre"):
            lines.append(f"{condition}: no result of pre")
        if results.best_oracle(condition) is None:
            lines.append(f"{condition}: no result of any oracle")
        for stage in (*results.rounds, "oracle"):
            found = results.of(condition, stage)
            without = [str(seed) for seed in results.seeds if seed not in found]
            if without and not (stage == "oracle" and not found):
                lines.append(f"{condition}: no result of {stage} with seed {', '.join(without)}")
    return lines


def _settings(results: ConditionResults) -> list[str]:
    """What the results have in common, and the versions of the code that made them."""
    first = results.stages[0].settings
    lines = [f"Pretrained bundle {first['pretrained_sha256'][:12]}; episodes: `{json.dumps(first['evaluation'])}`."]
    for stage in sorted({one.stage for one in results.stages}):
        made_with = next(one.settings["stage"] for one in results.stages if one.stage == stage)
        lines.append(f"- {stage}: `{json.dumps(made_with)}`")
    versions = sorted({one.code_version for one in results.stages})
    warning = " (**several: what differs between them may be in the figures**)" if len(versions) > 1 else ""
    return [*lines, f"- made by {', '.join(versions)}{warning}"]
