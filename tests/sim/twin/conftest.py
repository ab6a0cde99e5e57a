"""Conditions and helpers that the twin's tests share."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import pytest

from deploy.onboard.wire import JointCommand
from robot_configs.robot import RobotModel, load_robot
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.twin.body import TwinBody


@pytest.fixture(scope="session")
def robot() -> RobotModel:
    return load_robot()


def _silent(section: Any) -> Any:
    """The section with every noise, bias and offset at zero."""
    zeros = {entry.name: 0.0 for entry in dataclasses.fields(section) if entry.name != "counts_per_newton"}
    return dataclasses.replace(section, **zeros)


@pytest.fixture(scope="session")
def quiet() -> TwinCondition:
    """Nominal without noise, bias or delay: what is measured is what is."""
    nominal = load_condition("nominal")
    return dataclasses.replace(
        nominal,
        imu=_silent(nominal.imu),
        encoders=_silent(nominal.encoders),
        foot_force=_silent(nominal.foot_force),
        motors=dataclasses.replace(nominal.motors, command_delay_ms=0),
        disturbance=dataclasses.replace(nominal.disturbance, start_joint_spread_rad=0.0),
    )


@pytest.fixture(scope="session")
def stand_up() -> Callable[..., None]:
    """Ramp from wherever the joints are to the stand pose within a second, stiffness from zero, then hold."""

    def ramp(body: TwinBody, hold_s: float = 1.0) -> None:
        robot = body.robot
        start = body.truth.joint_position
        for tick in range(robot.link_hz):
            share = (tick + 1) / robot.link_hz
            position = start + share * (robot.stand_position - start)
            body.step(JointCommand.servo(position, min(1.0, 4 * share) * robot.stand.stiffness, robot.stand.damping))
        for _ in range(round(hold_s * robot.link_hz)):
            body.step(None)

    return ramp


@pytest.fixture
def put_in_air(robot: RobotModel) -> Callable[[TwinBody], None]:
    """Lift the twin, at rest and level in the stand pose, 5 m above the ground."""

    def lift(body: TwinBody) -> None:
        body.data.qpos[:7] = [0.0, 0.0, 5.0, 1.0, 0.0, 0.0, 0.0]
        body.data.qpos[7:19] = robot.stand_position
        body.data.qvel[:] = 0.0

    return lift


@pytest.fixture(scope="session")
def uprightness() -> Callable[[TwinBody], float]:
    """Cosine of the angle between the trunk's z axis and the world's."""

    def cosine(body: TwinBody) -> float:
        _, x, y, _ = body.truth.orientation_trunk_in_world
        return float(1.0 - 2.0 * (x * x + y * y))

    return cosine
