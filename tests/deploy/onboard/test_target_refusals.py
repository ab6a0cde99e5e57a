"""Which targets are refused: every reason, just inside and just outside."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from deploy.onboard.reasons import Reason
from deploy.onboard.target_limits import TargetLimits
from robot_configs.robot import RobotModel
from tests.deploy.onboard.limit_bench import NOW_S, limited_robot, make_target


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return limited_robot()


@pytest.fixture
def limits(robot: RobotModel) -> TargetLimits:
    return TargetLimits(robot)


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({}, 0),
            ({"valid_until_s": NOW_S}, 0),
            ({"valid_until_s": NOW_S - 1e-6}, Reason.TARGET_STALE),
            ({"valid_until_s": math.nan}, Reason.TARGET_STALE),
            ({"valid_until_s": NOW_S + 0.04 + 5e-7}, 0),
            ({"valid_until_s": NOW_S + 0.04 + 2e-6}, Reason.TARGET_VALID_TOO_LONG),
            ({"valid_until_s": math.inf}, Reason.TARGET_VALID_TOO_LONG),
            ({"stiffness": np.full(12, 100.0)}, 0),
            ({"stiffness": np.zeros(12)}, 0),
            ({"stiffness": np.array([30.0] * 11 + [100.01])}, Reason.GAINS_OUT_OF_RANGE),
            ({"stiffness": np.array([30.0] * 11 + [-0.01])}, Reason.GAINS_OUT_OF_RANGE),
            ({"stiffness": np.array([30.0] * 11 + [math.nan])}, Reason.GAINS_OUT_OF_RANGE),
            ({"damping": np.full(12, 10.0)}, 0),
            ({"damping": np.zeros(12)}, 0),
            ({"damping": np.array([0.5] * 11 + [10.01])}, Reason.GAINS_OUT_OF_RANGE),
            ({"damping": np.array([0.5] * 11 + [-0.01])}, Reason.GAINS_OUT_OF_RANGE),
            ({"damping": np.array([0.5] * 11 + [math.inf])}, Reason.GAINS_OUT_OF_RANGE),
            ({"position": np.array([0.0] * 11 + [math.nan])}, Reason.TARGET_NOT_FINITE),
            ({"position": np.array([math.inf] + [0.0] * 11)}, Reason.TARGET_NOT_FINITE),
            ({"position": np.zeros(11)}, Reason.TARGET_MALFORMED),
            ({"stiffness": np.full(1, 30.0)}, Reason.TARGET_MALFORMED),
            ({"damping": np.full((12, 1), 0.5)}, Reason.TARGET_MALFORMED),
            (dict.fromkeys(("position", "stiffness", "damping"), np.ones(11)), Reason.TARGET_MALFORMED),
        ],
    )
    def test_each_fault_by_name(
        self, robot: RobotModel, limits: TargetLimits, change: dict[str, Any], expected: int
    ) -> None:
        assert limits.faults(make_target(robot, **change), NOW_S) == expected

    def test_the_longest_validity_to_the_last_digit(self, robot: RobotModel, limits: TargetLimits) -> None:
        longest_s = robot.safety.target_age_limit_s + 1e-6
        assert limits.faults(make_target(robot, valid_until_s=longest_s), 0.0) == 0
        beyond_s = math.nextafter(longest_s, 1.0)
        assert limits.faults(make_target(robot, valid_until_s=beyond_s), 0.0) == Reason.TARGET_VALID_TOO_LONG

    def test_no_target(self, limits: TargetLimits) -> None:
        assert limits.faults(None, NOW_S) == Reason.TARGET_MISSING

    @pytest.mark.parametrize("field", ["stiffness", "damping"])
    def test_new_gains_are_checked_even_if_the_others_stay(
        self, robot: RobotModel, limits: TargetLimits, field: str
    ) -> None:
        target = make_target(robot)
        assert limits.faults(target, NOW_S) == 0
        changes: dict[str, Any] = {field: np.full(12, 1000.0)}
        assert limits.faults(target._replace(**changes), NOW_S) == Reason.GAINS_OUT_OF_RANGE

    @pytest.mark.parametrize("field", ["stiffness", "damping"])
    def test_gains_that_are_overwritten_in_place_are_checked_anew(
        self, robot: RobotModel, limits: TargetLimits, field: str
    ) -> None:
        target = make_target(robot)
        assert limits.faults(target, NOW_S) == 0
        allowed = getattr(target, field)[3]
        getattr(target, field)[3] = 1000.0
        assert limits.faults(target, NOW_S) == Reason.GAINS_OUT_OF_RANGE
        getattr(target, field)[3] = allowed
        assert limits.faults(target, NOW_S) == 0
