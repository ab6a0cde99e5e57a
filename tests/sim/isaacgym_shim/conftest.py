"""Small scenes on the shim: a ball, and the Go1."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sim.engines.isaacgym import ROBOT_URDF
from sim.isaacgym_shim import gymapi
from sim.isaacgym_shim.gymtorch import wrap_tensor

BALL = """<robot name="ball"><link name="ball">
  <inertial><mass value="2"/><inertia ixx="0.02" ixy="0" ixz="0" iyy="0.02" iyz="0" izz="0.02"/></inertial>
  <collision><geometry><sphere radius="0.1"/></geometry></collision>
</link></robot>"""
BALL_RADIUS_M = 0.1


class Scene:
    """A prepared simulation with one actor in each environment, and its wrapped tensors."""

    def __init__(self, sim: Any, count: int) -> None:
        self.gym, self.sim, self.count = gymapi.acquire_gym(), sim, count
        self.envs = [self.gym.get_env(sim, index) for index in range(count)]
        self.gym.prepare_sim(sim)
        self.root = wrap_tensor(self.gym.acquire_actor_root_state_tensor(sim))
        self.dof = wrap_tensor(self.gym.acquire_dof_state_tensor(sim)).view(count, -1, 2)
        self.bodies = wrap_tensor(self.gym.acquire_rigid_body_state_tensor(sim)).view(count, -1, 13)
        self.contact = wrap_tensor(self.gym.acquire_net_contact_force_tensor(sim)).view(count, -1, 3)
        self.refresh()

    def refresh(self) -> None:
        self.gym.refresh_actor_root_state_tensor(self.sim)
        self.gym.refresh_dof_state_tensor(self.sim)
        self.gym.refresh_net_contact_force_tensor(self.sim)
        self.gym.refresh_rigid_body_state_tensor(self.sim)

    def simulate(self, steps: int) -> None:
        for _ in range(steps):
            self.gym.simulate(self.sim)
        self.refresh()


def simulation_parameters() -> gymapi.SimParams:
    params = gymapi.SimParams()
    params.dt, params.substeps, params.up_axis = 0.004, 1, gymapi.UP_AXIS_Z
    params.gravity = gymapi.Vec3(0.0, 0.0, -9.81)
    params.physx.num_threads = 1
    return params


def floor(friction: float = 1.0) -> gymapi.PlaneParams:
    params = gymapi.PlaneParams()
    params.normal = gymapi.Vec3(0.0, 0.0, 1.0)
    params.static_friction = params.dynamic_friction = friction
    return params


def asset_options() -> gymapi.AssetOptions:
    options = gymapi.AssetOptions()
    options.angular_damping = 0.0
    options.collapse_fixed_joints = True
    return options


@pytest.fixture
def ball_file(tmp_path: Path) -> Path:
    path = tmp_path / "ball.urdf"
    path.write_text(BALL)
    return path


@pytest.fixture
def go1_scene() -> Callable[..., Scene]:
    """Builds a scene of Go1s at given heights; `customize(env_index, env)` runs before it is prepared."""

    def build(heights_m: list[float], ground: Any = None, customize: Any = None, drive: Any = None) -> Scene:
        gym = gymapi.acquire_gym()
        sim = gym.create_sim(0, -1, gymapi.SIM_PHYSX, simulation_parameters())
        if ground is not None:
            gym.add_ground(sim, ground)
        options = asset_options()
        options.default_dof_drive_mode = int(drive if drive is not None else gymapi.DOF_MODE_EFFORT)
        asset = gym.load_asset(sim, str(ROBOT_URDF.parent), ROBOT_URDF.name, options)
        for index, height in enumerate(heights_m):
            env = gym.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), 1)
            pose = gymapi.Transform(gymapi.Vec3(0.0, 0.0, height))
            gym.create_actor(env, asset, pose, "go1", index, 1, 0)
            if customize is not None:
                customize(index, env)
        return Scene(sim, len(heights_m))

    return build


@pytest.fixture
def ball_scene(ball_file: Path) -> Callable[..., Scene]:
    """Builds a scene of balls at given positions; `add_ground(gym, sim)` adds what they fall on."""

    def build(positions: list[tuple[float, float, float]], add_ground: Any = None) -> Scene:
        gym = gymapi.acquire_gym()
        sim = gym.create_sim(0, -1, gymapi.SIM_PHYSX, simulation_parameters())
        if add_ground is not None:
            add_ground(gym, sim)
        asset = gym.load_asset(sim, str(ball_file.parent), ball_file.name, asset_options())
        for index, position in enumerate(positions):
            env = gym.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), 1)
            gym.create_actor(env, asset, gymapi.Transform(gymapi.Vec3(*position)), "ball", index, 0, 0)
        return Scene(sim, len(positions))

    return build


torch.set_num_threads(1)
