"""What one tick's rates leave unexplained: the trapezoidal rule and small rotations by hand."""

from __future__ import annotations

import math
from typing import List

import numpy as np
import pytest

from deploy.onboard.signal_lists import motion_error, taken_apart


def test_each_signal_is_found_in_its_place() -> None:
    lists = taken_apart([float(place) for place in range(46)])
    assert lists.quaternion == [0.0, 1.0, 2.0, 3.0]
    assert lists.gyroscope == [4.0, 5.0, 6.0]
    assert lists.accelerometer == [7.0, 8.0, 9.0]
    assert lists.position == [float(place) for place in range(10, 22)]
    assert lists.velocity == [float(place) for place in range(22, 34)]


def at(quaternion: List[float], gyroscope: List[float], joint: int, position: float, velocity: float) -> List[float]:
    values = [0.0] * 46
    values[0:4], values[4:7] = quaternion, gyroscope
    values[10 + joint], values[22 + joint] = position, velocity
    return values


@pytest.mark.parametrize("joint", [0, 11])
def test_a_joint_by_the_trapezoidal_rule(joint: int) -> None:
    """From 1 to 3 rad/s in 0.1 s: 0.2 rad; 0.15 were seen."""
    level = [1.0, 0.0, 0.0, 0.0]
    before = taken_apart(at(level, [0.0] * 3, joint, 0.25, 1.0))
    now = taken_apart(at(level, [0.0] * 3, joint, 0.40, 3.0))
    error = motion_error(before, now, 0.1)
    expected = np.zeros(12)
    expected[joint] = 0.05
    assert error.joint_rad == pytest.approx(expected, abs=1e-12)
    assert error.rotation_rad == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_rotation_about_each_axis(axis: int, sign: float) -> None:
    """From 1 to 3 rad/s in 0.1 s: 0.2 rad; 2 sin(0.1 / 2) of 0.1 rad were seen, and -q is the same attitude as q."""
    now = [math.cos(0.05), 0.0, 0.0, 0.0]
    now[1 + axis] = math.sin(0.05)
    rates = [[rate if each == axis else 0.0 for each in range(3)] for rate in (1.0, 3.0)]
    error = motion_error(
        taken_apart(at([1.0, 0.0, 0.0, 0.0], rates[0], 0, 0.0, 0.0)),
        taken_apart(at([sign * entry for entry in now], rates[1], 0, 0.0, 0.0)),
        0.1,
    )
    expected = np.zeros(3)
    expected[axis] = 0.2 - 2.0 * math.sin(0.05)
    assert error.rotation_rad == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("attitude", [(0.5, -0.5, 0.5, 0.5), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)])
def test_a_rotation_is_told_in_the_trunk(attitude: tuple[float, ...], sign: float) -> None:
    """From any attitude p, p times a small rotation q is that rotation, and so is p times -q.

    It matters only which side it stands on.
    """
    p = np.array(attitude, dtype=np.float64)
    small = np.array([math.cos(0.05), 0.0, math.sin(0.05), 0.0])
    w = p[0] * small[0] - p[1:] @ small[1:]
    product = [float(w), *(p[0] * small[1:] + small[0] * p[1:] + np.cross(p[1:], small[1:])).tolist()]
    error = motion_error(
        taken_apart(at(p.tolist(), [0.0] * 3, 0, 0.0, 0.0)),
        taken_apart(at([sign * entry for entry in product], [0.0] * 3, 0, 0.0, 0.0)),
        0.002,
    )
    assert error.rotation_rad == pytest.approx([0.0, -2.0 * math.sin(0.05), 0.0], abs=1e-12)
