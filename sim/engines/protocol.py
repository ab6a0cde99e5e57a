"""What the velocity task asks of a physics engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Protocol, Sequence, runtime_checkable

import torch

MAX_DELAY_SUBSTEPS = 8  # 32 ms at 4 ms: above the 30 ms that published Go1 stacks randomise to
# Of MuJoCo's contact between foot and ground: its own default, and what every engine's firm ground stands for.
FIRM_GROUND_TIME_CONSTANT_S = 0.02


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
        payload_kg: (N,) added to the trunk, as a point.
        payload_offset_m: (N, 3) of that point from the trunk's centre of mass.
        center_of_mass_shift_m: (N, 3) of the trunk.
        link_mass_scale: (N,) factor on mass and inertia of every link, before the payload.
        stiffness, damping: (N, 12) gains of the joints' PD loop.
        motor_strength: (N, 12) delivered / demanded torque; the demand is limited first.
        joint_friction_nm: (N, 12) Coulomb friction.
        armature_scale: (N, 12) factor on the rotors' reflected inertia.
        delay_substeps: (N,) int64, whole physics steps from a target to the first torque computed with it.
        ground_time_constant_s: (N,) of the contact between feet and ground; more is softer.
    """

    friction: torch.Tensor
    payload_kg: torch.Tensor
    payload_offset_m: torch.Tensor
    center_of_mass_shift_m: torch.Tensor
    link_mass_scale: torch.Tensor
    stiffness: torch.Tensor
    damping: torch.Tensor
    motor_strength: torch.Tensor
    joint_friction_nm: torch.Tensor
    armature_scale: torch.Tensor
    delay_substeps: torch.Tensor
    ground_time_constant_s: torch.Tensor

    @classmethod
    def nominal(
        cls, count: int, friction: float, stiffness: Sequence[float], damping: Sequence[float]
    ) -> PhysicsParameters:
        """`count` healthy robots without load, delay or joint friction on firm ground; gains (12,)."""
        return cls(
            friction=torch.full((count,), friction),
            payload_kg=torch.zeros(count),
            payload_offset_m=torch.zeros(count, 3),
            center_of_mass_shift_m=torch.zeros(count, 3),
            link_mass_scale=torch.ones(count),
            stiffness=torch.tensor(stiffness).repeat(count, 1),
            damping=torch.tensor(damping).repeat(count, 1),
            motor_strength=torch.ones(count, 12),
            joint_friction_nm=torch.zeros(count, 12),
            armature_scale=torch.ones(count, 12),
            delay_substeps=torch.zeros(count, dtype=torch.long),
            ground_time_constant_s=torch.full((count,), FIRM_GROUND_TIME_CONSTANT_S),
        )


class Engine(Protocol):
    """A batch of robots on one clock."""

    num_envs: int
    physics_dt_s: float

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        """Change the physics of all robots."""

    def step(self, joint_target: torch.Tensor, substeps: int) -> None:
        """Give joint targets (N, 12) [rad] for some physics steps; each acts after its robot's delay."""

    def state(self) -> EngineState:
        """The state now; tensors are fresh copies."""

    def reset(
        self, rows: torch.Tensor, position: torch.Tensor, orientation: torch.Tensor, joints: torch.Tensor
    ) -> None:
        """Put the robots `rows` (R,), ascending, at rest in a pose: (R, 3), (R, 4), (R, 12).

        The pose is the target too, until one that is given later has passed the robot's delay.
        """

    def push(self, velocity_change: torch.Tensor) -> None:
        """Add (N, 3) [m/s], world frame, to the trunks' velocities."""


@runtime_checkable
class ResumableEngine(Engine, Protocol):
    """An engine that can tell all of its state, so that an interrupted run goes on as if it had not been."""

    def snapshot(self) -> dict[str, torch.Tensor]:
        """Copies of all that the robots' future depends on but `set_parameters` does not set."""

    def restore(self, snapshot: Mapping[str, torch.Tensor]) -> None:
        """Be as at the `snapshot` of an engine with the same robots and parameters, bit for bit."""
