"""What devices add up to: deflections without jumps, and the 0.3 s after which nothing moves without a person."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest

from deploy.onboard.commands import CommandError
from deploy.onboard.keyboard import HOLD_S
from deploy.onboard.operator_input import (
    FALL_S,
    RISE_S,
    DeviceReading,
    Operator,
    OperatorCommands,
    Wish,
)
from policy.contract import CommandTerm

TICK_S = 0.002
TERMS = (
    CommandTerm("vx", "m/s", -1.0, 1.5),
    CommandTerm("vy", "m/s", -0.8, 0.8),
    CommandTerm("yaw", "rad/s", -1.5, 1.5),
)


class Hand:
    """A device that reports what the test sets."""

    def __init__(self) -> None:
        self.connected = True
        self.typing: Optional[str] = None
        self.deflection = (0.0, 0.0, 0.0)
        self.wishes: tuple[Wish, ...] = ()
        self.marks: tuple[str, ...] = ()

    def read(self, time_s: float) -> DeviceReading:
        reading = DeviceReading(self.deflection, self.wishes, self.marks)
        self.wishes, self.marks = (), ()
        return reading


@pytest.fixture
def hand() -> Hand:
    return Hand()


def poll(operator: Operator, start_s: float, duration_s: float) -> np.ndarray:
    """Deflections (N, 3), one a tick."""
    found = []
    for tick in range(round(duration_s / TICK_S)):
        operator.poll(start_s + tick * TICK_S)
        found.append(operator.deflection)
    return np.array(found)


def test_it_rises_without_a_jump_and_arrives(hand: Hand) -> None:
    operator = Operator([hand], speed=1.0)
    poll(operator, 0.0, 0.01)
    hand.deflection = (1.0, -0.5, 0.0)
    found = poll(operator, 0.01, 1.0)
    assert np.abs(np.diff(found, axis=0)).max() <= TICK_S / RISE_S + 1e-12
    assert found[-1] == pytest.approx([1.0, -0.5, 0.0])
    assert found[round(0.5 * RISE_S / TICK_S), 0] == pytest.approx(0.5, abs=0.02)


def test_a_reversal_goes_through_zero_at_the_speed_of_letting_go(hand: Hand) -> None:
    operator = Operator([hand], speed=1.0)
    hand.deflection = (1.0, 0.0, 0.0)
    poll(operator, 0.0, 1.0)
    hand.deflection = (-1.0, 0.0, 0.0)
    found = poll(operator, 1.0, 1.0)[:, 0]
    assert np.all(np.diff(found) <= 1e-12)
    assert found[round(FALL_S / TICK_S)] == pytest.approx(0.0, abs=0.02)
    assert found[-1] == -1.0


def test_the_speed_scales_and_has_limits(hand: Hand) -> None:
    operator = Operator([hand], speed=0.5)
    hand.deflection = (1.0, 0.0, 0.0)
    assert poll(operator, 0.0, 1.0)[-1, 0] == pytest.approx(0.5)
    hand.wishes = (Wish.SLOWER,) * 9
    poll(operator, 1.0, 0.01)
    assert operator.speed == 0.1
    hand.wishes = (Wish.FASTER,) * 20
    poll(operator, 2.0, 0.01)
    assert operator.speed == 1.0
    assert operator.take_wishes() == []


def test_the_larger_deflection_of_two_devices_counts() -> None:
    left, right = Hand(), Hand()
    operator = Operator([left, right], speed=1.0)
    left.deflection, right.deflection = (0.2, -1.0, 0.0), (-0.7, 0.3, 0.0)
    assert poll(operator, 0.0, 1.0)[-1] == pytest.approx([-0.7, -1.0, 0.0])


def test_wishes_and_marks_are_handed_over_once(hand: Hand) -> None:
    operator = Operator([hand], speed=1.0)
    hand.wishes, hand.marks = (Wish.STAND, Wish.STOP), ("ice",)
    operator.poll(0.0)
    assert operator.take_wishes() == [Wish.STAND, Wish.STOP]
    assert operator.take_marks() == ["ice"]
    assert operator.take_wishes() == [] and operator.take_marks() == []


def test_full_speed_is_gone_a_seventh_of_a_second_after_the_device(hand: Hand) -> None:
    operator = Operator([hand], speed=1.0)
    hand.deflection = (1.0, 1.0, -1.0)
    poll(operator, 0.0, 1.0)
    hand.connected = False  # and it goes on reporting full deflection, as a stuck driver would
    found = poll(operator, 1.0, 1.0)
    assert operator.lost_since_s == 1.0
    assert np.all(found[round(FALL_S / TICK_S) + 1 :] == 0.0)


def test_hands_off_the_keyboard_is_standing_still_within_three_tenths_of_a_second() -> None:
    """The last repetition counts for HOLD_S, then the deflection falls for FALL_S."""
    assert HOLD_S + FALL_S <= 0.3 + 1e-12


def test_a_lost_device_does_not_come_back(hand: Hand) -> None:
    operator = Operator([hand], speed=1.0)
    hand.connected = False
    operator.poll(1.0)
    hand.connected, hand.deflection = True, (1.0, 0.0, 0.0)
    assert np.all(poll(operator, 1.002, 1.0) == 0.0)
    assert operator.lost_since_s == 1.0


def test_a_tick_that_came_late_moves_no_further_than_the_wish(hand: Hand) -> None:
    operator = Operator([hand], speed=1.0)
    operator.poll(0.0)
    hand.deflection = (0.4, 0.0, 0.0)
    operator.poll(30.0)
    assert operator.deflection == pytest.approx([0.4, 0.0, 0.0])


def test_the_unfinished_mark_of_any_device_is_shown(hand: Hand) -> None:
    other = Hand()
    operator = Operator([hand, other], speed=1.0)
    assert operator.typing is None
    other.typing = "wet gr"
    assert operator.typing == "wet gr"


def test_deflections_become_commands_within_the_policys_range(hand: Hand, make_state: Any) -> None:
    operator = Operator([hand], speed=0.5)
    commands = OperatorCommands(TERMS, operator)
    hand.deflection = (1.0, -1.0, 1.0)
    poll(operator, 0.0, 1.0)
    assert commands.command(0.0, make_state()) == pytest.approx(np.array([0.75, -0.4, 0.75]))


def test_a_policy_without_velocities_cannot_be_driven(hand: Hand) -> None:
    with pytest.raises(CommandError, match="vx, vy, yaw"):
        OperatorCommands(TERMS[:2], Operator([hand], speed=1.0))
