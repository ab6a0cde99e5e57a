"""What the fault matrix's tests share: the shipped policy, the robot, and the twin it walks on."""

from __future__ import annotations

from pathlib import Path

import pytest

from policy.bundle import Bundle, read_bundle
from robot_configs.robot import RobotModel, load_robot
from robot_configs.twin_conditions import TwinCondition, load_condition


@pytest.fixture(scope="session")
def robot() -> RobotModel:
    return load_robot()


@pytest.fixture(scope="session")
def nominal() -> TwinCondition:
    return load_condition("nominal")


@pytest.fixture(scope="session")
def bundle_path() -> Path:
    return Path(__file__).resolve().parents[3] / "policy" / "bundles" / "go1_velocity.go1policy"


@pytest.fixture(scope="session")
def bundle(bundle_path: Path) -> Bundle:
    return read_bundle(bundle_path)
