"""The worst seed is held to the targets, and who did not walk is said."""

import json
import math
from dataclasses import asdict, replace

import pytest

from benchmarks.walk_race.judge import JudgeSettings, Verdict
from benchmarks.walk_race.keeping import Moment
from benchmarks.walk_race.race import Walked
from benchmarks.walk_race.results import content, figures, ratio_to_theirs, table
from benchmarks.walk_race.task import StableBaselinesSettings
from tests.benchmarks.walk_race.bench import GOOD, task

FELL = replace(GOOD, falls=1, walked_s=3.4)
SLOW = replace(GOOD, linear_tracking=0.7)


def walked(
    method: str, seed: int, own_s: float | None, trained_s: float = 900.0, fresh: Verdict = GOOD, last: Verdict = GOOD
) -> Walked:
    moment = None if own_s is None else Moment(20, 2_000_000, own_s, own_s, 0.5)
    training = {"loads": [1.0, 3.0], "moments": [asdict(Moment(20, 2_000_000, trained_s, 1.0, 0.5))]}
    verdict, confirmed = (None, None) if own_s is None else (GOOD, fresh)
    end = Moment(30, 3_000_000, trained_s, trained_s, 0.6)
    return Walked(task(method, seed), moment, verdict, confirmed, end, last, trained_s, 1, [method], training)


def test_the_ratio_is_bounded_by_all_that_the_other_trained():
    ours = walked("ours", 1, 400.0)
    assert ratio_to_theirs(ours, walked("stable-baselines3", 1, 1000.0)) == 0.4
    assert ratio_to_theirs(ours, walked("stable-baselines3", 1, None, trained_s=1600.0)) == 0.25
    assert ratio_to_theirs(walked("ours", 1, None), walked("stable-baselines3", 1, 10.0)) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "values", "verdicts"),
    [
        ([400.0, 600.0], [1000.0, 1200.0], [600.0, 2, 2, 0.5], ["met"] * 4),
        ([400.0, 601.0], [700.0, 1300.0], [601.0, 2, 2, 400.0 / 700.0], ["MISSED", "met", "met", "MISSED"]),
        ([400.0, None], [1000.0, 1000.0], [math.inf, 1, 2, math.inf], ["MISSED", "MISSED", "met", "MISSED"]),
        ([400.0, 450.0], [], [450.0, 2, 2], ["met"] * 3),
        ([], [400.0], [], []),
    ],
)
def test_the_worst_seed_is_held_to_the_targets(ours, theirs, values, verdicts):
    parts = [walked("ours", seed, own_s) for seed, own_s in enumerate(ours)]
    parts += [walked("stable-baselines3", seed, own_s) for seed, own_s in enumerate(theirs)]
    found = figures(parts)
    assert [figure.value for figure in found] == pytest.approx(values)
    assert [figure.verdict for figure in found] == verdicts


def test_a_winner_that_fails_on_fresh_walks_and_a_last_policy_that_falls_are_counted():
    parts = [walked("ours", 1, 400.0, fresh=FELL), walked("ours", 2, 400.0, last=SLOW), walked("ours", 3, 400.0)]
    seconds, fresh, last = figures(parts)
    assert seconds.verdict == "met", "what counts is the first that walks, as asked"
    assert [(one.value, one.at_least, one.verdict) for one in (fresh, last)] == [(2, 3, "MISSED")] * 2
    cells = [[cell.strip() for cell in row.split("|")] for row in table(parts).splitlines()]
    on_fresh, at_end = cells[0].index("on fresh walks"), cells[0].index("last policy")
    assert [row[on_fresh] for row in cells[2:]] == ["no: a fall after 3.4 s", "yes: 0.900, 0.850", "yes: 0.900, 0.850"]
    assert [row[at_end] for row in cells[2:]] == ["yes: 0.900, 0.850", "no: 0.700, 0.850", "yes: 0.900, 0.850"]
    file = content(parts, JudgeSettings())["parts"]
    assert [part["fresh_verdict"]["falls"] for part in file] == [1, 0, 0]
    assert [part["last_verdict"]["linear_tracking"] for part in file] == [0.9, 0.7, 0.9]
    assert file[0]["last"]["iteration"] == 30


def test_the_table_says_who_began_with_the_trot():
    theirs = walked("stable-baselines3", 1, 400.0)
    begun = replace(theirs, task=task("stable-baselines3", tuned=StableBaselinesSettings(begin_with_trot=True)))
    names = [row.split("|")[1].strip() for row in table([walked("ours", 1, 400.0), theirs, begun]).splitlines()[2:]]
    assert names == ["ours", "stable-baselines3", "stable-baselines3, from the trot"]
    ours = walked("ours", 1, 400.0)
    assert [figures([ours, other])[-1].name for other in (theirs, begun)] == [
        "... / stable-baselines3 from random weights, worst of 1",
        "... / stable-baselines3 from the trot, worst of 1",
    ]


def test_the_table_and_the_file_say_who_did_not_walk():
    parts = [walked("ours", 1, 400.0), walked("stable-baselines3", 1, None)]
    rows = table(parts).splitlines()[2:]
    assert rows[0].startswith("| ours | 1 | 400 s (400 s of processor time) | 2.00 M | 0.900, 0.850 | ")
    assert rows[1] == ("| stable-baselines3 | 1 | not | - | - | - | - | yes: 0.900, 0.850 | 900 s | nobody | 2.0 |")
    one = json.loads(json.dumps(content(parts, JudgeSettings())))
    assert one["parts"][1]["walked"] is None and one["parts"][0]["walked"]["own_s"] == 400.0
    assert one["judge"]["walks"] == 100
