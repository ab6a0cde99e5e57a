"""From any mode to the seat: a walk goes through a stand that has come to rest."""

from __future__ import annotations

import pytest

from deploy.onboard.seating import Seating
from deploy.onboard.target import Mode


def test_out_of_a_walk_it_stands_still_first() -> None:
    seating = Seating()
    assert seating.next_mode(Mode.WALK, ramp_finished=False) is Mode.STAND
    assert seating.next_mode(Mode.STAND, ramp_finished=False) is None
    assert seating.pending
    assert seating.next_mode(Mode.STAND, ramp_finished=True) is Mode.SIT
    assert not seating.pending


@pytest.mark.parametrize("ramp_finished", [False, True])
def test_who_has_not_walked_may_sit_down_at_once(ramp_finished: bool) -> None:
    assert Seating().next_mode(Mode.STAND, ramp_finished) is Mode.SIT


def test_what_was_cancelled_is_forgotten() -> None:
    seating = Seating()
    seating.next_mode(Mode.WALK, ramp_finished=False)
    seating.cancel()
    assert not seating.pending
    assert seating.next_mode(Mode.STAND, ramp_finished=False) is Mode.SIT
