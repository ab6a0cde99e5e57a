"""Isaac Gym Preview 4 through its tensor API: PhysX on NVIDIA GPUs; the same calls run on MuJoCo through the shim.

The motors are computed here, in every physics step, and reach the simulator as efforts: PD, torque limit, friction and
damping of the joints are then the same whatever simulator they drive.
"""

from __future__ import annotations

from typing import Any, List, Optional, Sequence

import numpy as np
import torch

from robot_configs.kinematics import foot_position_in_trunk
from robot_configs.robot import CONFIG_DIR, RobotModel
from sim.engines.isaacgym_bodies import RobotBodies
from sim.engines.isaacgym_modules import import_isaacgym
from sim.engines.isaacgym_scene import (
    GROUND_FRICTION,
    IsaacGymError,
    add_ground,
    create_simulation,
    simulation_parameters,
)
from sim.engines.protocol import FIRM_GROUND_TIME_CONSTANT_S, EngineState, PhysicsParameters
from sim.engines.rotations import trunk_to_world, world_to_trunk
from sim.engines.target_delay import TargetDelay
from sim.terrain.height_field import HeightField

ROBOT_URDF = CONFIG_DIR / "go1.urdf"
_SPAWNED_ABOVE_M = 1.0  # of the ground's highest place: actors wait there for their first reset


class IsaacGymEngine:
    """Go1s on a flat floor, or on a terrain that they share and pass through each other on; one an environment.

    Writes are collected and handed over once before the next physics step: Isaac Gym's GPU pipeline keeps only the last
    of several writes. Until then `state()` answers from what was written.

    Attributes:
        contact_forces: (N, B, 3) [N], world axes, on each body, of the last physics step; `body_names` (B) tells which.
        joint_torque: (N, 12) [Nm] of the motors, wire order, of the last physics step.
    """

    def __init__(
        self,
        robot: RobotModel,
        num_envs: int,
        sim_device: str = "cpu",
        sim_params: Optional[Any] = None,
        terrain: Optional[HeightField] = None,
    ) -> None:
        self._gymapi, self._gymtorch = import_isaacgym()
        parameters = sim_params if sim_params is not None else simulation_parameters(self._gymapi, sim_device)
        self.robot, self.num_envs = robot, num_envs
        self.physics_dt_s = float(parameters.dt)
        self.on_gpu = bool(parameters.use_gpu_pipeline)
        self.device = torch.device(sim_device if self.on_gpu else "cpu")
        self._gym = self._gymapi.acquire_gym()
        self._sim = create_simulation(self._gym, self._gymapi, sim_device, parameters)
        add_ground(self._gym, self._gymapi, self._sim, terrain)
        self._envs: List[Any] = []
        self._create_robots(_spawn_place(terrain))
        self._delay = TargetDelay(num_envs, self.device)
        self._prepared = False

    # Building the scene

    def _create_robots(self, place_m: Sequence[float]) -> None:
        gym, gymapi = self._gym, self._gymapi
        options = gymapi.AssetOptions()
        options.default_dof_drive_mode = int(gymapi.DOF_MODE_EFFORT)
        options.collapse_fixed_joints = True
        options.angular_damping = options.linear_damping = 0.0
        options.max_angular_velocity = options.max_linear_velocity = 1000.0
        options.thickness, options.use_physx_armature = 0.01, True
        asset = gym.load_asset(self._sim, str(ROBOT_URDF.parent), ROBOT_URDF.name, options)
        self.body_names: List[str] = gym.get_asset_rigid_body_names(asset)
        self._find_joints(gym.get_asset_dof_names(asset), gym.get_asset_dof_properties(asset))
        self._foot_shapes = self._shapes_of_feet(gym.get_asset_rigid_body_shape_indices(asset))
        zero, pose = gymapi.Vec3(0.0, 0.0, 0.0), gymapi.Transform()
        pose.p = gymapi.Vec3(*place_m)
        for index in range(self.num_envs):
            env = gym.create_env(self._sim, zero, zero, max(1, int(self.num_envs**0.5)))
            # Group: robots of different environments share the ground and pass through each other. Filter 1: a
            # robot's links do not collide with each other, as in go1.xml.
            gym.create_actor(env, asset, pose, self.robot.name, index, 1, 0)
            gym.set_actor_dof_properties(env, 0, self._motor_properties)
            self._envs.append(env)
        self._bodies = RobotBodies(
            gym, gymapi, self._envs[0], self.robot, self._motor_properties, self._wire_to_gym, self.num_envs
        )

    def _find_joints(self, names: List[str], properties: np.ndarray) -> None:
        """Isaac Gym's order of joints against the wire's, by name."""
        if sorted(names) != sorted(self.robot.joint_names):
            raise IsaacGymError(f"the joints {sorted(self.robot.joint_names)}", f"{sorted(names)}", "Rebuild go1.urdf.")
        self._wire_to_gym = torch.tensor([self.robot.joint_names.index(name) for name in names])
        self._gym_to_wire = torch.tensor([names.index(name) for name in self.robot.joint_names])
        self._passive_damping = torch.tensor(np.array(properties["damping"]))[self._gym_to_wire].to(self.device)
        self._torque_limit = torch.tensor(self.robot.torque_limit, dtype=torch.float32, device=self.device)
        properties["driveMode"] = int(self._gymapi.DOF_MODE_EFFORT)
        for lost in ("stiffness", "damping", "friction"):
            properties[lost] = 0.0
        properties["armature"] = self.robot.armature[self._wire_to_gym.numpy()]
        self._motor_properties = properties

    def _shapes_of_feet(self, ranges: List[Any]) -> List[int]:
        feet = [self.body_names.index(f"{name}_foot") for name in self.robot.foot_names]
        return [shape for foot in feet for shape in range(ranges[foot].start, ranges[foot].start + ranges[foot].count)]

    def _prepare(self) -> None:
        """Close the scene at the first need, so that `set_parameters` before it may change what PhysX freezes."""
        if self._prepared:
            return
        gym, sim, wrap = self._gym, self._sim, self._gymtorch.wrap_tensor
        gym.prepare_sim(sim)
        self._root = wrap(gym.acquire_actor_root_state_tensor(sim))
        self._dof = wrap(gym.acquire_dof_state_tensor(sim)).view(self.num_envs, -1, 2)
        self.contact_forces = wrap(gym.acquire_net_contact_force_tensor(sim)).view(self.num_envs, -1, 3)
        gym.refresh_actor_root_state_tensor(sim)
        gym.refresh_dof_state_tensor(sim)
        self._root_is_written = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._dof_is_written = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self.joint_torque = torch.zeros(self.num_envs, 12, device=self.device)
        self._prepared = True

    # Engine

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        """See `Engine`.

        Raises:
            IsaacGymError: masses, their centres or rotors change after the first step on the GPU, where PhysX keeps
                them; or the ground is to be soft.
        """
        _require_firm_ground(parameters)
        if self._bodies.differ_from(parameters):
            if self._prepared and self.on_gpu:
                expected = "masses, centres of mass and rotors that stay as they were at the first step"
                raise IsaacGymError(expected, "others", "Set them before the first step or reset.")
            self._bodies.write(self._envs, parameters)
        for row, env in enumerate(self._envs):
            shapes = self._gym.get_actor_rigid_shape_properties(env, 0)
            for index in self._foot_shapes:
                shapes[index].friction = 2.0 * float(parameters.friction[row]) - GROUND_FRICTION
            self._gym.set_actor_rigid_shape_properties(env, 0, shapes)
        self._armature = self._bodies.armature.to(self.device)
        self._strength = parameters.motor_strength.to(self.device)
        self._delay.set_delay(parameters.delay_substeps)
        self._stiffness = parameters.stiffness.to(self.device)
        self._damping = parameters.damping.to(self.device)
        self._friction = parameters.joint_friction_nm.to(self.device)

    def step(self, joint_target: torch.Tensor, substeps: int) -> None:
        gym, sim = self._gym, self._sim
        self._prepare()
        self._hand_over()
        target = joint_target.to(self.device)
        for _ in range(substeps):
            effort = self._effort(self._delay.give(target))[:, self._wire_to_gym].contiguous()
            gym.set_dof_actuation_force_tensor(sim, self._gymtorch.unwrap_tensor(effort))
            gym.simulate(sim)
            if not self.on_gpu:
                gym.fetch_results(sim, True)
            gym.refresh_dof_state_tensor(sim)
        gym.refresh_actor_root_state_tensor(sim)
        gym.refresh_net_contact_force_tensor(sim)

    def _effort(self, target: torch.Tensor) -> torch.Tensor:
        """Torques on the joints (N, 12) [Nm]: the motors', less what the joints lose.

        Coulomb friction is at most what stops the rotor within a step: as an explicit force, more would drive the joint
        backwards. It holds a joint against no load, only against motion.
        """
        position, velocity = self._dof[:, self._gym_to_wire, 0], self._dof[:, self._gym_to_wire, 1]
        motor = self._stiffness * (target - position) - self._damping * velocity
        self.joint_torque = self._strength * torch.maximum(
            torch.minimum(motor, self._torque_limit), -self._torque_limit
        )
        stopping = self._armature * velocity / self.physics_dt_s
        friction = torch.maximum(torch.minimum(stopping, self._friction), -self._friction)
        return self.joint_torque - self._passive_damping * velocity - friction

    def _hand_over(self) -> None:
        """What was written since the last step, in one call for all robots of each kind."""
        for written, tensor, write in (
            (self._root_is_written, self._root, self._gym.set_actor_root_state_tensor_indexed),
            (self._dof_is_written, self._dof, self._gym.set_dof_state_tensor_indexed),
        ):
            rows = written.nonzero().squeeze(1).to(torch.int32)
            if len(rows):
                write(self._sim, self._gymtorch.unwrap_tensor(tensor), self._gymtorch.unwrap_tensor(rows), len(rows))
                written[:] = False

    def state(self) -> EngineState:
        """See `Engine`; on the CPU, whatever the simulation's device."""
        self._prepare()
        root, dof = self._root.cpu(), self._dof.cpu()[:, self._gym_to_wire.cpu()]
        orientation = root[:, [6, 3, 4, 5]]
        angular = world_to_trunk(orientation, root[:, 10:13])
        # PhysX gives the velocity of the trunk's centre of mass; the trunk's frame lies beside it.
        linear = world_to_trunk(orientation, root[:, 7:10]) - torch.cross(angular, self._bodies.center_m, dim=1)
        joints = dof[:, :, 0].clone()
        feet = torch.tensor(foot_position_in_trunk(self.robot, joints.double().numpy()), dtype=torch.float32)
        return EngineState(
            position_trunk_in_world=root[:, :3].clone(),
            orientation_trunk_in_world=orientation,
            linear_velocity_trunk_in_trunk=linear,
            angular_velocity_trunk_in_trunk=angular,
            joint_position=joints,
            joint_velocity=dof[:, :, 1].clone(),
            joint_torque=self.joint_torque.cpu().clone(),
            foot_position_in_world=root[:, None, :3] + trunk_to_world(orientation[:, None].expand(-1, 4, 4), feet),
        )

    def reset(
        self, rows: torch.Tensor, position: torch.Tensor, orientation: torch.Tensor, joints: torch.Tensor
    ) -> None:
        self._prepare()
        index = rows.to(self.device)
        rest = torch.zeros(len(rows), 6)
        self._root[index] = torch.cat([position, orientation[:, [1, 2, 3, 0]], rest], dim=1).to(self.device)
        self._dof[index, :, 0] = joints.to(self.device)[:, self._wire_to_gym]
        self._dof[index, :, 1] = 0.0
        self.joint_torque[index] = 0.0
        self._delay.restart(index, joints.to(self.device))
        self._root_is_written[index] = True
        self._dof_is_written[index] = True

    def push(self, velocity_change: torch.Tensor) -> None:
        self._prepare()
        self._root[:, 7:10] += velocity_change.to(self.device)
        self._root_is_written[:] = True


def _spawn_place(terrain: Optional[HeightField]) -> Sequence[float]:
    """Above the middle of the ground, x y z [m]."""
    if terrain is None:
        return 0.0, 0.0, _SPAWNED_ABOVE_M
    middle = [0.5 * (first + last) for first, last in zip(terrain.origin_m, terrain.far_corner_m)]  # noqa: B905 - 3.8
    return *middle, float(terrain.heights_m.max()) + _SPAWNED_ABOVE_M


def _require_firm_ground(parameters: PhysicsParameters) -> None:
    softness = parameters.ground_time_constant_s
    other = softness[softness != torch.tensor(FIRM_GROUND_TIME_CONSTANT_S)]
    if len(other):
        raise IsaacGymError(
            f"ground_time_constant_s = {FIRM_GROUND_TIME_CONSTANT_S:g} for all robots: PhysX's contacts are rigid",
            f"{float(other[0]):g}",
            "Train with --firm-ground, or on soft ground with --engine mujoco.",
        )
