"""The MuJoCo Warp engine against mechanics that can be computed by hand, and on terrain."""

import dataclasses

import numpy as np
import pytest
import torch

from robot_configs.kinematics import foot_position_in_trunk
from robot_configs.robot import GRAVITY_M_S2
from sim.engines.mujoco_warp import MujocoWarpEngine
from sim.engines.rotations import trunk_to_world
from sim.terrain.height_field import HeightField
from tests.sim.engines.bench import (
    LEVEL,
    ROBOTS,
    ROWS,
    assert_less_friction_slides_further,
    parameters,
    place,
)
from tests.sim.engines.mujoco_warp.motions import hold

pytestmark = pytest.mark.slow


def ground_force(engine: MujocoWarpEngine) -> torch.Tensor:
    """Of all contacts together (N, 3) [N], world axes: a free joint's first three forces are along them."""
    return engine._warp.to_torch(engine._data.qfrc_constraint)[:, :3]


def test_contact_forces_sum_to_the_weight(engine, robot, stand):
    payload = torch.tensor([0.0, 1.0, 2.0, 3.0])
    engine.set_parameters(parameters(payload_kg=payload.tolist(), stiffness=[60.0] * ROBOTS, damping=[2.0] * ROBOTS))
    place(engine, 0.30, stand)
    hold(engine, stand, 1000)
    weight = (robot.total_mass_kg + payload) * GRAVITY_M_S2
    print("off the weight [N]:", (ground_force(engine)[:, 2] - weight).tolist())
    torch.testing.assert_close(ground_force(engine)[:, 2], weight, atol=0.4, rtol=0)
    assert ground_force(engine)[:, :2].abs().max() < 0.4


def test_less_friction_slides_further(engine, stand):
    assert_less_friction_slides_further(engine, stand)


def test_torque_ends_at_the_motors_limit(engine, robot, stand):
    engine.set_parameters(parameters(stiffness=[1000.0] * ROBOTS, motor_strength=[1.0, 0.7, 0.3, 0.0]))
    place(engine, 5.0, stand)
    engine.step(stand + 0.2, 1)
    limit = torch.tensor(robot.torque_limit, dtype=torch.float32)
    expected = torch.tensor([[1.0], [0.7], [0.3], [0.0]]) * limit
    torch.testing.assert_close(engine.state().joint_torque, expected, atol=1e-3, rtol=0)


def test_joint_friction_holds_a_joint_against_less_torque_than_its_own(engine, stand):
    """1 Nm of motor torque does not move a joint with 2 Nm of Coulomb friction, and moves one with 0.2 Nm."""
    engine.set_parameters(parameters(stiffness=[10.0] * ROBOTS, joint_friction_nm=[0.0, 0.2, 2.0, 4.0]))
    place(engine, 5.0, stand)
    target = stand.clone()
    target[:, 0] += 0.1
    engine.step(target, 25)
    moved = (engine.state().joint_position - stand)[:, 0]
    assert moved[0] > moved[1] > 0.03
    assert moved[2:].abs().max() < 0.01


def test_feet_belong_to_the_joints_of_the_same_instant(engine, robot, stand):
    place(engine, 5.0, stand)
    engine.step(stand + 0.1, 7)
    state = engine.state()
    in_trunk = torch.tensor(foot_position_in_trunk(robot, state.joint_position.double().numpy()), dtype=torch.float32)
    turned = trunk_to_world(state.orientation_trunk_in_world[:, None].expand(-1, 4, 4), in_trunk)
    expected = turned + state.position_trunk_in_world[:, None]
    torch.testing.assert_close(state.foot_position_in_world, expected, atol=1e-5, rtol=0)
    engine.reset(ROWS[:1], torch.tensor([[1.0, 2.0, 3.0]]), LEVEL[:1], stand[:1] + 0.2)
    expected = foot_position_in_trunk(robot, np.array(robot.stand_position) + 0.2) + np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(engine.state().foot_position_in_world[0], expected, atol=1e-5)


def test_parameters_that_are_changed_in_place_are_seen(engine, stand):
    changed = parameters()
    engine.set_parameters(changed)
    moved = dataclasses.replace(changed, payload_kg=torch.tensor([0.0, 0.0, 3.0, 0.0]))
    engine.set_parameters(moved)
    place(engine, 0.30, stand)
    hold(engine, stand, 750)
    force = ground_force(engine)[:, 2]
    assert float(force[2] - force[0]) == pytest.approx(3.0 * GRAVITY_M_S2, abs=1.0)


def test_robots_stand_on_terrain_at_its_height(robot, stand):
    """Two platforms of 0.3 m and -0.2 m and level ground between them."""
    heights = np.zeros((81, 41))
    heights[10:31, 10:31], heights[50:71, 10:31] = 0.3, -0.2
    field = HeightField(heights, 0.1, (-4.0, -2.0))
    engine = MujocoWarpEngine(robot, ROBOTS, terrain=field)
    engine.set_parameters(parameters())
    start = torch.tensor([[-2.0, 0.0, 0.62], [0.0, 0.0, 0.32], [2.0, 0.0, 0.12], [-2.0, 0.3, 0.62]])
    engine.reset(ROWS, start, LEVEL, stand)
    hold(engine, stand, 500)
    state = engine.state()
    above = state.position_trunk_in_world[:, 2] - field.height_at(state.position_trunk_in_world)
    assert (above - above[1]).abs().max() < 0.005
    assert 0.22 < above[1] < 0.30
    soles = state.foot_position_in_world[:, :, 2] - field.height_at(state.foot_position_in_world)
    assert (soles - robot.geometry.foot_radius).abs().max() < 0.004
