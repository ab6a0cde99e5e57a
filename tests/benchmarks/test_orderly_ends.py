"""Fast walks that end in order: the robot comes to rest and stays up; without coming to rest it did not."""

from __future__ import annotations

import pytest

from benchmarks.orderly_ends import COMMANDS, ENDS, EndedWalk, WhoEnds, end_a_walk, row
from policy.bundle import BUNDLES, Bundle, read_bundle

TIPPED_ONCE = (0, 5, 17)
"""Sessions of seed 0 that tipped when STAND followed WALK at once; of either command."""


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(BUNDLES / "go1_velocity.go1policy")


def test_only_a_walk_that_ended_in_order_can_tip_afterwards() -> None:
    stayed = EndedWalk(0, COMMANDS[0], "truncated", 1.8, "", 0.1)
    tipped = EndedWalk(1, COMMANDS[1], "intervention", 1.6, "tilt", 1.5)
    fell_before = EndedWalk(2, COMMANDS[0], "terminated", 0.9, "tilt", 1.4)
    never = EndedWalk(3, COMMANDS[1], "", 0.0, "motor_hot", 0.0)
    walks = [stayed, tipped, fell_before, never]
    assert [walk.tipped for walk in walks] == [False, True, False, False]
    assert row("plan", walks) == "| plan | 4 | 2 | 1 | 1.50 | 1: tilt |"


@pytest.mark.slow
@pytest.mark.parametrize("session", TIPPED_ONCE)
@pytest.mark.parametrize("ends", ENDS)
def test_the_robot_stays_up(bundle: Bundle, ends: WhoEnds, session: int) -> None:
    walk = end_a_walk(bundle, ends, seed=0, session=session)
    assert walk.ended_in_order and 1.5 <= walk.walked_s <= 2.02
    assert walk.fault == ""
    assert walk.largest_tilt_rad < 0.5


@pytest.mark.slow
def test_without_coming_to_rest_most_of_them_tip(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not each: the stand begins one tick later than it used to."""
    monkeypatch.setattr("deploy.onboard.landing.HALT_LIMIT_S", 0.0)
    walks = [end_a_walk(bundle, "plan", seed=0, session=session) for session in TIPPED_ONCE]
    assert sum(walk.tipped for walk in walks) >= 2
