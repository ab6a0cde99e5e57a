"""gymapi's calls of the tensor API: acquire once, refresh after steps, write back."""

from __future__ import annotations

import numpy as np
import torch

from sim.isaacgym_shim.enumerations import DofDriveMode
from sim.isaacgym_shim.errors import IsaacGymShimError
from sim.isaacgym_shim.gymtorch import Tensor
from sim.isaacgym_shim.running_world import ROOT_STATE_WIDTH
from sim.isaacgym_shim.simulation import Sim


class TensorCalls:
    """Part of `Gym`; names and parameters are Isaac Gym's.

    What is written acts at once here. Isaac Gym's GPU pipeline takes the last of several writes of one kind before a
    step only: collect the rows and write them in one call.
    """

    def acquire_actor_root_state_tensor(self, sim: Sim) -> Tensor:
        return Tensor(sim.running.root_state)

    def acquire_dof_state_tensor(self, sim: Sim) -> Tensor:
        return Tensor(sim.running.dof_state)

    def acquire_net_contact_force_tensor(self, sim: Sim) -> Tensor:
        return Tensor(sim.running.contact_force)

    def acquire_rigid_body_state_tensor(self, sim: Sim) -> Tensor:
        return Tensor(sim.running.body_state)

    def acquire_dof_force_tensor(self, sim: Sim) -> Tensor:
        return Tensor(sim.running.dof_force)

    def refresh_actor_root_state_tensor(self, sim: Sim) -> bool:
        sim.running.refresh_root()
        return True

    def refresh_dof_state_tensor(self, sim: Sim) -> bool:
        sim.running.refresh_dof()
        return True

    def refresh_rigid_body_state_tensor(self, sim: Sim) -> bool:
        sim.running.refresh_bodies()
        return True

    def refresh_net_contact_force_tensor(self, sim: Sim) -> bool:
        sim.running.refresh_contacts()
        return True

    def refresh_dof_force_tensor(self, sim: Sim) -> bool:
        sim.running.refresh_dof_force()
        return True

    def set_actor_root_state_tensor(self, sim: Sim, states: Tensor) -> bool:
        return self.set_actor_root_state_tensor_indexed(sim, states, _everyone(sim), sim.running.count)

    def set_actor_root_state_tensor_indexed(self, sim: Sim, states: Tensor, actors: Tensor, count: int) -> bool:
        rows = _rows(sim, actors, count)
        sim.running.write_root(rows, _values(states, (sim.running.count, ROOT_STATE_WIDTH))[rows])
        return True

    def set_dof_state_tensor(self, sim: Sim, states: Tensor) -> bool:
        return self.set_dof_state_tensor_indexed(sim, states, _everyone(sim), sim.running.count)

    def set_dof_state_tensor_indexed(self, sim: Sim, states: Tensor, actors: Tensor, count: int) -> bool:
        rows = _rows(sim, actors, count)
        sim.running.write_dof(rows, _values(states, (sim.running.count, sim.running.dofs, 2))[rows])
        return True

    def set_dof_actuation_force_tensor(self, sim: Sim, forces: Tensor) -> bool:
        """Efforts (N * D,) [Nm] for the next step, on degrees of freedom in DOF_MODE_EFFORT."""
        return _drive(sim, DofDriveMode.DOF_MODE_EFFORT, forces, _everyone(sim), sim.running.count)

    def set_dof_actuation_force_tensor_indexed(self, sim: Sim, forces: Tensor, actors: Tensor, count: int) -> bool:
        return _drive(sim, DofDriveMode.DOF_MODE_EFFORT, forces, actors, count)

    def set_dof_position_target_tensor(self, sim: Sim, targets: Tensor) -> bool:
        """Positions (N * D,) [rad] to hold, on degrees of freedom in DOF_MODE_POS."""
        return _drive(sim, DofDriveMode.DOF_MODE_POS, targets, _everyone(sim), sim.running.count)

    def set_dof_position_target_tensor_indexed(self, sim: Sim, targets: Tensor, actors: Tensor, count: int) -> bool:
        return _drive(sim, DofDriveMode.DOF_MODE_POS, targets, actors, count)

    def set_dof_velocity_target_tensor(self, sim: Sim, targets: Tensor) -> bool:
        """Velocities (N * D,) [rad/s] to hold, on degrees of freedom in DOF_MODE_VEL."""
        return _drive(sim, DofDriveMode.DOF_MODE_VEL, targets, _everyone(sim), sim.running.count)


def _drive(sim: Sim, mode: DofDriveMode, values: Tensor, actors: Tensor, count: int) -> bool:
    rows = _rows(sim, actors, count)
    sim.running.set_targets(mode, rows, _values(values, (sim.running.count, sim.running.dofs))[rows])
    return True


def _everyone(sim: Sim) -> Tensor:
    return Tensor(torch.arange(sim.running.count, dtype=torch.int32))


def _rows(sim: Sim, actors: Tensor, count: int) -> np.ndarray:
    """Actor numbers in the simulation; with one actor in each environment, the environments' numbers."""
    if actors.dtype != torch.int32:
        raise IsaacGymShimError("actor indices of torch.int32", f"{actors.dtype}", "Call .to(dtype=torch.int32).")
    rows = actors.torch_tensor[:count].numpy().astype(np.int64)
    if len(rows) != count or (count and not 0 <= rows.min() <= rows.max() < sim.running.count):
        expected = f"{count} actor indices below {sim.running.count}"
        raise IsaacGymShimError(expected, f"{rows.tolist()}", "Pass the environments' numbers.")
    return rows


def _values(tensor: Tensor, shape: tuple[int, ...]) -> np.ndarray:
    """The whole buffer, float64; Isaac Gym takes it flat or not."""
    if tensor.dtype != torch.float32 or tensor.torch_tensor.numel() != int(np.prod(shape)):
        found = f"{tensor.dtype} of shape {tensor.shape}"
        raise IsaacGymShimError(f"torch.float32 that fits {shape}", found, "Pass the buffer of all actors.")
    return tensor.torch_tensor.detach().numpy().reshape(shape).astype(np.float64)
