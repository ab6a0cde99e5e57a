"""The MuJoCo engine: textbook mechanics, rows that do not touch each other, and parameters that really act."""

import numpy as np
import pytest
import torch

from robot_configs.kinematics import foot_position_in_trunk
from robot_configs.robot import GRAVITY_M_S2
from sim.engines.mujoco import MujocoEngine
from sim.engines.protocol import PhysicsParameters
from sim.engines.rotations import world_to_trunk
from tests.sim.engines.bench import (
    LEVEL,
    ROBOTS,
    ROWS,
    assert_less_friction_slides_further,
    assert_reset_touches_only_its_rows,
    parameters,
    place,
)

torch.set_num_threads(1)


@pytest.fixture
def engine(robot) -> MujocoEngine:
    engine = MujocoEngine(robot, ROBOTS, num_threads=1)
    engine.set_parameters(parameters())
    return engine


def test_free_fall(engine, stand):
    """Joints held without gravity's torque on them: v = g t, and h = g t^2 / 2 up to half a step of the integrator."""
    place(engine, 5.0, stand)
    engine.step(stand, 50)
    time_s = 50 * engine.physics_dt_s
    state = engine.state()
    torch.testing.assert_close(
        state.linear_velocity_trunk_in_trunk[:, 2], torch.full((ROBOTS,), -GRAVITY_M_S2 * time_s), rtol=1e-3, atol=0
    )
    fallen = 5.0 - state.position_trunk_in_world[:, 2]
    half_step = 0.5 * GRAVITY_M_S2 * time_s * engine.physics_dt_s
    torch.testing.assert_close(
        fallen, torch.full((ROBOTS,), 0.5 * GRAVITY_M_S2 * time_s**2), rtol=0, atol=half_step + 1e-4
    )


def test_stiff_legs_stand_at_the_height_of_their_kinematics(engine, robot, stand):
    engine.set_parameters(parameters(stiffness=[400.0] * ROBOTS, damping=[8.0] * ROBOTS))
    place(engine, 0.32, stand)
    engine.step(stand, 500)
    state = engine.state()
    leg = -foot_position_in_trunk(robot, robot.stand_position)[:, 2].mean()
    height = torch.full((ROBOTS,), float(leg) + robot.geometry.foot_radius)
    torch.testing.assert_close(state.position_trunk_in_world[:, 2], height, atol=0.012, rtol=0)
    assert state.linear_velocity_trunk_in_trunk.abs().max() < 0.01
    feet = state.foot_position_in_world[:, :, 2]
    assert (feet - robot.geometry.foot_radius).abs().max() < 0.002


def test_at_rest_the_motors_hold_what_their_pd_law_says(engine, stand):
    place(engine, 0.30, stand)
    engine.step(stand, 1500)
    state = engine.state()
    expected = 30.0 * (stand - state.joint_position) - 0.75 * state.joint_velocity
    torch.testing.assert_close(state.joint_torque, expected, atol=0.01, rtol=0)
    assert state.joint_torque[:, 2::3].min() > 3.0, "knees that carry a robot are loaded"


def test_each_robot_has_its_own_stiffness(engine, stand):
    """In the air, the first torque on a joint 0.1 rad off its target is Kp times 0.1, and nothing on the others."""
    engine.set_parameters(parameters(stiffness=[10.0, 20.0, 30.0, 40.0]))
    place(engine, 5.0, stand)
    target = stand.clone()
    target[:, 4] += 0.1
    engine.step(target, 1)
    torque = engine.state().joint_torque
    torch.testing.assert_close(torque[:, 4], torch.tensor([1.0, 2.0, 3.0, 4.0]), atol=1e-3, rtol=0)
    others = torch.cat([torque[:, :4], torque[:, 5:]], dim=1)
    assert others.abs().max() < 0.02


def test_each_robot_has_its_own_damping(engine, stand):
    """A moving joint's torque follows Kp (q* - q) - Kd q' of the state in which the step began."""
    damping = torch.tensor([0.0, 0.3, 0.6, 1.2])
    engine.set_parameters(parameters(stiffness=[10.0] * ROBOTS, damping=damping.tolist()))
    place(engine, 5.0, stand)
    target = stand.clone()
    target[:, 0] += 0.2
    engine.step(target, 2)
    before = engine.state()
    engine.step(target, 1)
    moving = before.joint_velocity[:, 0]
    expected = 10.0 * (target - before.joint_position)[:, 0] - damping * moving
    torch.testing.assert_close(engine.state().joint_torque[:, 0], expected, atol=2e-3, rtol=0)
    assert (damping * moving)[1:].min() > 0.1, "damping matters here"


def test_torque_ends_at_the_motors_limit(engine, robot, stand):
    engine.set_parameters(parameters(stiffness=[1000.0] * ROBOTS))
    place(engine, 5.0, stand)
    engine.step(stand + 0.2, 1)
    limit = torch.tensor(robot.torque_limit, dtype=torch.float32).expand(ROBOTS, 12)
    torch.testing.assert_close(engine.state().joint_torque, limit, atol=1e-3, rtol=0)


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


def test_a_heavier_payload_sinks_deeper(engine, stand):
    engine.set_parameters(parameters(payload_kg=[0.0, 1.0, 2.0, 4.0]))
    place(engine, 0.30, stand)
    engine.step(stand, 1000)
    height = engine.state().position_trunk_in_world[:, 2]
    assert (height[:-1] - height[1:]).min() > 0.002
    assert height[-1] > 0.15


def test_a_shifted_mass_leans_the_trunk_to_its_side(engine, stand):
    draw = parameters()
    shift = torch.zeros(ROBOTS, 3)
    shift[1, 1], shift[2, 1] = 0.05, -0.05
    changed = PhysicsParameters(**{**vars(draw), "center_of_mass_shift_m": shift})
    engine.set_parameters(changed)
    place(engine, 0.30, stand)
    engine.step(stand, 1000)
    up = world_to_trunk(engine.state().orientation_trunk_in_world, torch.tensor([[0.0, 0.0, 1.0]]).repeat(ROBOTS, 1))
    # Sunk on the left, the trunk's y axis points down: the world's up has a negative part along it.
    assert up[1, 1] < up[0, 1] - 0.01
    assert up[2, 1] > up[0, 1] + 0.01


def test_less_friction_slides_further_after_a_push(engine, stand):
    assert_less_friction_slides_further(engine, stand)


def test_a_push_adds_its_velocity_in_the_world_frame(engine, stand):
    quarter_turn = torch.tensor([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)], dtype=torch.float32)  # x points along y
    orientation = LEVEL.clone()
    orientation[1] = quarter_turn
    engine.reset(ROWS, torch.tensor([0.0, 0.0, 5.0]).repeat(ROBOTS, 1), orientation, stand)
    engine.push(torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    velocity = engine.state().linear_velocity_trunk_in_trunk
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(velocity, expected, atol=1e-6, rtol=0)


def test_a_reset_touches_only_its_rows(engine, stand):
    assert_reset_touches_only_its_rows(engine, stand)


def test_a_reset_robot_moves_like_one_that_was_never_used(engine, robot, stand):
    """Nothing of the life before, such as warm starts or commands, leaks through a reset."""
    fresh = MujocoEngine(robot, ROBOTS, num_threads=1)
    fresh.set_parameters(parameters())
    place(engine, 0.30, stand)
    engine.step(stand + 0.3, 100)
    for one in (engine, fresh):
        place(one, 0.30, stand)
        one.step(stand, 30)
    torch.testing.assert_close(engine.state().joint_position, fresh.state().joint_position, atol=1e-6, rtol=0)


def test_the_state_is_a_copy(engine, stand):
    place(engine, 0.30, stand)
    state = engine.state()
    height = state.position_trunk_in_world[:, 2].clone()
    engine.step(stand, 10)
    assert torch.equal(state.position_trunk_in_world[:, 2], height)
    assert not torch.equal(engine.state().position_trunk_in_world[:, 2], height)


def test_feet_are_where_the_kinematics_put_them(engine, robot, stand):
    place(engine, 5.0, stand)
    engine.step(stand, 1)
    state = engine.state()
    in_trunk = foot_position_in_trunk(robot, state.joint_position.double().numpy())
    expected = torch.tensor(in_trunk, dtype=torch.float32) + state.position_trunk_in_world[:, None]
    # Derived positions are those at the beginning of the step, in which the trunk fell by at most g dt^2.
    torch.testing.assert_close(state.foot_position_in_world, expected, atol=1e-3, rtol=0)


def test_rotation_into_the_trunk_frame_by_hand():
    half = float(np.sqrt(0.5))
    turned_left = torch.tensor([[half, 0.0, 0.0, half]])
    rolled_right = torch.tensor([[half, half, 0.0, 0.0]])
    forward, up = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]])
    torch.testing.assert_close(world_to_trunk(turned_left, forward), torch.tensor([[0.0, -1.0, 0.0]]))
    torch.testing.assert_close(world_to_trunk(rolled_right, up), torch.tensor([[0.0, 1.0, 0.0]]))


def test_feet_are_known_right_after_a_reset(engine, robot, stand):
    """Not those of the model's zero pose: the first slip term of an episode is computed from them."""
    place(engine, 0.5, stand + 0.1)
    feet = engine.state().foot_position_in_world[0] - torch.tensor([0.0, 0.0, 0.5])
    expected = foot_position_in_trunk(robot, stand[0].numpy() + 0.1)
    np.testing.assert_allclose(feet.numpy(), expected, atol=1e-5)
