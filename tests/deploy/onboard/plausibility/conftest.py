"""A monitor of which the tests know every limit."""

from __future__ import annotations

import pytest

from deploy.onboard.plausibility import PlausibilityMonitor
from robot_configs.robot import RobotModel
from tests.deploy.onboard.motions import robot_with


@pytest.fixture(scope="session")
def robot() -> RobotModel:
    """Held here so that the numbers below stay true when go1.yaml is tuned."""
    return robot_with(
        mismatch_memory_s=0.2,
        mismatch_gap_limit_ms=6.0,
        joint_mismatch_limit_rad=0.3,
        joint_velocity_lag_s=0.0,
        rotation_mismatch_limit_rad=0.2,
        gravity_memory_s=0.3,
        gravity_mismatch_limit_m_s2=6.0,
    )


@pytest.fixture
def monitor(robot: RobotModel) -> PlausibilityMonitor:
    return PlausibilityMonitor(robot)
