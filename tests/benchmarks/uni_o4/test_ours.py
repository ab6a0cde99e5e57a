"""Several courses of improvement from one clone, and which of them is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.uni_o4.ours import chosen_course, learn
from benchmarks.uni_o4.preparation import PreparationCache
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


def test_every_course_begins_alike_and_is_told_of(tmp_path: Path):
    def learned(*quantiles: float | None):
        settings = replace(SETTINGS, halt_quantiles=quantiles)
        return learn("ensemble", STEPS, never, settings, 0, PreparationCache(tmp_path, "data"))

    both, free = learned(0.5, None), learned(None)
    told = both.notes["courses"]
    assert [each["halt_quantile"] for each in told] == [0.5, None]
    assert told[1] == free.notes["courses"][0]  # the course before it changed nothing for the second
    starts = [each.improvement.start.score.per_start for each in (both, free)]
    assert torch.equal(*starts)
