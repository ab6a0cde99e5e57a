"""The largest changes between two states, by hand, and the gate's limits on them."""

import numpy as np
import pytest

from benchmarks.sensor_margins import changes, limits
from deploy.onboard.signal_lists import SignalLists
from robot_configs.robot import load_robot


def resting() -> SignalLists:
    return SignalLists([1.0, 0.0, 0.0, 0.0], [0.0] * 3, [0.0, 0.0, 9.81], [0.0] * 12, [0.0] * 12)


def test_nothing_changes():
    np.testing.assert_array_equal(changes(resting(), resting(), 0.002), np.zeros(5))


def test_each_change_by_hand():
    """A hip speeds up by 3 rad/s: 3 mrad by the trapezoidal rule, and its position says 0. A calf brakes by 2."""
    velocity = [0.0] * 12
    velocity[3], velocity[5] = 3.0, -2.0
    now = resting()._replace(velocity=velocity, gyroscope=[0.0, -0.5, 0.2])
    np.testing.assert_allclose(changes(resting(), now, 0.002), [3.0, 2.0, 0.003, 0.5, 0.0005])


def test_limits_are_those_that_the_gate_documents():
    """go1.yaml: 21.6 rad/s, calf 14.7, 0.05 rad, 5 rad/s, 0.04 rad in 2 ms."""
    assert limits(load_robot(), 0.002) == pytest.approx([21.6, 14.7, 0.05, 5.0, 0.04], abs=0.05)
