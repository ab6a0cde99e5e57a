"""What counts as a fall, and what as the gate's false alarm."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.false_alarms import Walk, row, tilt_rad
from robot_configs.robot import load_robot


@pytest.mark.parametrize("angle_rad", [0.0, 0.3, 1.0, math.pi])
def test_the_tilt_is_that_of_a_turn_about_a_level_axis_whatever_the_heading(angle_rad: float) -> None:
    half, heading = angle_rad / 2.0, 0.7
    tilted = np.array([math.cos(half), math.sin(half) * math.cos(heading), math.sin(half) * math.sin(heading), 0.0])
    assert tilt_rad(tilted) == pytest.approx(angle_rad, abs=1e-7)
    assert tilt_rad(np.array([math.cos(heading), 0.0, 0.0, math.sin(heading)])) == 0.0


def test_only_a_tilt_that_is_true_is_a_fall() -> None:
    robot = load_robot()
    planned = Walk("ice", 0, "truncated", "planned time over", 10.0, 0.1)
    fall = Walk("ice", 1, "terminated", "tilt", 3.0, 1.02)
    imagined = Walk("ice", 2, "terminated", "tilt", 3.0, 0.2)
    frozen = Walk("ice", 3, "stopped", "imu_frozen", 3.0, 1.02)
    assert [walk.is_fall(robot) for walk in (planned, fall, imagined, frozen)] == [False, True, False, False]
    text = row("ice", [planned, fall, imagined, frozen], robot)
    assert text.startswith("| ice | 4 | 1 | 1 | 2 | tilt (seed 2, tilt 0.20 rad); imu_frozen (seed 3")
