"""What varies between simulated robots: physics, sensor noise, delay, pushes, commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

import torch

from policy.contract import PolicyContract
from sim.engines.protocol import PhysicsParameters

Range = Tuple[float, float]


@dataclass(frozen=True)
class Randomization:
    """Uniform ranges, each drawn per robot unless its text says otherwise.

    Attributes:
        friction: sliding friction of the feet.
        payload_kg: mass added to the trunk.
        center_of_mass_shift_m: half width of the trunk's shift on each axis.
        gain_scale: factor on stiffness and on damping, per joint.
        joint_friction_nm: Coulomb friction, per joint.
        encoder_offset_rad: half width, per joint.
        delay_substeps: whole physics steps between policy and motor, inclusive range.
        gravity_noise, angular_velocity_noise_rad_s, joint_position_noise_rad, joint_velocity_noise_rad_s:
            half widths of the noise, per step; published simulations of the Go1 use 0.05, 0.2, 0.01 to 0.03 and 1.5.
        push_interval_s: time between pushes; push_speed_m_s: largest horizontal change of velocity.
        command_interval_s: time between new commands; standing_fraction: part of them that are zero.
    """

    friction: Range = (0.4, 1.25)
    payload_kg: Range = (-0.8, 2.0)
    center_of_mass_shift_m: float = 0.03
    gain_scale: Range = (0.85, 1.15)
    joint_friction_nm: Range = (0.0, 0.5)
    encoder_offset_rad: float = 0.02
    delay_substeps: Tuple[int, int] = (0, 2)
    gravity_noise: float = 0.05
    angular_velocity_noise_rad_s: float = 0.2
    joint_position_noise_rad: float = 0.02
    joint_velocity_noise_rad_s: float = 1.0
    push_interval_s: float = 6.0
    push_speed_m_s: float = 0.6
    command_interval_s: float = 5.0
    standing_fraction: float = 0.1


def draw_physics(
    randomization: Randomization, contract: PolicyContract, count: int, generator: torch.Generator
) -> PhysicsParameters:
    """Physics of `count` robots."""

    def uniform(bounds: Range, *shape: int) -> torch.Tensor:
        return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(count, *shape, generator=generator)

    shift = randomization.center_of_mass_shift_m
    return PhysicsParameters(
        friction=uniform(randomization.friction),
        payload_kg=uniform(randomization.payload_kg),
        center_of_mass_shift_m=uniform((-shift, shift), 3),
        stiffness=torch.tensor(contract.stiffness) * uniform(randomization.gain_scale, 12),
        damping=torch.tensor(contract.damping) * uniform(randomization.gain_scale, 12),
        joint_friction_nm=uniform(randomization.joint_friction_nm, 12),
    )


def draw_commands(
    randomization: Randomization, contract: PolicyContract, count: int, generator: torch.Generator
) -> torch.Tensor:
    """Commands (count, C), uniform in the contract's ranges; a part of them stands still."""
    lower = torch.tensor([term.lower for term in contract.commands])
    upper = torch.tensor([term.upper for term in contract.commands])
    command = lower + (upper - lower) * torch.rand(count, contract.command_dim, generator=generator)
    standing = torch.rand(count, 1, generator=generator) < randomization.standing_fraction
    return torch.where(standing, torch.zeros_like(command), command)
