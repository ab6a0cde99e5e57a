"""The world in motion: a batch of MuJoCo simulations behind Isaac Gym's state tensors and properties."""

from __future__ import annotations

import mujoco
import numpy as np
import torch
from mjbatch import Batch

from sim.isaacgym_shim.assets import UNLIMITED, Asset
from sim.isaacgym_shim.enumerations import DofDriveMode
from sim.isaacgym_shim.inertia import principal
from sim.isaacgym_shim.parameters import RigidBodyProperties, RigidShapeProperties, SimParams
from sim.isaacgym_shim.rotations import rotate, rotate_inverse, to_wxyz, to_xyzw
from sim.isaacgym_shim.value_types import Transform
from sim.isaacgym_shim.world import touching_bodies

ROOT = 1  # MuJoCo's body 0 is the world
FREE_QPOS, FREE_QVEL = 7, 6
ROOT_STATE_WIDTH = 13


class RunningWorld:
    """N robots. State tensors are float32; the simulations keep float64 and lose nothing between steps.

    Attributes:
        root_state: (N, 13) position [m], rotation x y z w, velocity of the root's centre of mass [m/s], angular
            velocity [rad/s], all in world axes: PhysX gives and takes a body's velocity at its centre of mass.
        dof_state: (N * D, 2) position and velocity.
        contact_force: (N * B, 3) [N], world axes, on each body, in the last substep.
        body_state: (N * B, 13), as root_state.
        dof_force: (N * D,) [Nm] of the drives in the last substep.
    """

    def __init__(self, model: mujoco.MjModel, asset: Asset, count: int, params: SimParams, friction: float) -> None:
        self.count, self.asset, self.params = count, asset, params
        self.bodies, self.dofs = len(asset.body_names), len(asset.dof_names)
        self.frames = 0
        self._model, self._ground_friction = model, friction
        self._batch = Batch(model, count, params.physx.num_threads)
        self._qpos, self._qvel = self._batch.bind("qpos"), self._batch.bind("qvel")
        self._ctrl, self._sensors = self._batch.bind("ctrl"), self._batch.bind("sensordata")
        self._drive_force = self._batch.bind("actuator_force")
        names = ("xpos", "xquat", "xipos", "cvel", "subtree_com")
        self._body = {name: self._batch.bind(name) for name in names}
        masses = ("body_mass", "body_ipos", "body_inertia", "body_iquat")
        joints = ("dof_armature", "dof_frictionloss", "jnt_range")
        settings = ("geom_friction", "actuator_gainprm", "actuator_biasprm", "actuator_forcerange")
        self._field = {name: self._batch.expand(name) for name in (*masses, *joints, *settings)}
        self._shapes = [model.geom(name).id for name in asset.shape_names]
        self._touching = [asset.body_names.index(name) for name in touching_bodies(asset)]
        self._modes = np.zeros((count, self.dofs), np.int32)
        self._targets = {mode: np.zeros((count, self.dofs)) for mode in DofDriveMode}
        self._last_sensors, self._last_drive_force = self._sensors.copy(), self._drive_force.copy()
        self._constants_are_stale = False
        self.root_state = torch.zeros(count, ROOT_STATE_WIDTH)
        self.dof_state = torch.zeros(count * self.dofs, 2)
        self.contact_force = torch.zeros(count * self.bodies, 3)
        self.body_state = torch.zeros(count * self.bodies, ROOT_STATE_WIDTH)
        self.dof_force = torch.zeros(count * self.dofs)

    # Motion

    def place(self, poses: list[Transform]) -> None:
        """At rest in the actors' poses; joints at zero, or at the nearest limit where zero is out of range."""
        self._qpos[:, :3] = [pose.p.array() for pose in poses]
        self._qpos[:, 3:FREE_QPOS] = [(pose.r.w, pose.r.x, pose.r.y, pose.r.z) for pose in poses]
        properties = self.asset.dof_properties
        self._qpos[:, FREE_QPOS:] = np.clip(0.0, properties["lower"], properties["upper"])

    def simulate(self) -> None:
        """One step of `dt`. An effort drives one step only; targets stay."""
        if self._constants_are_stale:
            self._batch.set_const()
            self._constants_are_stale = False
        self._ctrl[:] = np.choose(self._modes, [self._targets[mode] for mode in DofDriveMode])
        self._batch.step(nstep=self.params.substeps)
        self._targets[DofDriveMode.DOF_MODE_EFFORT][:] = 0.0
        self.frames += 1
        # Copies: computing the kinematics anew, for the bodies' states, would overwrite them with the next step's.
        self._last_sensors, self._last_drive_force = self._sensors.copy(), self._drive_force.copy()

    def refresh_contacts(self) -> None:
        """The sensor adds up what a body exerts; Isaac Gym reports what acts on it."""
        forces = self.contact_force.view(self.count, self.bodies, 3)
        exerted = self._last_sensors.reshape(self.count, -1, 3)
        forces[:, self._touching] = torch.tensor(-exerted, dtype=torch.float32)

    def refresh_dof_force(self) -> None:
        self.dof_force[:] = torch.tensor(self._last_drive_force.reshape(-1), dtype=torch.float32)

    def set_targets(self, mode: DofDriveMode, rows: np.ndarray, values: np.ndarray) -> None:
        """Efforts, positions or velocities (R, D) for the robots `rows` (R,)."""
        self._targets[mode][rows] = values

    def refresh_root(self) -> None:
        quaternion, angular = self._qpos[:, 3:FREE_QPOS], self._angular_velocity_in_world()
        arm = rotate(quaternion, self._field["body_ipos"][:, ROOT])
        linear = self._qvel[:, :3] + np.cross(angular, arm)
        parts = [self._qpos[:, :3], to_xyzw(quaternion), linear, angular]
        self.root_state[:] = torch.tensor(np.concatenate(parts, axis=1), dtype=torch.float32)

    def refresh_dof(self) -> None:
        state = np.stack([self._qpos[:, FREE_QPOS:], self._qvel[:, FREE_QVEL:]], axis=2)
        self.dof_state[:] = torch.tensor(state.reshape(-1, 2), dtype=torch.float32)

    def refresh_bodies(self) -> None:
        """Bodies where they are now: MuJoCo's kinematics lag its state by a step until they are computed again."""
        self._batch.forward()
        body = {name: values[:, ROOT:] for name, values in self._body.items()}
        angular = body["cvel"][..., :3]
        # cvel is the velocity of the point of the body that coincides with its tree's centre of mass.
        linear = body["cvel"][..., 3:] + np.cross(angular, body["xipos"] - body["subtree_com"][:, :1])
        parts = [body["xpos"], to_xyzw(body["xquat"]), linear, angular]
        state = np.concatenate(parts, axis=2).reshape(-1, ROOT_STATE_WIDTH)
        self.body_state[:] = torch.tensor(state, dtype=torch.float32)

    def write_root(self, rows: np.ndarray, state: np.ndarray) -> None:
        """Place the robots `rows` (R,) by states (R, 13)."""
        quaternion = to_wxyz(state[:, 3:7])
        quaternion = quaternion / np.linalg.norm(quaternion, axis=1, keepdims=True)
        angular = state[:, 10:13]
        arm = rotate(quaternion, self._field["body_ipos"][rows, ROOT])
        self._qpos[rows, :FREE_QPOS] = np.concatenate([state[:, :3], quaternion], axis=1)
        self._qvel[rows, :3] = state[:, 7:10] - np.cross(angular, arm)
        self._qvel[rows, 3:FREE_QVEL] = rotate_inverse(quaternion, angular)

    def write_dof(self, rows: np.ndarray, state: np.ndarray) -> None:
        """Joint states (R, D, 2) of the robots `rows` (R,)."""
        self._qpos[rows, FREE_QPOS:] = state[..., 0]
        self._qvel[rows, FREE_QVEL:] = state[..., 1]

    def _angular_velocity_in_world(self) -> np.ndarray:
        """MuJoCo keeps a free joint's rotation in the body's frame."""
        return rotate(self._qpos[:, 3:FREE_QPOS], self._qvel[:, 3:FREE_QVEL])

    # Properties

    def set_dof_properties(self, row: int, properties: np.ndarray) -> None:
        """Drives, friction [Nm], armature [kg m^2] and limits of one robot.

        Position drive: kp (q* - q) - kd q'. Velocity drive: kd (q'* - q'). Both at most `effort`. Without a drive and
        under efforts the gains do not act, and efforts are not clipped.
        """
        mode = properties["driveMode"]
        self._modes[row] = mode
        held, moved = mode == DofDriveMode.DOF_MODE_POS, mode == DofDriveMode.DOF_MODE_VEL
        gain = np.select([held, moved], [properties["stiffness"], properties["damping"]], 0.0)
        gain[mode == DofDriveMode.DOF_MODE_EFFORT] = 1.0
        self._field["actuator_gainprm"][row, :, 0] = gain
        self._field["actuator_biasprm"][row, :, 1] = np.where(held, -properties["stiffness"], 0.0)
        self._field["actuator_biasprm"][row, :, 2] = np.where(held | moved, -properties["damping"], 0.0)
        bound = np.where(held | moved, properties["effort"], UNLIMITED)
        self._field["actuator_forcerange"][row] = np.stack([-bound, bound], axis=1)
        self._field["dof_frictionloss"][row, FREE_QVEL:] = properties["friction"]
        self._field["dof_armature"][row, FREE_QVEL:] = properties["armature"]
        self._field["jnt_range"][row, 1:] = np.stack([properties["lower"], properties["upper"]], axis=1)
        self._constants_are_stale = True

    def set_body_properties(self, row: int, properties: list[RigidBodyProperties]) -> None:
        """Masses, centres of mass and inertias of one robot."""
        original = self.asset.body_properties
        for body, (new, old) in enumerate(zip(properties, original, strict=True), start=ROOT):
            self._field["body_mass"][row, body] = new.mass
            self._field["body_ipos"][row, body] = new.com.array()
            self._set_inertia(row, body, new.inertia.array(), old.inertia.array())
        self._constants_are_stale = True

    def _set_inertia(self, row: int, body: int, new: np.ndarray, old: np.ndarray) -> None:
        """Inertias (3, 3) in the body's axes; one that was only scaled keeps the axes that it was compiled with."""
        factor = float(np.trace(new) / np.trace(old)) if np.trace(old) > 0.0 else 1.0
        if factor > 0.0 and np.allclose(new, factor * old, rtol=1e-5, atol=1e-9):
            moments, axes = self._model.body_inertia[body] * factor, self._model.body_iquat[body]
        else:
            moments, axes = principal(new, self.asset.body_names[body - ROOT])
        self._field["body_inertia"][row, body], self._field["body_iquat"][row, body] = moments, axes

    def set_shape_properties(self, row: int, properties: list[RigidShapeProperties]) -> None:
        """Friction of one robot's shapes: a pair has the mean of shape and ground, PhysX's default."""
        friction = np.array([shape.friction for shape in properties])
        self._field["geom_friction"][row, self._shapes, 0] = (friction + self._ground_friction) / 2.0
