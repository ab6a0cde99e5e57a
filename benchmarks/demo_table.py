"""Table of several demo runs as Markdown, and what their stages gained over all seeds.

python -m benchmarks.demo_table docs/results/demo_seed*.json

A seed's own interval is over its walks. Over all seeds the walks of one training run are not independent of each other:
seeds are drawn first, then walks within them. With three seeds even that interval is too narrow.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sim.evaluate import bootstrap_interval
from sim.report import STAGES

_DRAWS = 4000


def gains(summary: dict[str, Any], before: str, after: str) -> np.ndarray:
    """Paired differences of the returns (W,) of one run's walks."""
    earlier, later = (
        np.array([walk["episode_return"] for walk in summary[stage]["per_episode"]]) for stage in (before, after)
    )
    difference: np.ndarray = later - earlier
    return difference


def interval_over_seeds(by_seed: Sequence[np.ndarray], level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of the seeds' means: seeds drawn, then walks within each."""
    generator = np.random.default_rng(0)
    count = len(by_seed)
    drawn = [
        values[generator.integers(0, len(values), (_DRAWS, count, len(values)))].mean(axis=2) for values in by_seed
    ]
    which = generator.integers(0, count, (_DRAWS, count))
    means = np.stack(drawn)[which, np.arange(_DRAWS)[:, np.newaxis], np.arange(count)].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _with_interval(mean: float, interval: tuple[float, float]) -> str:
    return f"{mean:+.1f} [{interval[0]:+.1f}, {interval[1]:+.1f}]"


def rows(summary: dict[str, Any]) -> list[str]:
    """A line a stage that the run has, its gain over the stage before that it has."""
    lines, before = [], ""
    for stage in (stage for stage in STAGES if stage in summary):
        row = summary[stage]
        low, high = row["return_ci95"]
        error = row["velocity_error"]
        gain = gains(summary, before, stage) if before else None
        cells = (
            str(summary["settings"]["seed"]),
            stage,
            f"{row['return_mean']:.0f} [{low:.0f}, {high:.0f}]",
            _with_interval(float(gain.mean()), bootstrap_interval(gain)) if gain is not None else "",
            f"{error['linear_m_s']:.3f}",
            f"{error['yaw_rad_s']:.3f}",
            str(row["falls"]),
            {True: "yes", False: "no"}.get(row.get("promoted", ""), ""),
            f"{row['wall_s'] / 60:.1f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
        before = stage
    return lines


def over_all(summaries: Sequence[dict[str, Any]], before: str, after: str) -> str:
    """The gain from one stage to another over the seeds that have both, each seed's mean in brackets."""
    by_seed = [gains(summary, before, after) for summary in summaries if before in summary and after in summary]
    if not by_seed:
        return f"- {after} minus {before}: no seed has both"
    means = [float(values.mean()) for values in by_seed]
    each = ", ".join(f"{mean:+.1f}" for mean in means)
    told = _with_interval(float(np.mean(means)), interval_over_seeds(by_seed))
    return f"- {after} minus {before}: {told} over {len(by_seed)} seeds ({each})"


def main() -> None:
    headings = ("seed", "stage", "return", "gain over the stage before", "m/s", "rad/s", "falls", "promoted", "minutes")
    print(f"| {' | '.join(headings)} |")
    print("|---" * len(headings) + "|")
    summaries = [json.loads(Path(path).read_text()) for path in sys.argv[1:]]
    for summary in summaries:
        print("\n".join(rows(summary)))
    print(f"\nOver all {len(summaries)} seeds, intervals over seeds and walks:")
    for before, after in (*itertools.pairwise(STAGES), (STAGES[0], STAGES[-1])):
        print(over_all(summaries, before, after))


if __name__ == "__main__":
    main()
