"""The judge, on results made by hand: each class at its limit of time and just past it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, Optional

import pytest

from sim.faults.case import Expectation, FaultCase
from sim.faults.verdict import Outcome, judge
from tests.sim.faults.walked_on import WALKED_ON

DETECTABLE, PLAUSIBILITY, TOLERATED, CONTAINED = Expectation


def _outcome(expectation: Expectation, rearm: bool = False, **changes: Any) -> Outcome:
    case = FaultCase("case", "group", expectation, seed=0, rearm=rearm)
    return judge(case, replace(WALKED_ON, **changes)).outcome


@pytest.mark.parametrize(
    ("expectation", "damped_s", "expected"),
    [
        (DETECTABLE, 0.040, Outcome.DETECTED),
        (DETECTABLE, 0.042, Outcome.MISSED),
        (DETECTABLE, None, Outcome.MISSED),
        (PLAUSIBILITY, 0.200, Outcome.DETECTED),
        (PLAUSIBILITY, 0.202, Outcome.MISSED),
        (TOLERATED, None, Outcome.TOLERATED),
        (TOLERATED, 0.5, Outcome.STOPPED),
        (CONTAINED, None, Outcome.TOLERATED),
        (CONTAINED, 0.9, Outcome.DETECTED),
    ],
)
def test_each_class_has_its_own_time(expectation: Expectation, damped_s: Optional[float], expected: Outcome) -> None:
    assert _outcome(expectation, damped_s=damped_s) is expected


@pytest.mark.parametrize(
    ("damped_s", "expected"), [(0.540, Outcome.DETECTED), (0.542, Outcome.MISSED), (None, Outcome.MISSED)]
)
def test_a_fall_has_to_be_damped_soon_after_the_tilt(damped_s: Optional[float], expected: Outcome) -> None:
    assert _outcome(CONTAINED, tilted_s=0.5, damped_s=damped_s) is expected


def test_a_fall_is_not_walking_on() -> None:
    assert _outcome(TOLERATED, tilted_s=0.5) is Outcome.STOPPED


@pytest.mark.parametrize("expectation", Expectation)
@pytest.mark.parametrize("changes", [{"violations": {"torque": 1}}, {"damped_s": 0.01, "moved_again_s": 0.3}])
def test_nothing_excuses_a_limit_or_motion_without_rearming(expectation: Expectation, changes: Dict[str, Any]) -> None:
    assert _outcome(expectation, **changes) is Outcome.UNSAFE
    assert judge(FaultCase("case", "group", expectation, seed=0), replace(WALKED_ON, **changes)).unsafe


def test_only_motion_that_a_person_asked_for_is_right_and_a_robot_that_fell_may_refuse_it() -> None:
    rearmed: Dict[str, Any] = {"rearm": True, "damped_s": 0.02, "allowed_again_s": 0.9}
    assert _outcome(DETECTABLE, moved_again_s=0.91, **rearmed) is Outcome.DETECTED
    assert _outcome(DETECTABLE, moved_again_s=0.89, **rearmed) is Outcome.UNSAFE
    assert _outcome(DETECTABLE, moved_again_s=None, **rearmed) is Outcome.DETECTED


def test_time_to_damping_counts_as_the_class_does() -> None:
    fell = replace(WALKED_ON, damped_s=0.53, tilted_s=0.5)
    assert judge(FaultCase("case", "group", DETECTABLE, seed=0), fell).damping_s == pytest.approx(0.53)
    assert judge(FaultCase("case", "group", CONTAINED, seed=0), fell).damping_s == pytest.approx(0.03)
    before = replace(WALKED_ON, damped_s=0.53)
    assert judge(FaultCase("case", "group", CONTAINED, seed=0), before).damping_s == 0.0
