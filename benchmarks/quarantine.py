"""How often ingestion suspects healthy walks, and how often it notices that two legs were swapped.

    python -m benchmarks.quarantine --steps 1000                      # twin, through the wire: conditions x policies
    python -m benchmarks.quarantine --recordings DIR                  # real recordings that `go1 data import` reads

Every episode is offered to the check of the order of legs as it was logged, and with its measured legs in each of the
23 other orders. Falls are among them; all other checks run as they do in ingestion.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from offline_data.dataset import Dataset
from offline_data.import_uni_o4 import import_uni_o4
from offline_data.ingest import ingest
from offline_data.leg_order import LEAST_STEPS, leg_order_advantage, swapped_legs
from policy.bundle import BUNDLES
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import condition_names
from sim.collect import CollectSettings, collect_on_twin

_POLICIES = ("go1_velocity", "go1_velocity_flat")
_EXPLORATION = (1.0, 0.0)
_HEADINGS = (
    "walks",
    "episodes",
    "falls",
    "in quarantine",
    "legs judged",
    "least advantage",
    "swaps noticed",
    "stretches suspected",
)


@dataclass(frozen=True)
class Tally:
    """What became of some healthy episodes.

    Attributes:
        episodes: all of them. quarantined: by any check: false alarms. falls: episodes that end in one.
        judged: episodes long enough, with enough motion, for the order of the legs.
        least_advantage: of the true order over the next best, in correlation, over the judged; None without any.
        swaps, noticed: wrong orders offered, and those that were noticed.
        stretches, suspected: the same walks in pieces of the least length that is judged, and false alarms among them.
    """

    episodes: int
    quarantined: int
    falls: int
    judged: int
    least_advantage: float | None
    swaps: int
    noticed: int
    stretches: int
    suspected: int


def tally(data: Dataset) -> Tally:
    """Of one data set."""
    legs = load_robot().foot_names
    advantages, swaps, noticed, stretches, suspected = [], 0, 0, 0, 0
    for episode in data.episodes:
        target = np.array(data["joint_target"][episode.start : episode.stop - 1])
        position = np.array(data["joint_position"][episode.start + 1 : episode.stop])
        advantage = leg_order_advantage(target, position)
        if advantage is None:
            continue
        advantages.append(advantage)
        for first in range(0, len(target) - LEAST_STEPS + 1, LEAST_STEPS):
            piece = slice(first, first + LEAST_STEPS)
            stretches += 1
            suspected += swapped_legs(target[piece], position[piece], legs) is not None
        for order in list(itertools.permutations(range(len(legs))))[1:]:
            swapped = position.reshape(-1, len(legs), 3)[:, list(order)].reshape(position.shape)
            swaps += 1
            noticed += swapped_legs(target, swapped, legs) is not None
    return Tally(
        episodes=len(data.episodes) + len(data.quarantined),
        quarantined=len(data.quarantined),
        falls=data.info().terminated,
        judged=len(advantages),
        least_advantage=min(advantages, default=None),
        swaps=swaps,
        noticed=noticed,
        stretches=stretches,
        suspected=suspected,
    )


def twin_tally(policy: str, condition: str, exploration: float, steps: int, seed: int, folder: Path) -> Tally:
    """Log on the twin through the wire, ingest, and count."""
    settings = CollectSettings(episode_s=10.0, exploration=exploration, workers=1)
    collect_on_twin(BUNDLES / f"{policy}.go1policy", condition, steps, folder / "logs", seed, settings)
    ingest(folder / "logs", folder / "data")
    return tally(Dataset.open(folder / "data"))


def row(name: str, found: Tally) -> str:
    """A line of the table."""
    least = "-" if found.least_advantage is None else f"{found.least_advantage:.3f}"
    return (
        f"| {name} | {found.episodes} | {found.falls} | {found.quarantined} | {found.judged} | {least} | "
        f"{found.noticed} of {found.swaps} | {found.suspected} of {found.stretches} |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000, help="policy steps for each row [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="of the twins [%(default)s]")
    parser.add_argument("--conditions", nargs="+", default=list(condition_names()), help="twin conditions [all]")
    parser.add_argument("--recordings", type=Path, help="folder of real recordings, instead of the twin")
    options = parser.parse_args()
    print(f"| {' | '.join(_HEADINGS)} |\n{'|---' * len(_HEADINGS)}|")
    with tempfile.TemporaryDirectory() as scratch:
        if options.recordings is not None:
            import_uni_o4(options.recordings, Path(scratch) / "data")
            print(row("real recordings", tally(Dataset.open(Path(scratch) / "data"))))
            return
        for condition, policy, exploration in itertools.product(options.conditions, _POLICIES, _EXPLORATION):
            folder = Path(scratch) / f"{condition}_{policy}_{exploration}"
            found = twin_tally(policy, condition, exploration, options.steps, options.seed, folder)
            print(row(f"{condition}, {policy}, exploration {exploration:g}", found), flush=True)


if __name__ == "__main__":
    main()
