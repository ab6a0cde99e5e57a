"""The embedded default engine: MuJoCo on all cores through mjbatch."""

from __future__ import annotations

import mujoco
import numpy as np
import torch
from mjbatch import Batch

from robot_configs.robot import MODEL_XML, RobotModel
from sim.engines.protocol import EngineState, PhysicsParameters
from sim.engines.rotations import world_to_trunk


class MujocoEngine:
    """Go1s on a flat floor; time step and solver are those of go1.xml."""

    def __init__(self, robot: RobotModel, num_envs: int, num_threads: int = 0) -> None:
        model = mujoco.MjModel.from_xml_path(str(MODEL_XML))
        model.vis.global_.bvactive = 0  # bounding-volume bookkeeping for the viewer costs up to 3x in stepping
        self._feet = [model.geom(f"{name}_foot").id for name in robot.foot_names]
        self._foot_sites = [model.site(f"{name}_foot").id for name in robot.foot_names]
        self._trunk = model.body("trunk").id
        # MuJoCo takes the larger friction of a pair: the floor's is lowered so that the feet's decides.
        model.geom_friction[model.geom("floor").id, 0] = 0.05
        self.num_envs = num_envs
        self.physics_dt_s = float(model.opt.timestep)
        self._model = model
        self._batch = Batch(model, num_envs, num_threads)
        self._qpos = self._batch.bind("qpos")
        self._qvel = self._batch.bind("qvel")
        self._ctrl = self._batch.bind("ctrl")
        self._torque = self._batch.bind("actuator_force")
        self._site_xpos = self._batch.bind("site_xpos")

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        """See `Engine`; derived constants (inverse weights) follow."""
        batch = self._batch
        batch.expand("geom_friction")[:, self._feet, 0] = parameters.friction[:, None].numpy()
        batch.expand("body_mass")[:, self._trunk] = self._model.body_mass[self._trunk] + parameters.payload_kg.numpy()
        batch.expand("body_ipos")[:, self._trunk] = (
            self._model.body_ipos[self._trunk] + parameters.center_of_mass_shift_m.numpy()
        )
        stiffness, damping = parameters.stiffness.numpy(), parameters.damping.numpy()
        batch.expand("actuator_gainprm")[:, :, 0] = stiffness
        bias = batch.expand("actuator_biasprm")
        bias[:, :, 1], bias[:, :, 2] = -stiffness, -damping
        batch.expand("dof_frictionloss")[:, 6:] = parameters.joint_friction_nm.numpy()
        batch.set_const()

    def step(self, joint_target: torch.Tensor, substeps: int) -> None:
        self._ctrl[:] = joint_target.numpy()
        self._batch.step(nstep=substeps)

    def state(self) -> EngineState:
        qpos = torch.tensor(self._qpos, dtype=torch.float32)
        qvel = torch.tensor(self._qvel, dtype=torch.float32)
        orientation = qpos[:, 3:7]
        return EngineState(
            position_trunk_in_world=qpos[:, :3],
            orientation_trunk_in_world=orientation,
            linear_velocity_trunk_in_trunk=world_to_trunk(orientation, qvel[:, :3]),
            angular_velocity_trunk_in_trunk=qvel[:, 3:6],  # MuJoCo keeps a free joint's rotation in the body frame
            joint_position=qpos[:, 7:],
            joint_velocity=qvel[:, 6:],
            joint_torque=torch.tensor(self._torque, dtype=torch.float32),
            foot_position_in_world=torch.tensor(self._site_xpos[:, self._foot_sites], dtype=torch.float32),
        )

    def reset(
        self, rows: torch.Tensor, position: torch.Tensor, orientation: torch.Tensor, joints: torch.Tensor
    ) -> None:
        index = rows.numpy()
        ids = index.astype(np.int32)
        self._batch.reset(ids=ids)
        self._qpos[index] = torch.cat([position, orientation, joints], dim=1).numpy()
        self._qvel[index] = 0.0
        self._ctrl[index] = joints.numpy()
        self._batch.forward(ids=ids)  # else feet and torques stay those of the model's zero pose until the next step

    def push(self, velocity_change: torch.Tensor) -> None:
        self._qvel[:, :3] += velocity_change.numpy()
