"""Targets to order, and a robot whose limits the tests of them have reckoned with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from deploy.onboard.target import JointTarget
from deploy.onboard.target_limits import TargetLimits
from robot_configs.robot import RobotModel, load_robot

NOW_S = 10.0
TICK_S = 0.002
CALF = 2
STILL = np.zeros(12)


def limited_robot() -> RobotModel:
    """A Go1 with limits held here, so that the tests' numbers stay true when go1.yaml is tuned."""
    model = load_robot()
    safety = replace(model.safety, target_age_limit_s=0.04, state_age_limit_s=0.02, max_target_rate_rad_s=40.0)
    return replace(model, safety=safety, max_stiffness=100.0, max_damping=10.0)


def make_target(robot: RobotModel, **changes: Any) -> JointTarget:
    """The stand at 30 Nm/rad, valid for as long as may be, with the given fields changed."""
    target = JointTarget(robot.stand_position.copy(), np.full(12, 30.0), np.full(12, 0.75), NOW_S + 0.04)
    return target._replace(**changes)


def approach(limits: TargetLimits, target: JointTarget, measured: np.ndarray, velocity: np.ndarray, ticks: int) -> Any:
    """Ask for `target` often enough for the rate limit to have let it through."""
    for tick in range(ticks):
        position, clamped = limits.apply(target, measured, velocity, NOW_S + tick * TICK_S)
    return position, clamped
