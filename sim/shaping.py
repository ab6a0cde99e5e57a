"""Reward terms that only simulation can score: they teach the trot that the tracking reward alone does not find."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from policy.contract import PolicyContract
from policy.gait_contract import DEFAULT_SWING_HEIGHT_M, DEFAULT_TRUNK_HEIGHT_M, SWING_HEIGHT, TRUNK_HEIGHT

_SWING_FIRST = ("FR", "RL")  # the diagonal in the air during the first half of the clock; the other one follows
SHAPING_TERMS = ("swing", "slip", "posture", "height", "far", "stance", "stillness")
LIFTED_ABOVE_M = 0.02  # a sole, while the clock stands: higher up it steps and does not slip
_MOVING_RAD2_S2 = 10.0  # all joints' squared velocities: standing still is far below, a step far above


def foot_phase_offsets(foot_names: Sequence[str]) -> tuple[float, ...]:
    """What the clock is ahead by for each foot [cycles], in that order."""
    return tuple(0.0 if name in _SWING_FIRST else 0.5 for name in foot_names)


@dataclass(frozen=True)
class ShapingWeights:
    """Weights of `SHAPING_TERMS`, and what they aim for.

    Attributes:
        swing_height_m: apex of a swinging foot above the ground, where the policy is not told.
        swing: weight of exp(-sum_feet (z - z*)^2 / swing_width_m2), z* a sine squared over the swing: feet that leave
            and meet the ground without speed. Half a sine of 9 cm in 0.2 s would land with 1.4 m/s.
        slip: weight of the squared horizontal speed of feet that the clock has on the ground [m^2/s^2]; while the clock
            stands, of those that are there.
        posture: weight of the squared hip angles (keeps the feet under the hips).
        height: weight of the squared error of the trunk's height to the wanted one, trunk_height_m where the policy is
            not told.
        far: weight of the velocity error's norm [m/s] plus half the yaw rate's [rad/s]. The tracking kernel is flat far
            from its peak, and a robot that trots on the spot feels no pull towards 1.5 m/s without this.
        stance: weight of the squared horizontal distances of the feet from their places under the trunk [m^2], while
            the clock stands: who stops on misplaced feet has to step, not to lean until he falls.
        stillness: weight of 1 - exp(-sum dq^2 / 10 rad^2/s^2), all joints, while the clock stands. It is bounded,
            unlike `RewardWeights.standing_motion`, which charges a step that saves the robot with more than a fall.
    """

    swing_height_m: float = DEFAULT_SWING_HEIGHT_M
    swing_width_m2: float = 0.01
    swing: float = 0.5
    slip: float = -0.08
    posture: float = -0.15
    trunk_height_m: float = DEFAULT_TRUNK_HEIGHT_M
    height: float = -8.0
    far: float = -0.4
    stance: float = 0.0
    stillness: float = 0.0


@dataclass(frozen=True)
class WantedHeights:
    """What each robot's gait aims for: the apex of a swinging foot (N, 1) and the trunk (N,), above the ground [m]."""

    swing_m: torch.Tensor
    trunk_m: torch.Tensor


def wanted_heights(command: torch.Tensor, contract: PolicyContract, weights: ShapingWeights) -> WantedHeights:
    """Those commanded (N, C); the weights' own for a policy without such commands."""

    def column(name: str, otherwise: float) -> torch.Tensor:
        if name not in contract.command_names:
            return torch.full_like(command[:, 0], otherwise)
        return command[:, contract.command_names.index(name)]

    swing = column(SWING_HEIGHT, weights.swing_height_m)
    return WantedHeights(swing[:, None], column(TRUNK_HEIGHT, weights.trunk_height_m))


@dataclass(frozen=True)
class ShapingInputs:
    """One control step of N robots, just after the action took effect; heights are above the ground there.

    Attributes:
        stepping: (N, 1) bool, whether the clock has the robot step: it is told to walk, or was a moment ago.
        foot_phase: (N, 4) in [0, 1); below 0.5 the foot swings.
        foot_height_m: (N, 4), of the sole.
        foot_velocity_m_s: (N, 4, 2), horizontal, world axes.
        hip_error_rad: (N, 4), from the default pose.
        trunk_height_m: (N,).
        wanted: what swings and trunk aim for.
        velocity_error_m_s: (N, 2). yaw_rate_error_rad_s: (N,).
        foot_error_m: (N, 4, 2), horizontal, in the trunk frame, from the feet of the default pose.
        joint_velocity: (N, 12) [rad/s].
    """

    stepping: torch.Tensor
    foot_phase: torch.Tensor
    foot_height_m: torch.Tensor
    foot_velocity_m_s: torch.Tensor
    hip_error_rad: torch.Tensor
    trunk_height_m: torch.Tensor
    wanted: WantedHeights
    velocity_error_m_s: torch.Tensor
    yaw_rate_error_rad_s: torch.Tensor
    foot_error_m: torch.Tensor
    joint_velocity: torch.Tensor


def shaping_reward(inputs: ShapingInputs, weights: ShapingWeights) -> torch.Tensor:
    """The weighted terms (N, 7) in the order of `SHAPING_TERMS`; see `ShapingWeights`."""
    swinging = (inputs.foot_phase < 0.5) & inputs.stepping
    apex = swinging * inputs.wanted.swing_m
    wanted = apex * torch.sin(2.0 * math.pi * inputs.foot_phase).square()
    swing = torch.exp(-(inputs.foot_height_m - wanted).square().sum(1) / weights.swing_width_m2)
    planted = torch.where(inputs.stepping, ~swinging, inputs.foot_height_m < LIFTED_ABOVE_M)
    slip = (planted * inputs.foot_velocity_m_s.square().sum(2)).sum(1)
    posture = inputs.hip_error_rad.square().sum(1)
    sag = (inputs.trunk_height_m - inputs.wanted.trunk_m).square()
    far = inputs.velocity_error_m_s.norm(dim=1) + 0.5 * inputs.yaw_rate_error_rad_s.abs()
    standing = ~inputs.stepping[:, 0]
    stance = standing * inputs.foot_error_m.square().sum((1, 2))
    motion = standing * (1.0 - torch.exp(-inputs.joint_velocity.square().sum(1) / _MOVING_RAD2_S2))
    terms = (
        weights.swing * swing,
        weights.slip * slip,
        weights.posture * posture,
        weights.height * sag,
        weights.far * far,
        weights.stance * stance,
        weights.stillness * motion,
    )
    return torch.stack(terms, dim=1)
