"""When a robot counts as still."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from deploy.onboard.stillness import Stillness, StillWatch

LIMITS = Stillness(angular_velocity_rad_s=0.5, joint_velocity_rad_s=2.0)
ONE_JOINT = math.sqrt(12.0)
"""A single joint's share in the root mean square of twelve is its velocity over this."""


@pytest.mark.parametrize(
    ("turning", "one_joint", "still"),
    [(0.0, 0.0, True), (0.499, 1.999, True), (0.501, 0.0, False), (0.0, 2.001, False), (0.0, -2.001, False)],
)
def test_both_rates_have_to_be_low(make_state: Any, turning: float, one_joint: float, still: bool) -> None:
    velocity = np.zeros(12, np.float32)
    velocity[7] = one_joint * ONE_JOINT
    rate = np.array([0.0, -0.6 * turning, 0.8 * turning], np.float32)
    assert LIMITS.holds(make_state(angular_velocity_trunk_in_trunk=rate, joint_velocity=velocity)) is still


@pytest.mark.parametrize("field", ["angular_velocity_trunk_in_trunk", "joint_velocity"])
def test_what_is_no_number_is_not_still(make_state: Any, field: str) -> None:
    broken = np.zeros_like(getattr(make_state(), field))
    broken[0] = np.nan
    assert not LIMITS.holds(make_state(**{field: broken}))


def test_it_has_to_last_without_a_break(make_state: Any) -> None:
    watch, still = StillWatch(LIMITS, hold_s=0.5), make_state()
    moving = make_state(joint_velocity=np.full(12, 2.1, np.float32))
    assert not watch.look(still, 10.0)
    assert not watch.look(still, 10.499)
    assert watch.look(still, 10.5)
    for broken_by in (moving, None):
        assert not watch.look(broken_by, 11.0)
        assert not watch.look(still, 11.002)
        assert not watch.look(still, 11.5)
        assert watch.look(still, 11.503)


def test_a_restart_forgets(make_state: Any) -> None:
    watch = StillWatch(LIMITS, hold_s=0.5)
    watch.look(make_state(), 0.0)
    watch.restart()
    assert not watch.look(make_state(), 9.0)


def test_at_the_rates_themselves_it_is_not_still(make_state: Any) -> None:
    """0.5 rad/s about one axis and 2 rad/s of every joint are exact in their units, the roots included."""
    rate, swing = np.array([0.5, 0.0, 0.0], np.float32), np.full(12, 2.0, np.float32)
    assert not LIMITS.holds(make_state(angular_velocity_trunk_in_trunk=rate))
    assert not LIMITS.holds(make_state(joint_velocity=swing))


def test_the_rates_are_those_that_a_trot_exceeds() -> None:
    """And nobody changes them in passing."""
    assert Stillness() == LIMITS
    with pytest.raises(FrozenInstanceError):
        LIMITS.joint_velocity_rad_s = 3.0  # type: ignore[misc]
