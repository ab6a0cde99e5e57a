"""What legged_gym's base classes call, in their order and with their habits, on every kind of ground they make.

A walker of our own words: scene, callbacks on properties, buffers as views, torque loop, resets by index, pushes.
"""

from typing import Any

import numpy as np
import pytest
import torch

from robot_configs.robot import GRAVITY_M_S2, load_robot
from sim.engines.isaacgym import ROBOT_URDF
from sim.isaacgym_shim import gymapi, gymtorch, gymutil, terrain_utils
from sim.isaacgym_shim.torch_utils import get_axis_params, quat_rotate_inverse, to_torch, torch_rand_float

ROBOTS, DECIMATION, BORDER_M = 4, 4, 2.0
SIM_CONFIG = {
    "dt": 0.005,
    "substeps": 1,
    "gravity": [0.0, 0.0, -9.81],
    "up_axis": 1,
    "physx": {"num_threads": 1, "solver_type": 1, "contact_offset": 0.01, "contact_collection": 2},
}
# As legged_gym's assets are read: everything it sets, at its defaults.
ASSET_OPTIONS = {
    "default_dof_drive_mode": 3,
    "collapse_fixed_joints": True,
    "replace_cylinder_with_capsule": True,
    "flip_visual_attachments": True,
    "fix_base_link": False,
    "density": 0.001,
    "angular_damping": 0.0,
    "linear_damping": 0.0,
    "max_angular_velocity": 1000.0,
    "max_linear_velocity": 1000.0,
    "armature": 0.0,
    "thickness": 0.01,
    "disable_gravity": False,
}


class Ground:
    """4 m x 4 m pieces, a flat one and a staircase of 5 cm, inside a border."""

    horizontal_scale, vertical_scale = 0.1, 0.005

    def __init__(self) -> None:
        border = round(BORDER_M / self.horizontal_scale)
        self.rows, self.columns = 2 * 40 + 2 * border, 40 + 2 * border
        self.samples = np.zeros((self.rows, self.columns), np.int16)
        stairs = terrain_utils.SubTerrain("stairs", 40, 40, self.vertical_scale, self.horizontal_scale)
        terrain_utils.pyramid_stairs_terrain(stairs, step_width=0.4, step_height=0.05, platform_size=2.0)
        self.samples[border + 40 : border + 80, border : border + 40] = stairs.height_field_raw
        top = float(stairs.height_field_raw.max()) * self.vertical_scale
        self.origins = torch.tensor([[2.0, 2.0, 0.0], [6.0, 2.0, top]])


class Walker:
    """A task in the manner of legged_gym."""

    def __init__(self, mesh_type: str) -> None:
        self.gym = gymapi.acquire_gym()
        params = gymapi.SimParams()
        gymutil.parse_sim_config(SIM_CONFIG, params)
        kind, number = gymutil.parse_device_str("cpu")
        assert kind == "cpu"
        self.dt = DECIMATION * params.dt
        self.sim = self.gym.create_sim(number, -1, gymapi.SIM_PHYSX, params)
        self.ground = Ground()
        {"plane": self._plane, "heightfield": self._height_field, "trimesh": self._mesh}[mesh_type]()
        self._create_envs(flat=mesh_type == "plane")
        self.gym.prepare_sim(self.sim)
        self._acquire()
        self.reset_idx(torch.arange(ROBOTS))

    def _plane(self) -> None:
        params = gymapi.PlaneParams()
        params.normal = gymapi.Vec3(0.0, 0.0, 1.0)
        self.gym.add_ground(self.sim, params)

    def _height_field(self) -> None:
        params = gymapi.HeightFieldParams()
        params.column_scale = params.row_scale = self.ground.horizontal_scale
        params.vertical_scale = self.ground.vertical_scale
        params.nbRows, params.nbColumns = self.ground.columns, self.ground.rows
        params.transform.p.x = params.transform.p.y = -BORDER_M
        self.gym.add_heightfield(self.sim, self.ground.samples, params)

    def _mesh(self) -> None:
        scales = self.ground.horizontal_scale, self.ground.vertical_scale
        vertices, triangles = terrain_utils.convert_heightfield_to_trimesh(self.ground.samples, *scales, 0.75)
        params = gymapi.TriangleMeshParams()
        params.nb_vertices, params.nb_triangles = len(vertices), len(triangles)
        params.transform.p.x = params.transform.p.y = -BORDER_M
        self.gym.add_triangle_mesh(self.sim, vertices.flatten(order="C"), triangles.flatten(order="C"), params)

    def _create_envs(self, flat: bool) -> None:
        options = gymapi.AssetOptions()
        for name, value in ASSET_OPTIONS.items():
            setattr(options, name, value)
        asset = self.gym.load_asset(self.sim, str(ROBOT_URDF.parent), ROBOT_URDF.name, options)
        self.dof_names = self.gym.get_asset_dof_names(asset)
        body_names = self.gym.get_asset_rigid_body_names(asset)
        joint_properties = self.gym.get_asset_dof_properties(asset)
        shape_properties: Any = self.gym.get_asset_rigid_shape_properties(asset)
        self.torque_limits = torch.tensor(joint_properties["effort"].copy())
        self.origins = torch.zeros(ROBOTS, 3) if flat else self.ground.origins[torch.arange(ROBOTS) % 2]
        corner = gymapi.Vec3(0.0, 0.0, 0.0)
        # As legged_gym draws them, with its shapes: the coefficient of a robot is a tensor of (1, 1).
        buckets = torch_rand_float(0.5, 1.25, (64, 1), device="cpu")
        self.friction_coeffs = buckets[torch.randint(0, 64, (ROBOTS, 1))]
        self.envs, self.actors = [], []
        for index in range(ROBOTS):
            env = self.gym.create_env(self.sim, corner, corner, int(np.sqrt(ROBOTS)))
            pose = gymapi.Transform()
            pose.p = gymapi.Vec3(*(self.origins[index] + torch.tensor([0.0, 0.0, 0.35])))
            for number in range(len(shape_properties)):
                shape_properties[number].friction = self.friction_coeffs[index]
            self.gym.set_asset_rigid_shape_properties(asset, shape_properties)
            actor = self.gym.create_actor(env, asset, pose, "go1", index, 1, 0)
            joint_properties["armature"] = 0.005
            self.gym.set_actor_dof_properties(env, actor, joint_properties)
            bodies = self.gym.get_actor_rigid_body_properties(env, actor)
            bodies[0].mass += 0.5 * index
            self.gym.set_actor_rigid_body_properties(env, actor, bodies, recomputeInertia=True)
            self.envs.append(env)
            self.actors.append(actor)
        self.feet = torch.tensor(
            [
                self.gym.find_actor_rigid_body_handle(self.envs[0], self.actors[0], name)
                for name in body_names
                if "foot" in name
            ]
        )

    def _acquire(self) -> None:
        root = self.gym.acquire_actor_root_state_tensor(self.sim)
        dof = self.gym.acquire_dof_state_tensor(self.sim)
        contact = self.gym.acquire_net_contact_force_tensor(self.sim)
        self.gym.refresh_dof_state_tensor(self.sim)
        self.root_states = gymtorch.wrap_tensor(root)
        self.dof_state = gymtorch.wrap_tensor(dof)
        self.dof_pos = self.dof_state.view(ROBOTS, -1, 2)[..., 0]
        self.dof_vel = self.dof_state.view(ROBOTS, -1, 2)[..., 1]
        self.contact_forces = gymtorch.wrap_tensor(contact).view(ROBOTS, -1, 3)
        self.gravity = to_torch(get_axis_params(-1.0, 2), device="cpu").repeat(ROBOTS, 1)
        robot = load_robot()
        order = [robot.joint_names.index(name) for name in self.dof_names]
        self.default = torch.tensor(robot.stand_position, dtype=torch.float32)[order]

    def step(self, actions: torch.Tensor) -> None:
        for _ in range(DECIMATION):
            torques = 40.0 * (self.default + 0.25 * actions - self.dof_pos) - 1.0 * self.dof_vel
            torques = torch.clip(torques, -self.torque_limits, self.torque_limits)
            self.gym.set_dof_actuation_force_tensor(self.sim, gymtorch.unwrap_tensor(torques))
            self.gym.simulate(self.sim)
            self.gym.fetch_results(self.sim, True)
            self.gym.refresh_dof_state_tensor(self.sim)
        self.gym.refresh_actor_root_state_tensor(self.sim)
        self.gym.refresh_net_contact_force_tensor(self.sim)

    def reset_idx(self, env_ids: torch.Tensor) -> None:
        self.dof_pos[env_ids] = self.default * torch_rand_float(0.9, 1.1, (len(env_ids), 12), device="cpu")
        self.dof_vel[env_ids] = 0.0
        ids = env_ids.to(dtype=torch.int32)
        numbers = gymtorch.unwrap_tensor(ids)
        self.gym.set_dof_state_tensor_indexed(self.sim, gymtorch.unwrap_tensor(self.dof_state), numbers, len(ids))
        self.root_states[env_ids] = torch.tensor([0.0, 0.0, 0.35, 0.0, 0.0, 0.0, 1.0] + [0.0] * 6)
        self.root_states[env_ids, :3] += self.origins[env_ids]
        states = gymtorch.unwrap_tensor(self.root_states)
        self.gym.set_actor_root_state_tensor_indexed(self.sim, states, numbers, len(ids))

    def push(self) -> None:
        self.root_states[:, 7:9] = torch.tensor([0.3, -0.2])
        self.gym.set_actor_root_state_tensor(self.sim, gymtorch.unwrap_tensor(self.root_states))


@pytest.mark.parametrize("mesh_type", ["plane", "heightfield", "trimesh"])
def test_a_walker_stands_is_pushed_and_reset(mesh_type):
    torch.manual_seed(5)
    walker = Walker(mesh_type)
    shapes = walker.gym.get_actor_rigid_shape_properties(walker.envs[1], walker.actors[1])
    assert [shape.friction for shape in shapes] == [float(walker.friction_coeffs[1])] * len(shapes)
    for _ in range(50):
        walker.step(torch.zeros(ROBOTS, 12))
    height = walker.root_states[:, 2] - walker.origins[:, 2]
    assert ((height > 0.24) & (height < 0.28)).all(), "on the flat piece and on top of the stairs alike"
    upright = quat_rotate_inverse(walker.root_states[:, 3:7], walker.gravity)
    assert (upright[:, 2] < -0.98).all()
    weight = (load_robot().total_mass_kg + 0.5 * torch.arange(ROBOTS)) * GRAVITY_M_S2
    torch.testing.assert_close(walker.contact_forces[:, walker.feet, 2].sum(1), weight, rtol=0.05, atol=0)

    walker.push()
    before = walker.root_states.clone()
    walker.step(torch.zeros(ROBOTS, 12))
    assert (walker.root_states[:, 0] > before[:, 0] + 0.001).all()

    walker.reset_idx(torch.tensor([2]))
    torch.testing.assert_close(walker.root_states[2, :3], walker.origins[2] + torch.tensor([0.0, 0.0, 0.35]))
    untouched = walker.root_states[[0, 1, 3]].clone()
    walker.gym.refresh_actor_root_state_tensor(walker.sim)
    torch.testing.assert_close(walker.root_states[[0, 1, 3]], untouched, atol=1e-6, rtol=0)
    walker.step(0.1 * torch.ones(ROBOTS, 12))
    assert torch.isfinite(walker.root_states).all()
