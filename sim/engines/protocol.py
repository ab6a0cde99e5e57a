"""What the velocity task asks of a physics engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True)
class EngineState:
    """State of N robots; joints and feet in the robot's wire order.

    Attributes:
        position_trunk_in_world: (N, 3) [m].
        orientation_trunk_in_world: (N, 4), w x y z.
        linear_velocity_trunk_in_trunk: (N, 3) [m/s].
        angular_velocity_trunk_in_trunk: (N, 3) [rad/s].
        joint_position, joint_velocity: (N, 12) [rad], [rad/s].
        joint_torque: (N, 12) [Nm].
        foot_position_in_world: (N, 4, 3) [m].
    """

    position_trunk_in_world: torch.Tensor
    orientation_trunk_in_world: torch.Tensor
    linear_velocity_trunk_in_trunk: torch.Tensor
    angular_velocity_trunk_in_trunk: torch.Tensor
    joint_position: torch.Tensor
    joint_velocity: torch.Tensor
    joint_torque: torch.Tensor
    foot_position_in_world: torch.Tensor


@dataclass(frozen=True)
class PhysicsParameters:
    """Per-robot physics, one row a robot.

    Attributes:
        friction: (N,) sliding friction of the feet.
        payload_kg: (N,) added to the trunk.
        center_of_mass_shift_m: (N, 3) of the trunk.
        stiffness, damping: (N, 12) gains of the joints' PD loop.
        joint_friction_nm: (N, 12) Coulomb friction.
    """

    friction: torch.Tensor
    payload_kg: torch.Tensor
    center_of_mass_shift_m: torch.Tensor
    stiffness: torch.Tensor
    damping: torch.Tensor
    joint_friction_nm: torch.Tensor


class Engine(Protocol):
    """A batch of robots on one clock."""

    num_envs: int
    physics_dt_s: float

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        """Change the physics of all robots."""

    def step(self, joint_target: torch.Tensor, substeps: int) -> None:
        """Hold joint targets (N, 12) [rad] for some physics steps."""

    def state(self) -> EngineState:
        """The state now; tensors are fresh copies."""

    def reset(
        self, rows: torch.Tensor, position: torch.Tensor, orientation: torch.Tensor, joints: torch.Tensor
    ) -> None:
        """Put the robots `rows` (R,), ascending, at rest in a pose: (R, 3), (R, 4), (R, 12)."""

    def push(self, velocity_change: torch.Tensor) -> None:
        """Add (N, 3) [m/s], world frame, to the trunks' velocities."""
