"""The embedded default engine: MuJoCo on all cores through mjbatch.

A control step is one call: the PD loop, its torque limit and the delay of its targets are those of MuJoCo's actuators,
computed in every physics step without coming back to Python.
"""

from __future__ import annotations

from typing import Mapping, Optional

import numpy as np
import torch
from mjbatch import Batch

from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel
from sim.engines.mujoco_model import FLOOR, training_model
from sim.engines.protocol import MAX_DELAY_SUBSTEPS, EngineState, PhysicsParameters
from sim.engines.rotations import world_to_trunk
from sim.terrain.height_field import HeightField

_EXPANDED = (
    *("geom_friction", "geom_solref", "body_mass", "body_ipos", "body_inertia", "dof_frictionloss", "dof_armature"),
    *("actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "actuator_delay"),
)


class MujocoEngineError(Go1Error):
    """Parameters that this engine can not simulate."""


class MujocoEngine:
    """Go1s on a flat floor, or each on its own copy of a terrain."""

    def __init__(
        self, robot: RobotModel, num_envs: int, num_threads: int = 0, terrain: Optional[HeightField] = None
    ) -> None:
        model = training_model(terrain)
        feet = [model.geom(f"{name}_foot").id for name in robot.foot_names]
        self._feet, self._contact_pair = feet, [*feet, model.geom(FLOOR).id]
        self._foot_sites = [model.site(f"{name}_foot").id for name in robot.foot_names]
        self._trunk = model.body("trunk").id
        self.num_envs = num_envs
        self.physics_dt_s = float(model.opt.timestep)
        self._model = model
        self._batch = Batch(model, num_envs, num_threads)
        self._integration_state = self._batch.bind("state")
        self._qpos = self._batch.bind("qpos")
        self._qvel = self._batch.bind("qvel")
        self._ctrl = self._batch.bind("ctrl")
        self._torque = self._batch.bind("actuator_force")
        self._site_xpos = self._batch.bind("site_xpos")
        self._target_history = self._bind_target_history()
        self._field = {name: self._batch.expand(name) for name in _EXPANDED}

    def _bind_target_history(self) -> np.ndarray:
        """View (N, 12, H) of the targets that the actuators remember.

        MuJoCo's buffer of an actuator with H samples: user value, cursor, H times, H values.
        """
        samples = MAX_DELAY_SUBSTEPS + 1
        buffers = self._batch.bind("history")
        view = buffers.reshape(self.num_envs, -1, 2 + 2 * samples)
        assert np.shares_memory(view, buffers)
        return view[:, :, 2 + samples :]

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        """See `Engine`; derived constants (inverse weights) follow.

        Raises:
            MujocoEngineError: a delay outside 0 to `MAX_DELAY_SUBSTEPS`.
        """
        delay = parameters.delay_substeps.numpy()
        if delay.min() < 0 or delay.max() > MAX_DELAY_SUBSTEPS:
            found = f"{delay.min()} to {delay.max()}"
            raise MujocoEngineError(f"delays of 0 to {MAX_DELAY_SUBSTEPS} physics steps", found, "Shorten the delay.")
        field = self._field
        field["geom_friction"][:, self._feet, 0] = parameters.friction[:, None].numpy()
        field["geom_solref"][:, self._contact_pair, 0] = parameters.ground_time_constant_s[:, None].numpy()
        field["dof_frictionloss"][:, 6:] = parameters.joint_friction_nm.numpy()
        field["dof_armature"][:, 6:] = self._model.dof_armature[6:] * parameters.armature_scale.numpy()
        # Half a step earlier than the steps they fall between: sums of time steps are not exact.
        field["actuator_delay"][:] = (np.maximum(delay - 0.5, 0.0) * self.physics_dt_s)[:, None]
        self._set_motors(parameters)
        self._set_masses(parameters)
        self._batch.set_const()

    def _set_motors(self, parameters: PhysicsParameters) -> None:
        """strength x clip(Kp (q* - q) - Kd q', limit) = clip of the scaled gains at the scaled limit."""
        strength = parameters.motor_strength.numpy()
        stiffness, damping = strength * parameters.stiffness.numpy(), strength * parameters.damping.numpy()
        bias, limit = self._field["actuator_biasprm"], self._field["actuator_forcerange"]
        self._field["actuator_gainprm"][:, :, 0] = stiffness
        bias[:, :, 1], bias[:, :, 2] = -stiffness, -damping
        limit[:] = self._model.actuator_forcerange * strength[:, :, None]

    def _set_masses(self, parameters: PhysicsParameters) -> None:
        """Links scaled, then the payload as a point: centres meet by weight, inertia grows by the reduced mass."""
        model, trunk, field = self._model, self._trunk, self._field
        scale = parameters.link_mass_scale.double().numpy()
        payload, offset = parameters.payload_kg.double().numpy(), parameters.payload_offset_m.double().numpy()
        field["body_mass"][:] = model.body_mass * scale[:, None]
        field["body_inertia"][:] = model.body_inertia * scale[:, None, None]
        bare = field["body_mass"][:, trunk].copy()
        share = payload / (bare + payload)
        shift = parameters.center_of_mass_shift_m.double().numpy() + share[:, None] * offset
        field["body_mass"][:, trunk] = bare + payload
        field["body_ipos"][:, trunk] = model.body_ipos[trunk] + shift
        square = offset**2
        # About axis i the square of the distance is the sum of the other two; products of inertia are left out.
        field["body_inertia"][:, trunk] += (bare * share)[:, None] * (square.sum(axis=1, keepdims=True) - square)

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
        self._target_history[index] = joints.numpy()[:, :, None]
        self._batch.forward(ids=ids)  # else feet and torques stay those of the model's zero pose until the next step

    def push(self, velocity_change: torch.Tensor) -> None:
        self._qvel[:, :3] += velocity_change.numpy()

    def snapshot(self) -> dict[str, torch.Tensor]:
        """MuJoCo's integration state, actuators' histories and the solver's warm start included, and its outputs."""
        return {
            "integration_state": torch.tensor(self._integration_state),
            "torque": torch.tensor(self._torque),
            "site_position": torch.tensor(self._site_xpos),
        }

    def restore(self, snapshot: Mapping[str, torch.Tensor]) -> None:
        self._integration_state[:] = snapshot["integration_state"].numpy()
        # Else feet and torques would be those of the model's zero pose until the next step.
        self._torque[:] = snapshot["torque"].numpy()
        self._site_xpos[:] = snapshot["site_position"].numpy()
