"""The compiled model of a condition."""

from __future__ import annotations

import dataclasses
from typing import Any

import mujoco
import numpy as np
import pytest

from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.twin.world import TwinModelError, build_model, roll_terrain


def _with_ground(condition: TwinCondition, **changes: Any) -> TwinCondition:
    return dataclasses.replace(condition, ground=dataclasses.replace(condition.ground, **changes))


def test_physics_is_not_the_trainers(robot: RobotModel) -> None:
    option = build_model(load_condition("nominal"), robot).opt
    assert option.timestep == 0.001
    assert option.solver == mujoco.mjtSolver.mjSOL_NEWTON
    assert option.cone == mujoco.mjtCone.mjCONE_ELLIPTIC


def test_actuators_are_plain_torque_motors_without_a_limit_of_their_own(robot: RobotModel) -> None:
    model = build_model(load_condition("nominal"), robot)
    data = mujoco.MjData(model)
    data.ctrl[:] = np.linspace(-60.0, 60.0, 12)
    data.qvel[6:] = 3.0
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(data.qfrc_actuator[6:], data.ctrl, rtol=1e-12)


def test_a_payload_adds_its_weight_where_it_is_put(robot: RobotModel) -> None:
    loaded = build_model(load_condition("payload"), robot)
    bare = build_model(load_condition("nominal"), robot)
    assert loaded.body_mass.sum() == pytest.approx(bare.body_mass.sum() + 4.0, abs=1e-9)
    assert bare.body_mass.sum() == pytest.approx(robot.total_mass_kg, abs=0.002)
    payload = loaded.body("payload")
    assert loaded.body(payload.parentid[0]).name == "trunk"
    np.testing.assert_allclose(payload.pos, [-0.08, 0.0, 0.1])


def test_the_grounds_contact_wins_over_the_feets(robot: RobotModel) -> None:
    mattress = load_condition("mattress")
    model = build_model(mattress, robot)
    data = mujoco.MjData(model)
    data.qpos[2] = 0.1  # feet in the ground
    data.qpos[7:19] = robot.stand_position
    mujoco.mj_forward(model, data)
    feet = {model.geom(f"{name}_foot").id for name in robot.foot_names}
    contacts = [contact for contact in data.contact if feet & {contact.geom1, contact.geom2}]
    assert contacts
    for contact in contacts:
        np.testing.assert_allclose(contact.friction[:2], mattress.ground.friction)
        np.testing.assert_allclose(
            contact.solref, [mattress.ground.contact_time_constant_s, mattress.ground.contact_damping_ratio]
        )
        np.testing.assert_allclose(contact.solimp[:3], [0.4, 0.8, mattress.ground.penetration_width_m])


def test_joint_friction_is_the_conditions(robot: RobotModel) -> None:
    model = build_model(load_condition("weak_motor"), robot)
    np.testing.assert_array_equal(model.dof_frictionloss, [0.0] * 6 + [0.4] * 12)
    np.testing.assert_array_equal(model.dof_damping, [0.0] * 6 + [0.05] * 12)


def test_a_positive_slope_rises_in_front_of_the_robot(robot: RobotModel) -> None:
    model = build_model(_with_ground(load_condition("nominal"), slope_rad=0.2), robot)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    normal = data.geom("floor").xmat.reshape(3, 3)[:, 2]
    # The normal of ground that rises along +x leans back.
    np.testing.assert_allclose(normal, [-np.sin(0.2), 0.0, np.cos(0.2)], atol=1e-12)


def test_terrain_has_bumps_of_the_height_asked_for_and_a_level_pad(robot: RobotModel) -> None:
    rough = load_condition("rough")
    model = build_model(rough, robot)
    assert not model.hfield_data.any()
    roll_terrain(model, np.random.default_rng(3))
    rows, columns = int(model.hfield_nrow[0]), int(model.hfield_ncol[0])
    heights = model.hfield_data.reshape(rows, columns) * model.hfield_size[0, 2]
    assert 0.99 * rough.ground.roughness_height_m < heights.max() <= rough.ground.roughness_height_m
    axis = np.linspace(-model.hfield_size[0, 0], model.hfield_size[0, 0], rows)
    distance = np.hypot(*np.meshgrid(axis, axis))
    assert not heights[distance < 0.5].any()
    assert (heights[distance > 1.1] > 0.0).all()
    spacing = axis[1] - axis[0]
    assert spacing == pytest.approx(rough.ground.roughness_spacing_m, rel=0.01)


def test_terrain_is_the_generators_alone(robot: RobotModel) -> None:
    model = build_model(load_condition("rough"), robot)
    roll_terrain(model, np.random.default_rng(1))
    first = model.hfield_data.copy()
    roll_terrain(model, np.random.default_rng(2))
    assert (model.hfield_data != first).any()
    roll_terrain(model, np.random.default_rng(1))
    np.testing.assert_array_equal(model.hfield_data, first)


def test_a_robot_of_another_joint_order_is_refused(robot: RobotModel) -> None:
    other = dataclasses.replace(robot, joint_names=robot.joint_names[::-1])
    with pytest.raises(TwinModelError, match="RL_calf, RL_thigh"):
        build_model(load_condition("nominal"), other)
