"""Films of before and after, side by side, on the twin and through the wire."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from benchmarks.twin_conditions_results import ConditionResults, StageResult
from benchmarks.twin_conditions_settings import ONLINE_STAGES, ConditionBenchmark
from benchmarks.twin_conditions_steady import FORWARD
from robot_configs.errors import Go1Error
from sim.side_by_side import play_side_by_side

FILM = "before_after.gif"
FILM_S = 6.0


def last_of_ours(results: ConditionResults, condition: str) -> StageResult | None:
    """The policy that ours came to, by the lowest seed: after online learning if there was any; None where none was."""
    ours = [name for online, offline in ONLINE_STAGES.items() if offline == "refined" for name in (offline, online)]
    for name in reversed([name for family in ours for name in results.numbered(family)]):
        found = results.of(condition, name)
        if found:
            return found[min(seed for seed in found if seed is not None)]
    return None


def film_conditions(
    results: ConditionResults,
    benchmark: ConditionBenchmark,
    conditions: Sequence[str],
    out: Path,
    say: Callable[[str], None],
) -> list[str]:
    """Film start and end of ours in each condition, at a commanded `FORWARD`; a film that is there is left.

    Returns what could not be filmed, a line each.
    """
    failures = []
    for condition in conditions:
        film = out / condition / FILM
        if film.exists():
            continue
        last = last_of_ours(results, condition)
        if last is None:
            failures.append(f"{condition}: nothing was learned there yet; run the stage refined")
            continue
        vx, vy, yaw = FORWARD
        both = {
            "before": benchmark.bundle,
            f"after: {last.stage}, seed {last.seed}": out / condition / f"seed{last.seed}" / last.bundle,
        }
        try:
            play_side_by_side(both, condition, f"vx={vx:g},vy={vy:g},yaw={yaw:g}", FILM_S, film)
            say(f"{condition}: {film}")
        except Go1Error as error:
            failures.append(f"{condition}: {error}")
    return failures
