"""State tensors: layouts, frames and partial writes, by hand."""

import math

import pytest
import torch

from robot_configs.robot import load_robot
from sim.isaacgym_shim.errors import IsaacGymShimError
from sim.isaacgym_shim.gymtorch import unwrap_tensor
from tests.sim.isaacgym_shim.conftest import floor

HALF = math.sqrt(0.5)


def write_root(scene, rows):
    index = torch.tensor(rows, dtype=torch.int32)
    gym, sim = scene.gym, scene.sim
    gym.set_actor_root_state_tensor_indexed(sim, unwrap_tensor(scene.root), unwrap_tensor(index), len(rows))


def test_shapes_and_rest(go1_scene):
    scene = go1_scene([1.0, 2.0, 3.0])
    assert scene.root.shape == (3, 13)
    assert scene.gym.acquire_dof_state_tensor(scene.sim).shape == (3 * 12, 2)
    assert scene.bodies.shape == (3, 17, 13)
    assert scene.contact.shape == (3, 17, 3)
    torch.testing.assert_close(scene.root[:, 2], torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(scene.root[:, 3:7], torch.tensor([0.0, 0.0, 0.0, 1.0]).repeat(3, 1))  # x y z w
    assert scene.root[:, 7:].abs().max() == 0


def test_joints_start_at_zero_or_at_the_nearest_limit(go1_scene):
    """Calves bend from -2.818 to -0.888: zero is out of their reach."""
    positions = go1_scene([1.0]).dof[0, :, 0]
    torch.testing.assert_close(positions[0:3], torch.tensor([0.0, 0.0, -0.888]))


def test_what_is_written_is_read_back(go1_scene):
    """Quarter turn about z, moving and turning in world axes."""
    scene = go1_scene([1.0, 1.0])
    scene.root[0] = torch.tensor([0.1, 0.2, 1.5, 0.0, 0.0, HALF, HALF, 0.3, -0.4, 0.5, 1.0, 2.0, -3.0])
    before = scene.root.clone()
    write_root(scene, [0])
    scene.root[:] = 0.0
    scene.refresh()
    torch.testing.assert_close(scene.root, before, atol=1e-5, rtol=0)


def test_velocities_are_in_world_axes(ball_scene):
    """A ball turned by a quarter about z moves along the world's x, whatever its own axes say."""
    scene = ball_scene([(0.0, 0.0, 5.0)])
    scene.root[0, 3:7] = torch.tensor([0.0, 0.0, HALF, HALF])
    scene.root[0, 7:13] = torch.tensor([1.0, 0.0, 0.0, 2.0, 0.0, 0.0])
    write_root(scene, [0])
    scene.simulate(25)
    assert float(scene.root[0, 0]) == pytest.approx(0.1, abs=1e-5)
    torch.testing.assert_close(scene.root[0, 10:13], torch.tensor([2.0, 0.0, 0.0]), atol=1e-4, rtol=0)


def test_the_roots_velocity_is_that_of_its_centre_of_mass(go1_scene):
    """A trunk that turns about its own origin: its centre of mass, 0.0223 m ahead, moves sideways at w x r."""
    scene = go1_scene([1.0])
    scene.root[0, 7:13] = torch.tensor([0.0, 0.0223 * 2.0, 0.0, 0.0, 0.0, 2.0])
    scene.root[0, 7] = -0.002 * 2.0  # the centre lies 2 mm to the left as well
    write_root(scene, [0])
    inner = scene.sim.running._qvel[0, :6]
    torch.testing.assert_close(torch.tensor(inner[:2].copy()), torch.zeros(2, dtype=torch.float64), atol=1e-7, rtol=0)
    assert inner[5] == pytest.approx(2.0)


def test_only_the_named_actors_are_written(go1_scene):
    scene = go1_scene([1.0, 2.0, 3.0])
    scene.root[:, 2] = 9.0
    scene.dof[:, :, 0] = -1.0
    scene.dof[:, :, 1] = 0.5
    rows = torch.tensor([2], dtype=torch.int32)
    write_root(scene, [2])
    scene.gym.set_dof_state_tensor_indexed(scene.sim, unwrap_tensor(scene.dof), unwrap_tensor(rows), 1)
    scene.refresh()
    assert scene.root[:, 2].tolist() == [1.0, 2.0, 9.0]
    assert scene.dof[:2, :, 1].abs().max() == 0
    torch.testing.assert_close(scene.dof[2], torch.tensor([-1.0, 0.5]).repeat(12, 1))


def test_everyone_is_written(go1_scene):
    scene = go1_scene([1.0, 2.0])
    scene.root[:, 0] = torch.tensor([5.0, 6.0])
    scene.dof[:, :, 0] = 0.25
    scene.gym.set_actor_root_state_tensor(scene.sim, unwrap_tensor(scene.root))
    scene.gym.set_dof_state_tensor(scene.sim, unwrap_tensor(scene.dof))
    scene.refresh()
    assert scene.root[:, 0].tolist() == [5.0, 6.0]
    assert scene.dof[:, :, 0].unique().tolist() == [0.25]


def test_bodies_are_where_the_joints_put_them(go1_scene):
    """Trunk at 1 m, all joints zero but the calves at -pi/2: feet 0.213 m below the hips and 0.213 m ahead."""
    robot = load_robot()
    scene = go1_scene([1.0])
    scene.dof[0, :, 0] = torch.tensor([0.0, 0.0, -math.pi / 2]).repeat(4)
    scene.gym.set_dof_state_tensor(scene.sim, unwrap_tensor(scene.dof))
    scene.refresh()
    names = scene.sim.running.asset.body_names
    foot = scene.bodies[0, names.index("FL_foot"), :3]
    geometry = robot.geometry
    hip = [geometry.leg_root_x, geometry.leg_root_y + geometry.hip_offset, 1.0 - geometry.thigh_length]
    expected = torch.tensor([hip[0] + geometry.calf_length, hip[1], hip[2]])
    torch.testing.assert_close(foot, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(scene.bodies[0, 0, :7], scene.root[0, :7])


def test_bodies_move_as_the_root_carries_them(go1_scene):
    """Rigid robot, turning about z at 2 rad/s around the trunk's origin: a calf's centre moves at w x r."""
    scene = go1_scene([1.0])
    scene.root[0, 7:13] = torch.tensor([-0.002 * 2.0, 0.0223 * 2.0, 0.0, 0.0, 0.0, 2.0])
    write_root(scene, [0])
    scene.refresh()
    calf = scene.sim.running.asset.body_names.index("RR_calf")
    center = torch.tensor(scene.sim.running._body["xipos"][0, calf + 1].copy()).float()
    expected = torch.tensor([-2.0 * center[1], 2.0 * center[0], 0.0])
    torch.testing.assert_close(scene.bodies[0, calf, 7:10], expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(scene.bodies[0, calf, 10:13], torch.tensor([0.0, 0.0, 2.0]), atol=1e-5, rtol=0)


def test_reading_the_bodies_does_not_disturb_the_forces_of_the_step(ball_scene):
    scene = ball_scene([(0.0, 0.0, 0.099)], lambda gym, sim: gym.add_ground(sim, floor()))
    scene.gym.simulate(scene.sim)
    scene.gym.refresh_net_contact_force_tensor(scene.sim)
    force = scene.contact.clone()
    scene.root[0, 2] = 5.0
    write_root(scene, [0])
    scene.gym.refresh_rigid_body_state_tensor(scene.sim)
    scene.gym.refresh_net_contact_force_tensor(scene.sim)
    assert force[0, 0, 2] > 10.0
    assert torch.equal(scene.contact, force)


def test_wrong_indices_and_buffers_are_refused(go1_scene):
    scene = go1_scene([1.0, 2.0])
    root = unwrap_tensor(scene.root)
    write = scene.gym.set_actor_root_state_tensor_indexed
    with pytest.raises(IsaacGymShimError, match="torch.int32; found torch.int64"):
        write(scene.sim, root, unwrap_tensor(torch.tensor([0])), 1)
    with pytest.raises(IsaacGymShimError, match="1 actor indices below 2"):
        write(scene.sim, root, unwrap_tensor(torch.tensor([2], dtype=torch.int32)), 1)
    with pytest.raises(IsaacGymShimError, match=r"fits \(2, 12\)"):
        scene.gym.set_dof_actuation_force_tensor(scene.sim, unwrap_tensor(torch.zeros(23)))
    with pytest.raises(IsaacGymShimError, match="contiguous"):
        unwrap_tensor(scene.dof[..., 0])
