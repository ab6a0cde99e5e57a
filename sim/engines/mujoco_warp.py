"""MuJoCo Warp: the physics of the `mujoco` engine as kernels for NVIDIA GPUs; the same kernels run on a CPU.

State and models are Warp's arrays, seen as torch tensors without copies. A control step, with its motors, limits and
delays, is one graph of kernels, recorded once and launched whole.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

import mujoco
import torch

from robot_configs.robot import RobotModel
from sim.engines.mujoco_fields import DERIVED, VARIED, model_fields
from sim.engines.mujoco_warp_model import room, warp_training_model
from sim.engines.mujoco_warp_modules import MujocoWarpError, import_mujoco_warp
from sim.engines.protocol import MAX_DELAY_SUBSTEPS, EngineState, PhysicsParameters
from sim.engines.rotations import world_to_trunk
from sim.terrain.height_field import HeightField

_HISTORY_HEADER = 2  # of an actuator's buffer with H samples: user value, cursor, H times, H values
_SAMPLES = MAX_DELAY_SUBSTEPS + 1


class MujocoWarpEngine:
    """Go1s on a flat floor or on their copies of a terrain, one a world.

    Args:
        device: that simulates, cpu or cuda:0.
        state_device: that `state` hands its tensors out on; whatever comes in may be on any device. The velocity task
            computes on the CPU.
    """

    def __init__(
        self,
        robot: RobotModel,
        num_envs: int,
        device: str = "cpu",
        terrain: Optional[HeightField] = None,
        state_device: str = "cpu",
    ) -> None:
        self._mjw, self._warp = import_mujoco_warp(device)
        self._device, self._state_device = torch.device(device), torch.device(state_device)
        self._host_model = warp_training_model(terrain)
        self._foot_names = robot.foot_names
        self.num_envs = num_envs
        self.physics_dt_s = float(self._host_model.opt.timestep)
        space = room(self._host_model)
        with self._warp.ScopedDevice(device):
            self._model = self._mjw.put_model(
                self._host_model, batch_sizes=dict.fromkeys((*VARIED, *DERIVED), num_envs)
            )
            self._data = self._mjw.make_data(
                self._host_model, num_envs, nconmax=space.contacts, njmax=space.constraint_rows
            )
        self._model.opt.warn_overflow = self._losses()
        self._view_state(robot)
        self._graphs: Dict[int, Any] = {}
        self._put_into_the_models_pose()

    def _view_state(self, robot: RobotModel) -> None:
        """Warp's arrays as torch tensors on the same memory."""
        view, data = self._warp.to_torch, self._data
        self._qpos, self._qvel, self._ctrl = view(data.qpos), view(data.qvel), view(data.ctrl)
        self._torque, self._sites = view(data.actuator_force), view(data.site_xpos)
        self._warmstart, self._time = view(data.qacc_warmstart), view(data.time)
        self._lost = view(data.overflow)
        self._history = view(data.history).view(self.num_envs, 12, _HISTORY_HEADER + 2 * _SAMPLES)
        fresh = torch.tensor(mujoco.MjData(self._host_model).history, dtype=torch.float32, device=self._device)
        self._fresh_history = fresh.view(12, -1)[:, :-_SAMPLES]
        sites = [self._host_model.site(f"{name}_foot").id for name in robot.foot_names]
        self._foot_sites = torch.tensor(sites, device=self._device)

    def _put_into_the_models_pose(self) -> None:
        """Of go1.xml. The step before it makes Warp compile all kernels now, and none while a graph is recorded."""
        self._control_step(1)
        pose = torch.tensor(self._host_model.qpos0, dtype=torch.float32).repeat(self.num_envs, 1)
        self.reset(torch.arange(self.num_envs), pose[:, :3], pose[:, 3:7], pose[:, 7:])

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        """See `Engine`; derived constants (inverse weights) follow.

        Raises:
            MujocoWarpError: a delay outside 0 to `MAX_DELAY_SUBSTEPS`.
        """
        for name, values in model_fields(self._host_model, self._foot_names, parameters).items():
            self._warp.to_torch(getattr(self._model, name)).copy_(torch.from_numpy(values))
        with self._warp.ScopedDevice(str(self._device)):
            self._mjw.set_const(self._model, self._data)

    def step(self, joint_target: torch.Tensor, substeps: int) -> None:
        self._ctrl.copy_(joint_target)
        self._launch(substeps)

    def _launch(self, substeps: int) -> None:
        """A control step of so many physics steps; of none, it only brings the feet to where the joints put them."""
        if substeps not in self._graphs:
            with self._warp.ScopedCapture(str(self._device), force_module_load=False) as capture:
                self._control_step(substeps)
            self._graphs[substeps] = capture.graph
        self._warp.capture_launch(self._graphs[substeps])

    def _control_step(self, substeps: int) -> None:
        with self._warp.ScopedDevice(str(self._device)):
            for _ in range(substeps):
                self._mjw.step(self._model, self._data)
            self._mjw.kinematics(self._model, self._data)

    def state(self) -> EngineState:
        """See `Engine`; feet and joints are of the same instant. One transfer where the state goes to another device.

        Raises:
            MujocoWarpError: contacts were lost since the last reset, for there was no room for them. Told where the
                state reaches the CPU: elsewhere the question would wait for the GPU. Warp prints it there.
        """
        lost = (self._lost & self._losses()).to(torch.float32)
        feet = self._sites[:, self._foot_sites].flatten(1)
        rows = torch.cat([self._qpos, self._qvel, self._torque, feet, lost[:, None]], dim=1).to(self._state_device)
        qpos, qvel, torque, feet, lost = rows.split([19, 18, 12, 12, 1], dim=1)
        if self._state_device.type == "cpu" and lost.any():
            space = room(self._host_model)
            raise MujocoWarpError(f"at most {space.contacts} contacts a robot", "more", "Report the terrain.")
        orientation = qpos[:, 3:7]
        return EngineState(
            position_trunk_in_world=qpos[:, :3],
            orientation_trunk_in_world=orientation,
            linear_velocity_trunk_in_trunk=world_to_trunk(orientation, qvel[:, :3]),
            angular_velocity_trunk_in_trunk=qvel[:, 3:6],  # MuJoCo keeps a free joint's rotation in the body frame
            joint_position=qpos[:, 7:],
            joint_velocity=qvel[:, 6:],
            joint_torque=torque,
            foot_position_in_world=feet.unflatten(1, (4, 3)),
        )

    def reset(
        self, rows: torch.Tensor, position: torch.Tensor, orientation: torch.Tensor, joints: torch.Tensor
    ) -> None:
        """See `Engine`; nothing comes back from the device."""
        index, target = rows.to(self._device), joints.to(self._device)
        self._qpos[index] = torch.cat([position, orientation, joints], dim=1).to(self._device)
        self._ctrl[index] = target
        for at_rest in (self._qvel, self._torque, self._warmstart, self._time, self._lost):
            at_rest[index] = 0
        self._history[index, :, :-_SAMPLES] = self._fresh_history
        self._history[index, :, -_SAMPLES:] = target[:, :, None]
        self._launch(0)

    def push(self, velocity_change: torch.Tensor) -> None:
        self._qvel[:, :3] += velocity_change.to(self._device)

    def snapshot(self) -> Dict[str, torch.Tensor]:
        """See `ResumableEngine`; on the CPU."""
        return {name: tensor.to("cpu", copy=True) for name, tensor in self._kept().items()}

    def restore(self, snapshot: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in self._kept().items():
            tensor.copy_(snapshot[name])
        self._launch(0)

    def _kept(self) -> Dict[str, torch.Tensor]:
        """All that the next step depends on, and the torque of the last one."""
        state = {"qpos": self._qpos, "qvel": self._qvel, "ctrl": self._ctrl, "torque": self._torque}
        return {**state, "history": self._history, "warmstart": self._warmstart, "time": self._time, "lost": self._lost}

    def _losses(self) -> int:
        """Bits that say that contacts were left out; a solver at its last iteration is no such loss."""
        kind = self._mjw.OverflowType
        return int(kind.NEFC | kind.BROADPHASE | kind.NARROWPHASE | kind.CCD | kind.HFIELD)
