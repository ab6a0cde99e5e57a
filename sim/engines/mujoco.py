"""The embedded default engine: MuJoCo on all cores through mjbatch.

A control step is one call: the PD loop, its torque limit and the delay of its targets are those of MuJoCo's actuators,
computed in every physics step without coming back to Python.
"""

from __future__ import annotations

from typing import Mapping, Optional

import mujoco
import numpy as np
import torch
from mjbatch import Batch

from robot_configs.robot import RobotModel
from sim.engines.mujoco_fields import VARIED, model_fields
from sim.engines.mujoco_model import training_model
from sim.engines.protocol import MAX_DELAY_SUBSTEPS, EngineState, PhysicsParameters
from sim.engines.rotations import world_to_trunk
from sim.terrain.height_field import HeightField


class MujocoEngine:
    """Go1s on a flat floor, or each on its own copy of a terrain.

    Args:
        model: what is simulated instead of `training_model(terrain)`, with the same bodies, joints and actuators.
    """

    def __init__(
        self,
        robot: RobotModel,
        num_envs: int,
        num_threads: int = 0,
        terrain: Optional[HeightField] = None,
        model: Optional[mujoco.MjModel] = None,
    ) -> None:
        model = training_model(terrain) if model is None else model
        self._foot_names = robot.foot_names
        self._foot_sites = [model.site(f"{name}_foot").id for name in robot.foot_names]
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
        self._field = {name: self._batch.expand(name) for name in VARIED}

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
            MujocoParametersError: a delay outside 0 to `MAX_DELAY_SUBSTEPS`.
        """
        for name, rows in model_fields(self._model, self._foot_names, parameters).items():
            self._field[name][:] = rows
        self._batch.set_const()

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
