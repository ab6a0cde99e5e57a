"""Masses, inertia, softness and terrain of the mujoco engine: each changes the motion, by a figure computed by hand."""

import dataclasses

import numpy as np
import pytest
import torch

from robot_configs.robot import GRAVITY_M_S2
from sim.engines.mujoco import MujocoEngine
from sim.engines.mujoco_model import training_model
from sim.terrain.height_field import HeightField, Pad
from tests.sim.engines.bench import LEVEL, ROBOTS, ROWS, parameters, place

torch.set_num_threads(1)


@pytest.fixture
def engine(robot) -> MujocoEngine:
    return MujocoEngine(robot, ROBOTS, num_threads=1)


def test_scaled_links_press_on_the_motors_in_proportion(engine, robot, stand):
    """Standing still, the twelve torques carry the trunk: twice the mass is twice the knee's torque, nearly."""
    engine.set_parameters(parameters(link_mass_scale=[0.5, 1.0, 1.5, 2.0], stiffness=[200.0] * 4, damping=[4.0] * 4))
    place(engine, 0.31, stand)
    engine.step(stand, 1000)
    knees = engine.state().joint_torque[:, 2::3].mean(dim=1)
    assert (knees / knees[1]).tolist() == pytest.approx([0.5, 1.0, 1.5, 2.0], rel=0.1)


def test_masses_of_the_links_by_hand(engine, robot):
    engine.set_parameters(parameters(link_mass_scale=[0.5, 1.0, 1.0, 2.0], payload_kg=[0.0, 0.0, 3.0, 1.0]))
    mass = engine._field["body_mass"].sum(axis=1)
    total = robot.total_mass_kg  # the published sum is a gram off the sum of the published links
    assert mass == pytest.approx([0.5 * total, total, total + 3.0, 2.0 * total + 1.0], rel=2e-4)


def test_a_payload_beside_the_centre_by_hand(engine):
    """3 kg, 0.1 m behind and 0.05 m above 5.204 kg: the centre moves by 3/8.204 of that."""
    nominal = parameters(payload_kg=[3.0] * ROBOTS)
    offset = torch.tensor([-0.1, 0.0, 0.05]).repeat(ROBOTS, 1)
    engine.set_parameters(nominal)
    field, trunk = engine._field, training_model().body("trunk").id
    centre, inertia = field["body_ipos"][0, trunk].copy(), field["body_inertia"][0, trunk].copy()
    engine.set_parameters(dataclasses.replace(nominal, payload_offset_m=offset))
    np.testing.assert_allclose(field["body_ipos"][0, trunk] - centre, 3.0 / 8.204 * np.array([-0.1, 0, 0.05]))
    reduced = 5.204 * 3.0 / 8.204
    grown = reduced * np.array([0.05**2, 0.1**2 + 0.05**2, 0.1**2])
    np.testing.assert_allclose(field["body_inertia"][0, trunk] - inertia, grown)


def test_a_payload_behind_lowers_the_rear(engine, stand):
    offset = torch.zeros(ROBOTS, 3)
    offset[1, 0], offset[2, 0] = -0.15, 0.15
    engine.set_parameters(dataclasses.replace(parameters(payload_kg=[3.0] * ROBOTS), payload_offset_m=offset))
    place(engine, 0.30, stand)
    engine.step(stand, 1000)
    # The quaternion's y is half the pitch; positive is nose down.
    pitch = 2.0 * engine.state().orientation_trunk_in_world[:, 2]
    assert pitch[1] < pitch[0] - 0.01
    assert pitch[2] > pitch[0] + 0.01


def test_armature_slows_a_joint_in_the_air(engine, stand):
    """Kp 10 on 0.1 rad is 1 Nm; the same on more inertia is a lower speed."""
    engine.set_parameters(parameters(armature_scale=[0.5, 1.0, 4.0, 16.0], stiffness=[10.0] * 4, damping=[0.0] * 4))
    place(engine, 5.0, stand)
    target = stand.clone()
    target[:, 2] += 0.1
    engine.step(target, 2)
    speed = engine.state().joint_velocity[:, 2]
    assert (speed[:-1] > speed[1:]).all()
    assert speed[0] > 3.0 * speed[3] > 0.0


def test_soft_ground_lets_the_feet_sink_by_the_square_of_its_time_constant(engine, robot, stand):
    """MuJoCo's spring: at equal impedance, force and mass the depth goes with T^2."""
    engine.set_parameters(
        parameters(ground_time_constant_s=[0.02, 0.04, 0.06, 0.08], stiffness=[100.0] * 4, damping=[3.0] * 4)
    )
    place(engine, 0.31, stand)
    engine.step(stand, 1500)
    sunk = robot.geometry.foot_radius - engine.state().foot_position_in_world[:, :, 2].mean(dim=1)
    assert sunk.min() > 0.0
    assert (sunk[1:] > 1.4 * sunk[:-1]).all()
    assert sunk[3] > 0.003


def test_robots_stand_on_terrain_at_its_height(robot, stand):
    """Two platforms of 0.3 m and -0.2 m and level ground between them."""
    heights = np.zeros((81, 41))
    heights[10:31, 10:31], heights[50:71, 10:31] = 0.3, -0.2
    field = HeightField(heights, 0.1, (-4.0, -2.0))
    engine = MujocoEngine(robot, ROBOTS, num_threads=1, terrain=field)
    engine.set_parameters(parameters())
    start = torch.tensor([[-2.0, 0.0, 0.62], [0.0, 0.0, 0.32], [2.0, 0.0, 0.12], [-2.0, 0.3, 0.62]])
    engine.reset(ROWS, start, LEVEL, stand)
    engine.step(stand, 500)
    state = engine.state()
    above = state.position_trunk_in_world[:, 2] - field.height_at(state.position_trunk_in_world)
    assert (above - above[1]).abs().max() < 0.005
    assert 0.22 < above[1] < 0.30
    soles = state.foot_position_in_world[:, :, 2] - field.height_at(state.foot_position_in_world)
    assert (soles - robot.geometry.foot_radius).abs().max() < 0.004


def test_a_level_field_moves_robots_as_the_floor_does(engine, robot, stand):
    """The same random targets on a plane and on a field at height zero, where contacts are found in another way."""
    on_field = MujocoEngine(robot, ROBOTS, 1, HeightField(np.zeros((61, 61)), 0.1, (-3.0, -3.0)))
    for one in (engine, on_field):
        one.set_parameters(parameters())
        place(one, 0.30, stand)
        torch.manual_seed(0)
        for _ in range(15):
            one.step(stand + 0.05 * torch.randn(ROBOTS, 12), 5)
    difference = engine.state().joint_position - on_field.state().joint_position
    assert difference.abs().max() < 0.02
    height = engine.state().position_trunk_in_world[:, 2] - on_field.state().position_trunk_in_world[:, 2]
    assert height.abs().max() < 0.005


@pytest.mark.parametrize("softness", [0.02, 0.05])
def test_on_a_pad_robots_walk_as_on_the_floor_however_soft_it_is(engine, robot, stand, softness):
    """A field alone does not do: a foot that is 2 cm deep in one is pushed aside by the prisms' inner walls."""
    heights = np.zeros((61, 61))
    heights[:10] = 0.4  # beside the pad
    pad = Pad((-2.0, -2.0), (2.0, 2.0))
    on_pad = MujocoEngine(robot, ROBOTS, 1, HeightField(heights, 0.1, (-3.0, -3.0), [pad]))
    on_field = MujocoEngine(robot, ROBOTS, 1, HeightField(heights, 0.1, (-3.0, -3.0)))
    for one in (engine, on_pad, on_field):
        one.set_parameters(parameters(ground_time_constant_s=[softness] * ROBOTS))
        place(one, 0.30, stand)
        torch.manual_seed(0)
        for _ in range(50):
            one.step(stand + 0.05 * torch.randn(ROBOTS, 12), 5)
    on_floor = engine.state().position_trunk_in_world
    torch.testing.assert_close(on_pad.state().position_trunk_in_world, on_floor, atol=4e-3, rtol=0)
    if softness > 0.02:
        assert (on_field.state().position_trunk_in_world - on_floor).abs().max() > 0.01


def test_free_fall_has_no_ground_in_it(robot, stand):
    engine = MujocoEngine(robot, ROBOTS, 1, HeightField(np.zeros((5, 5)), 1.0, (-2.0, -2.0)))
    engine.set_parameters(parameters())
    place(engine, 5.0, stand)
    engine.step(stand, 50)
    speed = engine.state().linear_velocity_trunk_in_trunk[:, 2]
    torch.testing.assert_close(speed, torch.full((ROBOTS,), -GRAVITY_M_S2 * 0.2), rtol=1e-3, atol=0)
