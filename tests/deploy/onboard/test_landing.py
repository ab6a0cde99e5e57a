"""Out of a walk: to rest first, then a stand, then a seat if one is wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deploy.onboard.landing import HALT_LIMIT_S, STILL_S, Landing
from deploy.onboard.target import Mode


@pytest.mark.parametrize("goal", [Mode.STAND, Mode.SIT])
def test_a_robot_that_is_still_stands_and_then_goes_where_it_should(view: Any, goal: Mode) -> None:
    landing = Landing()
    assert landing.begin(goal, 10.0) is Mode.HALT
    assert landing.next_mode(view(Mode.HALT, time_s=10.0)) is None
    assert landing.next_mode(view(Mode.HALT, time_s=9.99 + STILL_S)) is None
    assert landing.next_mode(view(Mode.HALT, time_s=10.0 + STILL_S)) is Mode.STAND
    assert landing.next_mode(view(Mode.STAND, time_s=11.0)) is None
    assert landing.seat_wanted is (goal is Mode.SIT)
    assert landing.next_mode(view(Mode.STAND, time_s=12.0, finished=True)) is (Mode.SIT if goal is Mode.SIT else None)
    assert not landing.seat_wanted


def test_a_robot_that_stays_in_motion_is_waited_for_until_the_limit(view: Any, make_state: Any) -> None:
    trotting = make_state(joint_velocity=np.full(12, 4.0, np.float32))
    landing = Landing()
    landing.begin(Mode.STAND, 10.0)
    for time_s in (10.0, 10.0 + STILL_S, 9.99 + HALT_LIMIT_S):
        assert landing.next_mode(view(Mode.HALT, time_s=time_s, state=trotting)) is None
    assert landing.next_mode(view(Mode.HALT, time_s=10.0 + HALT_LIMIT_S, state=trotting)) is Mode.STAND


def test_a_pause_between_two_steps_is_no_rest(view: Any, make_state: Any) -> None:
    trotting = make_state(joint_velocity=np.full(12, 4.0, np.float32))
    landing = Landing()
    landing.begin(Mode.STAND, 10.0)
    assert landing.next_mode(view(Mode.HALT, time_s=10.0)) is None
    assert landing.next_mode(view(Mode.HALT, time_s=10.4, state=trotting)) is None
    assert landing.next_mode(view(Mode.HALT, time_s=10.6)) is None
    assert landing.next_mode(view(Mode.HALT, time_s=10.61 + STILL_S)) is Mode.STAND


@pytest.mark.parametrize("ramp_finished", [False, True])
def test_a_stand_that_nobody_came_to_by_a_walk_leads_nowhere(view: Any, ramp_finished: bool) -> None:
    assert Landing().next_mode(view(Mode.STAND, finished=ramp_finished)) is None


def test_what_was_cancelled_is_forgotten(view: Any) -> None:
    landing = Landing()
    landing.begin(Mode.SIT, 0.0)
    landing.cancel()
    assert not landing.seat_wanted
    assert landing.next_mode(view(Mode.STAND, finished=True)) is None


def test_how_long_it_takes(view: Any, make_state: Any) -> None:
    """Half a second of stillness; two and a half seconds in all, and whenever it is asked after that."""
    trotting = make_state(joint_velocity=np.full(12, 4.0, np.float32))
    assert (STILL_S, HALT_LIMIT_S) == (0.5, 2.5)
    landing = Landing()
    landing.begin(Mode.STAND, 10.0)
    assert landing.next_mode(view(Mode.HALT, time_s=13.0, state=trotting)) is Mode.STAND


def test_a_halt_that_nobody_began_is_not_waited_for(view: Any, make_state: Any) -> None:
    trotting = make_state(joint_velocity=np.full(12, 4.0, np.float32))
    assert Landing().next_mode(view(Mode.HALT, time_s=0.0, state=trotting)) is Mode.STAND
