"""The worst seed is held to the targets, and who did not walk is said."""

import json
import math
from dataclasses import asdict

import pytest

from benchmarks.walk_race.judge import JudgeSettings
from benchmarks.walk_race.keeping import Moment
from benchmarks.walk_race.race import Walked
from benchmarks.walk_race.results import content, figures, ratio_to_theirs, table
from tests.benchmarks.walk_race.bench import GOOD, task


def walked(method: str, seed: int, own_s: float | None, trained_s: float = 900.0) -> Walked:
    moment = None if own_s is None else Moment(20, 2_000_000, own_s, own_s, 0.5)
    training = {"loads": [1.0, 3.0], "moments": [asdict(Moment(20, 2_000_000, trained_s, 1.0, 0.5))]}
    verdict = None if own_s is None else GOOD
    return Walked(task(method, seed), moment, verdict, trained_s, 1, [method], training)


def test_the_ratio_is_bounded_by_all_that_the_other_trained():
    ours = walked("ours", 1, 400.0)
    assert ratio_to_theirs(ours, walked("stable-baselines3", 1, 1000.0)) == 0.4
    assert ratio_to_theirs(ours, walked("stable-baselines3", 1, None, trained_s=1600.0)) == 0.25
    assert ratio_to_theirs(walked("ours", 1, None), walked("stable-baselines3", 1, 10.0)) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "values", "verdicts"),
    [
        ([400.0, 600.0], [1000.0, 1200.0], [600.0, 0.5], ["met", "met"]),
        ([400.0, 601.0], [700.0, 1300.0], [601.0, 400.0 / 700.0], ["MISSED", "MISSED"]),
        ([400.0, None], [1000.0, 1000.0], [math.inf, math.inf], ["MISSED", "MISSED"]),
        ([400.0, 450.0], [], [450.0], ["met"]),
        ([], [400.0], [], []),
    ],
)
def test_the_worst_seed_is_held_to_the_targets(ours, theirs, values, verdicts):
    parts = [walked("ours", seed, own_s) for seed, own_s in enumerate(ours)]
    parts += [walked("stable-baselines3", seed, own_s) for seed, own_s in enumerate(theirs)]
    found = figures(parts)
    assert [figure.value for figure in found] == pytest.approx(values)
    assert [figure.verdict for figure in found] == verdicts


def test_the_table_and_the_file_say_who_did_not_walk():
    parts = [walked("ours", 1, 400.0), walked("stable-baselines3", 1, None)]
    rows = table(parts).splitlines()[2:]
    assert rows[0].startswith("| ours | 1 | 400 s (400 s of processor time) | 2.00 M | 0.900, 0.850 | ")
    assert rows[1] == "| stable-baselines3 | 1 | not | - | - | - | 900 s | nobody | 2.0 |"
    one = json.loads(json.dumps(content(parts, JudgeSettings())))
    assert one["parts"][1]["walked"] is None and one["parts"][0]["walked"]["own_s"] == 400.0
    assert one["judge"]["walks"] == 100
