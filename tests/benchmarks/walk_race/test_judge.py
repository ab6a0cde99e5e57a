"""What walking is, by hand, and how much of it is looked at."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.walk_race import judge as judge_module
from benchmarks.walk_race.judge import JudgeSettings, Verdict, WalkScore, first_that_walks, judge
from tests.benchmarks.walk_race.bench import GOOD


def score(command, velocity, yaw_rate=0.0) -> WalkScore:
    one = WalkScore()
    one.add(np.array([command]), np.array([velocity]), np.array([yaw_rate]))
    return one


@pytest.mark.parametrize(
    ("command", "velocity", "tracking"),
    [
        ([1.0, 0.0, 0.0], [0.5, 0.0], 0.5),
        ([1.0, 0.0, 0.0], [0.5, 3.0], 0.5),  # aside counts nothing
        ([1.0, 0.0, 0.0], [2.0, 0.0], 1.0),  # nor does more
        ([-1.0, 0.0, 0.0], [0.5, 0.0], -0.5),  # the other way counts against
        ([0.6, 0.8, 0.0], [0.6, 0.0], 0.36),  # (0.6 x 0.6) / 1
    ],
)
def test_linear_tracking_is_the_share_along_the_command(command, velocity, tracking):
    linear, yaw = score(command, velocity).tracking
    assert linear == pytest.approx(tracking) and math.isnan(yaw)


@pytest.mark.parametrize(("rate", "tracking"), [(-1.0, 0.5), (-3.0, 1.0), (1.0, -0.5)])
def test_yaw_tracking_has_a_direction(rate, tracking):
    linear, yaw = score([0.0, 0.0, -2.0], [0.3, 0.0], rate).tracking
    assert yaw == pytest.approx(tracking) and math.isnan(linear)


def test_steps_weigh_by_what_was_commanded():
    both = WalkScore()
    both.add(np.array([[1.0, 0, 0], [0.0, 0, 0]]), np.array([[1.0, 0], [9.0, 0]]), np.zeros(2))
    both.add(np.array([[3.0, 0, 0]]), np.array([[1.5, 0]]), np.zeros(1))
    assert both.tracking[0] == pytest.approx((1.0 + 0.0 + 1.5) / (1.0 + 0.0 + 3.0))
    assert both.error == pytest.approx(((0.0 + 9.0 + 1.5) / 3, 0.0))


@pytest.mark.parametrize(
    ("verdict", "well"),
    [
        (replace(GOOD, yaw_tracking=0.8), True),
        (replace(GOOD, yaw_tracking=0.7999), False),
        (replace(GOOD, linear_tracking=0.7999), False),
        (replace(GOOD, linear_tracking=float("nan")), False),
        (replace(GOOD, yaw_tracking=float("nan")), False),
        (replace(GOOD, falls=1), False),
        (replace(GOOD, walks=20), False),
    ],
)
def test_what_walking_is(verdict, well):
    assert verdict.walks_well is well


@pytest.mark.parametrize(
    ("screened", "walked"),
    [
        (replace(GOOD, walks=20), [20, 100]),
        (replace(GOOD, walks=20, yaw_tracking=0.71), [20, 100]),
        (replace(GOOD, walks=20, yaw_tracking=0.69), [20]),
        (replace(GOOD, walks=20, linear_tracking=float("nan")), [20]),
        (replace(GOOD, walks=20, falls=1), [20]),
    ],
)
def test_a_hopeless_policy_is_not_walked_a_hundred_times(screened, walked, monkeypatch: pytest.MonkeyPatch):
    asked: list[list[int]] = []

    def walk(graph, settings, seeds, threads):
        asked.append(list(seeds))
        return screened if len(seeds) == 20 else GOOD

    monkeypatch.setattr(judge_module, "_walk", walk)
    verdict = judge(None, JudgeSettings(seed=3))  # type: ignore[arg-type]
    assert [len(seeds) for seeds in asked] == walked
    assert asked[-1] == [300_000 + index for index in range(len(asked[-1]))], "the walks of go1 sim eval --seed 3"
    assert verdict.walks_well is (walked[-1] == 100)


def test_fresh_walks_are_others_and_all_are_walked():
    """Walk i has the seed 100,000 times the judge's plus i: no two judges share one."""
    first, fresh = JudgeSettings(), JudgeSettings().fresh()
    assert {fresh.seed * 100_000 + walk for walk in range(100)}.isdisjoint(first.seed * 100_000 + w for w in range(100))
    assert replace(fresh, seed=first.seed, screen=first.screen) == first and fresh.screen == fresh.walks


def test_the_first_that_walks_is_found_without_judging_the_later_ones():
    judged = []

    def verdict_of(iteration: int) -> Verdict:
        judged.append(iteration)
        return replace(GOOD, falls=0 if iteration >= 30 else 1)

    assert first_that_walks([40, 10, 30, 20], verdict_of) == 30
    assert judged == [10, 20, 30]
    assert first_that_walks([10, 20], verdict_of) is None
