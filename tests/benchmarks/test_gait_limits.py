"""What a roboticist would accept: each limit at its bound, over the walks that it is for."""

import math

import pytest

from benchmarks.gait_limits import LIMITS, STARTS_AND_STOPS, Limit, verdicts
from benchmarks.transfer import NOMINAL
from deploy.onboard.landing import HALT_LIMIT_S


def at_the_bounds() -> dict[str, dict[str, float]]:
    walks: dict[str, dict[str, float]] = {}
    for limit in LIMITS:
        for walk in limit.walks:
            walks.setdefault(walk, {})[limit.measure] = limit.at_most
    return walks


def test_all_that_is_at_its_bound_is_met() -> None:
    found = verdicts(at_the_bounds())
    assert [figure.verdict for figure in found] == ["met"] * len(LIMITS)


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.measure)
def test_one_walk_beyond_a_bound_misses_it_and_no_other(limit: Limit) -> None:
    for walk in limit.walks:
        for value in (1.001 * limit.at_most, math.inf, math.nan):
            walks = at_the_bounds()
            walks[walk][limit.measure] = value
            missed = [
                one.measure for one, figure in zip(LIMITS, verdicts(walks), strict=True) if figure.verdict != "met"
            ]
            assert missed == [limit.measure]


def test_everything_that_was_asked_for_has_a_limit_with_a_reason() -> None:
    assert [limit.measure for limit in LIMITS] == [
        "left_right_asymmetry",
        "drag",
        "stamp",
        "torque_ripple",
        "joint_motion_rad_s",
        "peak_tilt_rad",
        "overshoot_m_s",
        "time_to_rest_s",
        "target_jolt",
    ]
    assert all(len(limit.reason) > 20 for limit in LIMITS)


def test_limits_by_hand() -> None:
    """Half of atan(0.12675 m / 0.29 m); the top of a half sine that carries half a weight on average, doubled."""
    by_name = {limit.measure: limit for limit in LIMITS}
    assert by_name["peak_tilt_rad"].at_most == pytest.approx(0.206, abs=1e-3)
    assert by_name["stamp"].at_most == pytest.approx(1.571, abs=1e-3)
    assert by_name["overshoot_m_s"].at_most == NOMINAL.linear_m_s
    assert by_name["time_to_rest_s"].at_most == HALT_LIMIT_S
    assert by_name["joint_motion_rad_s"].walks == ("standing",)
    assert by_name["target_jolt"].walks == (STARTS_AND_STOPS,)
