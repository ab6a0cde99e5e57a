"""What the imported Uni-O4 recordings say: speed reached against speed commanded, and leg odometry against the tracker.

python -m benchmarks.real_logs runs/real/dataset
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from offline_data.dataset import Dataset
from offline_data.import_uni_o4 import leg_odometry_against_tracker

_COMMAND_EDGES_M_S = (0.0, 0.2, 0.5, 0.8, 1.1, 1.5, 2.0)
_STEADY_STEPS = 50  # one second
_STILL_M_S = 0.1  # a command that changed by less, or by less than this in rad/s, counts as the same


def steady_rows(dataset: Dataset) -> np.ndarray:
    """Rows (R,) that may be learned from and whose command is what it was a second before (a stick is never still)."""
    command, episode = dataset["command"][:, :3], dataset["episode"]
    held = np.zeros(len(dataset), dtype=bool)
    change = np.abs(command[_STEADY_STEPS:] - command[:-_STEADY_STEPS]).max(axis=1)
    held[_STEADY_STEPS:] = (change < _STILL_M_S) & (episode[_STEADY_STEPS:] == episode[:-_STEADY_STEPS])
    return np.flatnonzero(held & dataset["valid"] & ~dataset["final"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    dataset = Dataset.open(parser.parse_args().dataset)
    rows = steady_rows(dataset)
    command = dataset["command"][rows, 0]
    speed = dataset["velocity_trunk_in_trunk"][rows, 0]
    print("commanded vx [m/s]   steps   reached vx: mean, 10 % and 90 % quantile [m/s]")
    for low, high in zip(_COMMAND_EDGES_M_S[:-1], _COMMAND_EDGES_M_S[1:], strict=True):
        inside = speed[(command >= low) & (command < high)]
        if len(inside) > _STEADY_STEPS:
            quantiles = np.quantile(inside, [0.1, 0.9])
            row = f"{low:4.1f} to {high:3.1f} {len(inside):12d}   {inside.mean():6.2f}"
            print(f"{row}  {quantiles[0]:6.2f} {quantiles[1]:6.2f}")
    print("\nleg odometry against the tracker:", leg_odometry_against_tracker(dataset))


if __name__ == "__main__":
    main()
