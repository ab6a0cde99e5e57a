"""Table of several demo runs as Markdown.

python -m benchmarks.demo_table docs/results/demo_seed1.json docs/results/demo_seed2.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sim.evaluate import bootstrap_interval
from sim.report import STAGES


def difference(summary: dict[str, Any], before: str, after: str) -> str:
    """Mean paired difference of the returns with its 95 % interval."""
    returns = [
        np.array([walk["episode_return"] for walk in summary[stage]["per_episode"]]) for stage in (before, after)
    ]
    low, high = bootstrap_interval(returns[1] - returns[0])
    return f"{(returns[1] - returns[0]).mean():+.1f} [{low:+.1f}, {high:+.1f}]"


def main() -> None:
    headings = ("seed", "stage", "return", "gain over the stage before", "m/s", "rad/s", "falls", "promoted", "minutes")
    print(f"| {' | '.join(headings)} |")
    print("|---" * len(headings) + "|")
    for path in sys.argv[1:]:
        summary = json.loads(Path(path).read_text())
        for index, stage in enumerate(stage for stage in STAGES if stage in summary):
            row = summary[stage]
            low, high = row["return_ci95"]
            error = row["velocity_error"]
            cells = (
                str(summary["settings"]["seed"]),
                stage,
                f"{row['return_mean']:.0f} [{low:.0f}, {high:.0f}]",
                difference(summary, STAGES[index - 1], stage) if index else "",
                f"{error['linear_m_s']:.3f}",
                f"{error['yaw_rad_s']:.3f}",
                str(row["falls"]),
                {True: "yes", False: "no"}.get(row.get("promoted", ""), ""),
                f"{row['wall_s'] / 60:.1f}",
            )
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
