"""Table of several demo runs as Markdown, and what their stages gained over all seeds.

python -m benchmarks.demo_table docs/results/demo_seed*.json
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


def difference(summaries: Sequence[dict[str, Any]], before: str, after: str) -> str:
    """Mean paired difference of the returns over all walks of all summaries, with its 95 % interval."""
    earlier, later = (
        np.array([walk["episode_return"] for summary in summaries for walk in summary[stage]["per_episode"]])
        for stage in (before, after)
    )
    low, high = bootstrap_interval(later - earlier)
    return f"{(later - earlier).mean():+.1f} [{low:+.1f}, {high:+.1f}]"


def main() -> None:
    headings = ("seed", "stage", "return", "gain over the stage before", "m/s", "rad/s", "falls", "promoted", "minutes")
    print(f"| {' | '.join(headings)} |")
    print("|---" * len(headings) + "|")
    summaries = [json.loads(Path(path).read_text()) for path in sys.argv[1:]]
    for summary in summaries:
        for index, stage in enumerate(stage for stage in STAGES if stage in summary):
            row = summary[stage]
            low, high = row["return_ci95"]
            error = row["velocity_error"]
            cells = (
                str(summary["settings"]["seed"]),
                stage,
                f"{row['return_mean']:.0f} [{low:.0f}, {high:.0f}]",
                difference([summary], STAGES[index - 1], stage) if index else "",
                f"{error['linear_m_s']:.3f}",
                f"{error['yaw_rad_s']:.3f}",
                str(row["falls"]),
                {True: "yes", False: "no"}.get(row.get("promoted", ""), ""),
                f"{row['wall_s'] / 60:.1f}",
            )
            print(f"| {' | '.join(cells)} |")
    print(f"\nOver all {len(summaries)} seeds:")
    for before, after in (*itertools.pairwise(STAGES), (STAGES[0], STAGES[-1])):
        print(f"- {after} minus {before}: {difference(summaries, before, after)}")


if __name__ == "__main__":
    main()
