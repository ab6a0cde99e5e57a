"""What varies between simulated robots: physics, sensor errors, delay, pushes, commands."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields
from typing import Tuple

import torch

from policy.contract import PolicyContract
from policy.contract_types import VELOCITY_UNITS
from policy.uni_o4.settings import require
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from sim.engines.protocol import FIRM_GROUND_TIME_CONSTANT_S, MAX_DELAY_SUBSTEPS, PhysicsParameters

Range = Tuple[float, float]
FIRM_GROUND: Range = (FIRM_GROUND_TIME_CONSTANT_S, FIRM_GROUND_TIME_CONSTANT_S)
NOMINAL_FRICTION = 0.8  # of the feet on an ordinary floor


class RandomizationError(Go1Error):
    """Ranges that no robot can be drawn from."""


@functools.lru_cache(maxsize=1)
def control_step_s() -> float:
    """Of the Go1's policies [s]: what happens within one, the velocity task can not tell apart."""
    return 1.0 / load_robot().control_hz


@dataclass(frozen=True)
class Randomization:
    """Uniform ranges, each drawn per robot for good unless its text says otherwise.

    Attributes:
        friction: sliding friction of the feet.
        payload_kg: mass added to the trunk.
        payload_offset_m: half width of the place of an added mass from the trunk's centre of mass, on each axis.
        center_of_mass_shift_m: half width of the trunk's shift on each axis.
        link_mass_scale: factor on mass and inertia of all links.
        gain_scale: factor on stiffness and on damping, per joint.
        motor_strength: delivered / demanded torque, per joint.
        joint_friction_nm: Coulomb friction, per joint.
        armature_scale: factor on the rotors' reflected inertia, per joint.
        ground_time_constant_s: of the contact with level ground, and no more than firm on any other; twice as long lets
            a standing foot sink in four times as deep.
        delay_substeps: whole physics steps between policy and motor, inclusive range.
        nominal_share: part of all that is named above which is left as it is by design, drawn for each robot and each
            quantity, for each joint where it is one of joints. Robots are seldom wrong in everything at once.
        encoder_offset_rad: half width, per joint.
        gravity_bias, angular_velocity_bias_rad_s: half widths of the IMU's constant errors, on each axis; the first
            is the sine of a tilt.
        gravity_noise, angular_velocity_noise_rad_s, joint_position_noise_rad, joint_velocity_noise_rad_s:
            half widths of the noise, per step; published simulations of the Go1 use 0.05, 0.2, 0.01 to 0.03 and 1.5.
        push_interval_s: mean time between pushes; push_speed_m_s: largest horizontal change of velocity.
        command_interval_s: time between new commands; standing_fraction: part of them that are zero. Neither of the two
            times is shorter than a control step.

    Raises:
        RandomizationError, SettingsError: no robot can be drawn from them.
    """

    friction: Range = (0.4, 1.25)
    payload_kg: Range = (-0.8, 2.0)
    payload_offset_m: float = 0.0
    center_of_mass_shift_m: float = 0.03
    link_mass_scale: Range = (1.0, 1.0)
    gain_scale: Range = (0.85, 1.15)
    motor_strength: Range = (1.0, 1.0)
    joint_friction_nm: Range = (0.0, 0.5)
    armature_scale: Range = (1.0, 1.0)
    ground_time_constant_s: Range = FIRM_GROUND
    delay_substeps: Tuple[int, int] = (0, 2)
    nominal_share: float = 0.0
    encoder_offset_rad: float = 0.02
    gravity_bias: float = 0.0
    angular_velocity_bias_rad_s: float = 0.0
    gravity_noise: float = 0.05
    angular_velocity_noise_rad_s: float = 0.2
    joint_position_noise_rad: float = 0.02
    joint_velocity_noise_rad_s: float = 1.0
    push_interval_s: float = 6.0
    push_speed_m_s: float = 0.6
    command_interval_s: float = 5.0
    standing_fraction: float = 0.1

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            lower, upper = value if isinstance(value, tuple) else (0.0, value)
            if not -math.inf < lower <= upper < math.inf:
                expected = f"{entry.name}: lower <= upper, both finite, and a single value of at least zero"
                raise RandomizationError(expected, f"{value}", "Swap or correct the bounds.")
        for name in ("push_interval_s", "command_interval_s"):
            require(self, name, control_step_s())
        positive = ("friction", "link_mass_scale", "gain_scale", "armature_scale", "ground_time_constant_s")
        for name in positive:
            if getattr(self, name)[0] <= 0.0:
                raise RandomizationError(f"{name} above zero", f"{getattr(self, name)}", "Raise its lower bound.")
        if not 0 <= self.delay_substeps[0] <= self.delay_substeps[1] <= MAX_DELAY_SUBSTEPS:
            limit = f"delay_substeps within 0 and {MAX_DELAY_SUBSTEPS}"
            raise RandomizationError(limit, f"{self.delay_substeps}", "Shorten the delay.")
        shares = max(self.standing_fraction, self.nominal_share)
        if not (0.0 <= self.motor_strength[0] and 0.0 <= self.joint_friction_nm[0] and shares <= 1.0):
            expected = "motor strength, joint friction at least zero, standing fraction, nominal share at most one"
            raise RandomizationError(expected, f"{self}", "Correct them.")


def draw_physics(
    randomization: Randomization, contract: PolicyContract, count: int, generator: torch.Generator
) -> PhysicsParameters:
    """Physics of `count` robots."""

    def uniform(bounds: Range, *shape: int) -> torch.Tensor:
        return bounds[0] + (bounds[1] - bounds[0]) * torch.rand(count, *shape, generator=generator)

    def within(half_width: float) -> torch.Tensor:
        return uniform((-half_width, half_width), 3)

    fastest, slowest = randomization.delay_substeps
    payload = uniform(randomization.payload_kg)
    offset = within(randomization.payload_offset_m)
    drawn = PhysicsParameters(
        friction=uniform(randomization.friction),
        payload_kg=payload,
        # What a robot lacks is missing evenly; only what it carries sits somewhere.
        payload_offset_m=offset * (payload > 0.0)[:, None],
        center_of_mass_shift_m=within(randomization.center_of_mass_shift_m),
        link_mass_scale=uniform(randomization.link_mass_scale),
        stiffness=torch.tensor(contract.stiffness) * uniform(randomization.gain_scale, 12),
        damping=torch.tensor(contract.damping) * uniform(randomization.gain_scale, 12),
        motor_strength=uniform(randomization.motor_strength, 12),
        joint_friction_nm=uniform(randomization.joint_friction_nm, 12),
        armature_scale=uniform(randomization.armature_scale, 12),
        delay_substeps=torch.randint(fastest, slowest + 1, (count,), generator=generator),
        ground_time_constant_s=uniform(randomization.ground_time_constant_s),
    )
    if randomization.nominal_share == 0.0:
        return drawn
    nominal = PhysicsParameters.nominal(count, NOMINAL_FRICTION, contract.stiffness, contract.damping)
    return _mixed(drawn, nominal, randomization.nominal_share, generator)


def _mixed(
    drawn: PhysicsParameters, nominal: PhysicsParameters, share: float, generator: torch.Generator
) -> PhysicsParameters:
    mixed = {}
    for entry in fields(drawn):
        values, ordinary = getattr(drawn, entry.name), getattr(nominal, entry.name)
        # Places in the trunk are drawn as a whole, joints one by one.
        each = values.shape if values.shape[1:] == (12,) else values.shape[:1] + (1,) * (values.dim() - 1)
        mixed[entry.name] = torch.where(torch.rand(each, generator=generator) < share, ordinary, values)
    return PhysicsParameters(**mixed)


def draw_commands(
    randomization: Randomization, contract: PolicyContract, count: int, generator: torch.Generator
) -> torch.Tensor:
    """Commands (count, C), uniform in the contract's ranges; a part of them stands still, at the drawn height."""
    lower = torch.tensor([term.lower for term in contract.commands])
    upper = torch.tensor([term.upper for term in contract.commands])
    command = lower + (upper - lower) * torch.rand(count, contract.command_dim, generator=generator)
    standing = torch.rand(count, 1, generator=generator) < randomization.standing_fraction
    velocity = torch.arange(contract.command_dim) < len(VELOCITY_UNITS)
    return torch.where(standing & velocity, torch.zeros_like(command), command)
