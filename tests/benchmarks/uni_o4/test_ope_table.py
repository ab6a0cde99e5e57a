"""Verdicts on offline evaluation by the rule of the page, and how much of the zoo was over-optimised."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.uni_o4.ope import RANKED, WITH_INTERVAL, summarize
from benchmarks.uni_o4.ope_table import OverOptimised, ope_table, over_optimised


def policy(truth: float, guess: float, held: bool, family: str = "clones", error: float = 0.0) -> dict[str, Any]:
    interval = [truth - 1.0, truth + 1.0] if held else [truth + 1.0, truth + 2.0]
    return {
        "family": family,
        "true_score": truth,
        "true_return": truth,
        "true_return_error": error,
        "true_discounted_return": truth,
        "true_discounted_return_error": error,
        "estimates": dict.fromkeys(RANKED, guess),
        "intervals": dict.fromkeys(WITH_INTERVAL, interval),
    }


def record(policies: Sequence[dict[str, Any]], robot: str = "hopper", seed: int = 0) -> dict[str, Any]:
    return {
        "part": "ope", "robot": robot, "set": "medium", "seed": seed, "method": "estimators",
        "policies": list(policies), **summarize(policies, 0.9),
    }  # fmt: skip


def in_order(count: int, held: int) -> list[dict[str, Any]]:
    """Ranked without a slip; so many of the intervals hold the truth."""
    return [policy(float(place), 2.0 * place, place < held) for place in range(count)]


def shuffled(count: int, held: int) -> list[dict[str, Any]]:
    """Ranked by the digits backwards: as good as not ranked at all."""
    return [policy(float(place), float(7 * place % count), place < held) for place in range(count)]


def told(*records: dict[str, Any]) -> str:
    return "\n".join(ope_table(records))


def test_every_data_set_has_to_meet_the_target_by_its_whole_interval():
    text = told(record(in_order(25, 25)), record(in_order(25, 25), seed=1))
    assert "(target: at least 0.8 on every data set): met." in text
    assert "    - met: hopper medium 1.00 [1.00, 1.00]" in text
    # 50 of 50: 50 / (50 + 1.96^2) is the lower end of Wilson's interval.
    assert "    - met: hopper medium 1.00 [0.93, 1.00]" in text


def test_the_mean_of_one_good_and_one_bad_data_set_is_not_met():
    """The mean over the two is above the target in coverage, and says nothing about the second of them."""
    text = told(record(in_order(25, 25)), record(shuffled(25, 15), robot="walker2d"))
    assert "(target: at least 0.8 on every data set): MISSED, by one seed." in text
    assert "    - MISSED: walker2d medium" in text and "    - met: hopper medium" in text
    # 15 of 25 = 0.6, Wilson's upper end 0.77; 25 of 25, lower end 0.87.
    assert "    - MISSED: walker2d medium 0.60 [0.41, 0.77]" in text


def test_few_policies_leave_a_coverage_open():
    text = told(record(in_order(4, 4)), record(in_order(4, 4), seed=1))
    assert "    - open: hopper medium 1.00 [0.68, 1.00]" in text  # 8 / (8 + 1.96^2)


@pytest.mark.parametrize(
    ("truths", "wanted"),
    [
        ([1.0, 2.0, 3.0], OverOptimised(3, 0, 0)),
        ([1.0, 5.0, 4.5, 2.0], OverOptimised(4, 2, 1)),  # 0.5 below the best is within 1.96 sqrt(2) of 0.5, 3 is not
        ([5.0, 1.0, 4.9], OverOptimised(3, 2, 1)),  # an earlier one, not only the one before
        ([], OverOptimised(0, 0, 0)),
    ],
)
def test_over_optimised_is_what_earns_less_than_an_earlier_iterate(truths: list[float], wanted: OverOptimised):
    path = [policy(truth, 0.0, True, "ensemble", error=0.5) for truth in truths]
    others = [policy(9.0, 0.0, True, "clones"), policy(-9.0, 0.0, True, "published")]
    assert over_optimised([others[0], *path, others[1]]) == wanted


def test_the_table_says_how_many_policies_were_over_optimised():
    path = [policy(truth, truth, True, "ensemble", error=0.5) for truth in (1.0, 5.0, 4.5, 2.0)]
    lines = ope_table([record([*in_order(3, 3), *path])])
    assert lines[0].startswith("| data | policies | over-optimised |")
    assert lines[2].startswith("| hopper medium, seed 0 | 7 | 2 of 4 (1) |")
