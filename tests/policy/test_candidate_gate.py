"""The gate before driving: each check at its boundary, what is not known, and the chance of falls by hand."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest

from policy.candidate_gate import (
    KL_SLACK,
    ROUGHNESS_FLOOR,
    ROUGHNESS_LIMIT,
    GateEvidence,
    KlSpent,
    NotChecked,
    PairedWalks,
    Roughness,
    candidate_gate,
    chance_of_at_least,
)


def walks(
    differences: list[float], candidate_falls: int = 0, incumbent_falls: int = 0, must_gain: bool = True
) -> PairedWalks:
    """Pairs of walks; the candidate falls in the first ones, the incumbent in the last ones."""
    count = len(differences)
    return PairedWalks(
        candidate=tuple(100.0 + difference for difference in differences),
        incumbent=(100.0,) * count,
        candidate_fell=tuple(index < candidate_falls for index in range(count)),
        incumbent_fell=tuple(count - 1 - index < incumbent_falls for index in range(count)),
        must_gain=must_gain,
    )


GOOD = GateEvidence(0.5, KlSpent(0.4, 0.6), Roughness(1.1, 1.0), walks([1.0, 2.0, 3.0]))


def test_a_healthy_candidate_is_accepted_and_nothing_is_left_open() -> None:
    verdict = candidate_gate(GOOD)
    assert verdict.accepted and verdict.reasons == () and verdict.not_checked == ()
    assert verdict.to_dict() == {
        "accepted": True,
        "reasons": [],
        "not_checked": [],
        "figures": {
            "gain": 0.5,
            "kl": 0.4,
            "roughness": 1.1,
            "roughness_of_incumbent": 1.0,
            "walk_gain": 2.0,
            "falls": 0,
            "falls_of_incumbent": 0,
        },
    }


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({"gain": 0.0}, "offline evaluation: the predicted gain is .0.000, not above zero"),
        ({"gain": math.nan}, "offline evaluation: the predicted gain is .nan"),
        ({"kl": KlSpent(0.6 * KL_SLACK + 1e-6, 0.6)}, "KL: 0.66 nat from where it started, the budget is 0.6"),
        ({"kl": KlSpent(math.nan, 0.6)}, "KL: nan nat"),
        ({"roughness": Roughness(ROUGHNESS_LIMIT + 1e-6, 1.0)}, "smoothness: actions change by 2 squared a step"),
        ({"roughness": Roughness(math.nan, 1.0)}, "smoothness: actions change by nan"),
        ({"walks": walks([1.0, -1.0])}, r"twin: no gain, \+0.0 a walk against the incumbent, in 2 pairs"),
        ({"walks": walks([])}, "twin: no gain, .nan a walk"),
        ({"walks": walks([-4.0, -5.0, -6.0], must_gain=False)}, "twin: clearly worse, -5.0 a walk"),
        (
            {"walks": walks([1.0], must_gain=False)},
            "twin: clearly worse, .1.0 a walk against the incumbent, in 1 ",
        ),
        ({"walks": walks([1.0] * 9, candidate_falls=5)}, "twin: falls in 5 walks in which the incumbent does not"),
        ({"walks": walks([1.0] * 9, candidate_falls=5, must_gain=False)}, "twin: falls in 5 walks"),
    ],
)
def test_each_check_refuses_with_its_own_reason(evidence: dict[str, Any], reason: str) -> None:
    verdict = candidate_gate(replace(GOOD, **evidence))
    assert not verdict.accepted
    assert len(verdict.reasons) == 1
    assert re.match(reason, verdict.reasons[0]), verdict.reasons[0]


@pytest.mark.parametrize(
    "evidence",
    [
        {"gain": 1e-9},
        {"kl": KlSpent(0.6 * KL_SLACK, 0.6)},
        {"roughness": Roughness(ROUGHNESS_LIMIT, 1.0)},
        {"roughness": Roughness(ROUGHNESS_FLOOR, 0.0)},
        {"walks": walks([1.0, -0.9])},
        # -1 +- 1.96 * 3 / sqrt(2): the interval reaches above zero.
        {"walks": walks([-4.0, 2.0], must_gain=False)},
        {"walks": walks([-1.0, -1.0, 5.0], candidate_falls=3)},
        {"walks": walks([1.0] * 9, candidate_falls=4)},
        {"walks": walks([1.0] * 12, candidate_falls=6, incumbent_falls=2)},
    ],
)
def test_at_the_boundary_a_candidate_may_pass(evidence: dict[str, Any]) -> None:
    assert candidate_gate(replace(GOOD, **evidence)).reasons == ()


def test_what_nobody_could_check_is_named_and_refuses_nothing() -> None:
    unknown = NotChecked("no model")
    verdict = candidate_gate(GateEvidence(unknown, unknown, unknown, unknown))
    assert verdict.accepted and verdict.figures == {}
    assert verdict.not_checked == tuple(
        f"{name}: no model" for name in ("offline evaluation", "KL", "smoothness", "twin")
    )


def test_every_reason_is_given_not_the_first_alone() -> None:
    verdict = candidate_gate(GateEvidence(-1.0, KlSpent(9.0, 1.0), Roughness(9.0, 1.0), walks([-1.0, -1.0])))
    assert [reason.split(":")[0] for reason in verdict.reasons] == ["offline evaluation", "KL", "smoothness", "twin"]


def test_chances_by_hand() -> None:
    """Coins: 5 of 5 in 1/32, at least 2 of 3 in 1/2; a die: at least one six in two throws, 11/36."""
    assert chance_of_at_least(5, 5, 0.5) == pytest.approx(1 / 32)
    assert chance_of_at_least(2, 3, 0.5) == pytest.approx(0.5)
    assert chance_of_at_least(1, 2, 1 / 6) == pytest.approx(11 / 36)
    assert chance_of_at_least(0, 0, 0.5) == 1.0
