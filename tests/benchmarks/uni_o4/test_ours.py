"""Several courses of improvement from one clone, and which of them is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.uni_o4.ours import chosen_course, improved_course, learn
from benchmarks.uni_o4.preparation import PreparationCache, prepare
from benchmarks.uni_o4.robots import BenchmarkError
from benchmarks.uni_o4.termination import never
from policy.networks import GaussianActor, ValueNetwork
from policy.uni_o4.candidates import Candidate, Improvement
from policy.uni_o4.evaluation import Interval, PolicyScore
from tests.benchmarks.uni_o4.test_preparation import SETTINGS, STEPS

torch.set_num_threads(1)


def course(*scores: float) -> Improvement:
    """A course whose candidates score so much; the first is the start, and every gain is certain."""
    candidates = [
        Candidate(
            f"candidate {place}", GaussianActor(1, 1, (), 1.0), 0.0,
            PolicyScore(torch.tensor([score]), Interval(score, score, score)),
            Interval(score - scores[0], score - scores[0], score - scores[0]), None,
        )
        for place, score in enumerate(scores)
    ]  # fmt: skip
    return Improvement(tuple(candidates), ValueNetwork(1, ()))


@pytest.mark.parametrize(
    ("second", "kept"),
    (
        ((100.0, 150.0), 0),  # no better
        ((100.0, 154.0), 0),  # promises more, but by less than a tenth of 50
        ((100.0, 156.0), 1),
        ((100.0, 80.0), 0),  # only worse candidates: its best is the start
    ),
)
def test_a_further_course_has_to_promise_clearly_more(second: tuple[float, ...], kept: int):
    courses = [course(100.0, 120.0, 150.0), course(*second)]
    assert chosen_course(courses, margin=0.1) is courses[kept]


def test_a_course_that_gains_takes_the_place_of_one_that_found_nothing():
    courses = [course(100.0, 90.0), course(100.0, 101.0)]
    assert chosen_course(courses, margin=0.1) is courses[1]
    assert chosen_course(courses[:1], margin=0.1) is courses[0]


def test_every_course_begins_alike_and_the_limit_is_its_own(tmp_path: Path):
    def first_iterates(*quantiles: float | None) -> list[list[torch.Tensor]]:
        """Weights of the first candidate of the last course."""
        settings = replace(SETTINGS, halt_quantiles=quantiles, course_margin=0.0)
        ready = prepare(
            STEPS,
            never,
            settings.cloning,
            settings.value.discount,
            settings.dynamics,
            0,
            PreparationCache(tmp_path, "d"),
        )
        value = PreparationCache(tmp_path, "d").value(ready.transitions, ready.scale, settings.value, 0)[0]
        courses = [improved_course(ready, value, settings, quantile, 0) for quantile in quantiles]
        return [list(course.candidates[1].actor.parameters()) for course in courses]

    cautious, free, again = first_iterates(0.2, None, None)
    assert all(torch.equal(one, two) for one, two in zip(free, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(free, cautious, strict=True))


def test_every_course_is_told_of(tmp_path: Path):
    settings = replace(SETTINGS, halt_quantiles=(0.5, None))
    told = learn("ensemble", STEPS, never, settings, 0, PreparationCache(tmp_path, "data")).notes["courses"]
    assert [each["halt_quantile"] for each in told] == [0.5, None]


@pytest.mark.parametrize("quantiles", ((), (1.5,), (0.0, None)))
def test_impossible_limits_are_refused(quantiles: tuple[float | None, ...]):
    with pytest.raises(BenchmarkError, match="halt_quantiles"):
        replace(SETTINGS, halt_quantiles=quantiles)


def test_one_member_cannot_disagree():
    alone = replace(SETTINGS.dynamics, members=1, elites=1)
    with pytest.raises(BenchmarkError, match="two elites"):
        replace(SETTINGS, dynamics=alone, halt_quantiles=(0.9,))
    replace(SETTINGS, dynamics=alone, halt_quantiles=(None,))
