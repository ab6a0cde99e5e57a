"""Pushes, hands, ice and failing motors do to the twin's body what they say."""

from __future__ import annotations

import math
from typing import Callable

import numpy as np
import pytest

from deploy.onboard.wire import JointCommand
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.twin.body import TwinBody
from sim.twin.body_faults import BodyFault, Ice, JammedMotor, Lift, Push, Topple, WeakMotor, tilt_rad


def _act(body: TwinBody, fault: BodyFault, seconds: float) -> None:
    for tick in range(round(seconds * body.robot.link_hz)):
        fault.act(body, tick)
        body.step()


@pytest.fixture
def standing(quiet: TwinCondition, stand_up: Callable[..., None]) -> TwinBody:
    body = TwinBody(quiet, seed=0)
    stand_up(body, hold_s=0.2)
    return body


def test_a_push_changes_the_velocity_once(standing: TwinBody) -> None:
    before = standing.data.qvel[:2].copy()
    fault = Push(0.5, math.pi / 2.0)
    fault.act(standing, 0)
    np.testing.assert_allclose(standing.data.qvel[:2] - before, [0.0, 0.5], atol=1e-12)
    fault.act(standing, 1)
    np.testing.assert_allclose(standing.data.qvel[:2] - before, [0.0, 0.5], atol=1e-12)


def test_tilt_is_the_angle_between_the_verticals(standing: TwinBody) -> None:
    standing.data.qpos[3:7] = [math.cos(0.3), 0.0, math.sin(0.3), 0.0]
    assert tilt_rad(standing) == pytest.approx(0.6)
    standing.data.qpos[3:7] = [math.cos(0.5), 0.0, 0.0, math.sin(0.5)]  # yaw alone is no tilt
    assert tilt_rad(standing) == pytest.approx(0.0, abs=1e-6)


def test_enough_torque_throws_the_robot_over_and_then_lets_go(standing: TwinBody) -> None:
    _act(standing, Topple(90.0, 0.0), 0.6)
    assert tilt_rad(standing) > standing.robot.safety.tilt_limit_rad
    assert not standing.data.xfrc_applied.any()


def test_hands_lift_the_robot_off_the_ground_level_and_let_go(standing: TwinBody) -> None:
    height = standing.data.qpos[2]
    _act(standing, Lift(0.2, hold_s=2.0), 1.5)
    assert standing.data.qpos[2] == pytest.approx(height + 0.2, abs=0.06)
    assert standing.truth.foot_contact_force_in_world.max() == 0.0
    assert tilt_rad(standing) < 0.1
    Lift(0.2, hold_s=2.0).act(standing, 1000)
    assert not standing.data.xfrc_applied.any()


def test_ice_lets_a_pushed_robot_slide_further(quiet: TwinCondition, stand_up: Callable[..., None]) -> None:
    slid = []
    for friction in (0.8, 0.02):
        body = TwinBody(quiet, seed=0)
        stand_up(body, hold_s=0.2)
        Ice(friction).act(body, 0)
        start = body.data.qpos[0]
        _act(body, Push(0.5, 0.0), 0.5)
        slid.append(body.data.qpos[0] - start)
    assert slid[1] > 2.0 * slid[0]


def test_a_dead_motor_gives_nothing_and_its_neighbours_go_on(standing: TwinBody) -> None:
    joint = standing.robot.joint_names.index("RR_calf")
    _act(standing, WeakMotor(joint, 0.0), 0.05)
    torque = standing.truth.joint_torque
    assert torque[joint] == 0.0
    assert np.abs(torque[joint - 1]) > 0.1


def test_half_strength_is_half_the_torque(quiet: TwinCondition, robot: RobotModel) -> None:
    torques = []
    for strength in (1.0, 0.5):
        body = TwinBody(quiet, seed=0)
        body.set_motor_strength(4, strength)
        body.accept(JointCommand.servo(robot.sit_position - 0.1, 20.0, 0.0))
        body._physics_step()
        torques.append(body.truth.joint_torque[4])
    assert torques[1] == pytest.approx(0.5 * torques[0])


def test_a_jammed_joint_does_not_follow_its_command(standing: TwinBody) -> None:
    joint = standing.robot.joint_names.index("FL_thigh")
    JammedMotor(joint).act(standing, 0)
    before = standing.truth.joint_position
    standing.accept(JointCommand.servo(standing.robot.stand_position + 0.2, 60.0, 2.5))
    for _ in range(100):
        standing.step()
    moved = standing.truth.joint_position - before
    assert abs(moved[joint]) < 0.02
    assert abs(moved[joint - 3]) > 0.05
