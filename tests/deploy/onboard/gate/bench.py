"""A Go1 whose thresholds the tests of the gate have reckoned with, and how to tell that it is damped."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deploy.onboard.gate import GateDecision
from deploy.onboard.wire import MOTOR_MODE_SERVO, POSITION_STOP
from robot_configs.robot import RobotModel, SafetyThresholds, load_robot

THRESHOLDS = SafetyThresholds(
    tilt_limit_rad=1.0,
    state_age_limit_s=0.02,
    target_age_limit_s=0.04,
    max_target_rate_rad_s=40.0,
    motor_temperature_limit_c=80.0,
    battery_soc_minimum_percent=5.0,
    quaternion_norm_tolerance=0.05,
    max_tick_gap_ms=100.0,
)
"""Held here so that the tests' numbers stay true when go1.yaml is tuned."""


def gate_robot() -> RobotModel:
    """A Go1 with these thresholds."""
    return replace(load_robot(), safety=THRESHOLDS, max_stiffness=100.0, max_damping=10.0)


def is_damping(robot: RobotModel, decision: GateDecision) -> bool:
    command = decision.command
    return bool(
        np.all(command.position == POSITION_STOP)
        and np.all(command.stiffness == 0.0)
        and np.all(command.damping == robot.damp.damping)
        and np.all(command.velocity == 0.0)
        and np.all(command.torque == 0.0)
        and np.all(command.mode == MOTOR_MODE_SERVO)
    )
