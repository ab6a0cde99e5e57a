"""The count behind the table of docs/logs.md, on a walk that is made by hand."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from benchmarks.quarantine import Tally, row, tally
from offline_data.dataset import Dataset, Episode
from tests.offline_data.test_leg_order import trot


class Columns(SimpleNamespace):
    """The part of a data set that counts here."""

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(getattr(self, name))


def test_every_wrong_order_of_every_judged_episode_is_offered() -> None:
    """Three seconds of a trot, and half a second of it that is too short to judge; a third one is in quarantine."""
    target, position = trot(150)
    rows = np.concatenate([target[:1], position])  # the position of a row is what came of the target before
    targets = np.concatenate([target, np.zeros((1, 12))])
    data: Any = Columns(
        joint_target=np.concatenate([targets, targets[:26]]),
        joint_position=np.concatenate([rows, rows[:26]]),
        episodes=(Episode(0, 151, "truncated", "a.mcap"), Episode(151, 177, "terminated", "a.mcap")),
        quarantined=("one",),
        info=lambda: SimpleNamespace(terminated=1),
    )
    found = tally(cast(Dataset, data))
    assert (found.episodes, found.quarantined, found.falls, found.judged) == (3, 1, 1, 1)
    assert (found.swaps, found.noticed) == (23, 23)
    assert (found.stretches, found.suspected) == (1, 0)
    assert found.least_advantage is not None and found.least_advantage > 0.01
    line = row("by hand", found)
    assert line == f"| by hand | 3 | 1 | 1 | 1 | {found.least_advantage:.3f} | 23 of 23 | 0 of 1 |"


def test_a_row_without_anything_to_judge() -> None:
    assert row("short", Tally(2, 0, 0, 0, None, 0, 0, 0, 0)) == "| short | 2 | 0 | 0 | 0 | - | 0 of 0 | 0 of 0 |"
