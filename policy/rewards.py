"""The reward of the velocity task, in physical units, from what a log of the real robot can tell.

The same function scores a step in simulation (true velocity), on the twin (true velocity) and in a data set (estimated
velocity). It takes commands in m/s and rad/s and a velocity in the trunk frame; neither scaled observations nor
world-frame velocities fit its names.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Tuple

import torch

from policy.velocity_contract import STANDING_COMMAND_BELOW

REWARD_TERMS = (
    "track_linear_velocity",
    "track_yaw_rate",
    "tilt",
    "vertical_velocity",
    "roll_pitch_rate",
    "torque",
    "action_change",
    "standing_motion",
    "fall",
)


@dataclass(frozen=True)
class RewardInputs:
    """One control step of N robots, just after the action took effect.

    Attributes:
        command: (N, 3) vx, vy [m/s], yaw rate [rad/s], trunk frame.
        linear_velocity_trunk_in_trunk: (N, 3) [m/s].
        angular_velocity_trunk_in_trunk: (N, 3) [rad/s].
        gravity_in_trunk: (N, 3), unit vector.
        joint_velocity: (N, 12) [rad/s].
        torque_fraction: (N, 12), joint torque over its limit.
        action, last_action: (N, 12), the policy's raw actions now and one step before.
        fallen: (N,) bool, the step ended in a fall.
    """

    command: torch.Tensor
    linear_velocity_trunk_in_trunk: torch.Tensor
    angular_velocity_trunk_in_trunk: torch.Tensor
    gravity_in_trunk: torch.Tensor
    joint_velocity: torch.Tensor
    torque_fraction: torch.Tensor
    action: torch.Tensor
    last_action: torch.Tensor
    fallen: torch.Tensor

    def __post_init__(self) -> None:
        count = self.command.shape[0]
        widths = {"command": 3, "linear_velocity_trunk_in_trunk": 3, "angular_velocity_trunk_in_trunk": 3}
        widths.update({"gravity_in_trunk": 3, "joint_velocity": 12, "torque_fraction": 12})
        widths.update({"action": 12, "last_action": 12})
        for name, width in widths.items():
            if getattr(self, name).shape != (count, width):
                raise ValueError(f"{name}: expected shape ({count}, {width}), found {tuple(getattr(self, name).shape)}")


@dataclass(frozen=True)
class RewardWeights:
    """Weights of `REWARD_TERMS`, per control step, and the widths of the two tracking kernels.

    A perfect step earns 1.5; costs are small beside it, so that ten seconds of good walking are worth roughly 650.
    """

    track_linear_velocity: float = 1.0
    track_yaw_rate: float = 0.5
    tilt: float = -1.0
    vertical_velocity: float = -0.5
    roll_pitch_rate: float = -0.02
    torque: float = -0.03
    action_change: float = -0.005
    standing_motion: float = -0.005
    fall: float = -10.0
    linear_velocity_width_m_s: float = 0.5
    yaw_rate_width_rad_s: float = 0.5
    standing_command_below: float = STANDING_COMMAND_BELOW

    def vector(self) -> torch.Tensor:
        """Weights in the order of `REWARD_TERMS`, shape (K,)."""
        return torch.tensor([getattr(self, name) for name in REWARD_TERMS])

    def to_dict(self) -> dict[str, float]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def velocity_reward(inputs: RewardInputs, weights: RewardWeights) -> Tuple[torch.Tensor, torch.Tensor]:
    """Total reward (N,) and its weighted terms (N, K) in the order of `REWARD_TERMS`.

    r = sum_k w_k phi_k with phi_track = exp(-|error|^2 / width^2), quadratic costs, and -|w_fall| once at a fall.
    """
    velocity, rate = inputs.linear_velocity_trunk_in_trunk, inputs.angular_velocity_trunk_in_trunk
    linear_error = (velocity[:, :2] - inputs.command[:, :2]).square().sum(1)
    yaw_error = (rate[:, 2] - inputs.command[:, 2]).square()
    standing = inputs.command.norm(dim=1) < weights.standing_command_below
    terms = torch.stack(
        [
            torch.exp(-linear_error / weights.linear_velocity_width_m_s**2),
            torch.exp(-yaw_error / weights.yaw_rate_width_rad_s**2),
            inputs.gravity_in_trunk[:, :2].square().sum(1),
            velocity[:, 2].square(),
            rate[:, :2].square().sum(1),
            inputs.torque_fraction.square().sum(1),
            (inputs.action - inputs.last_action).square().sum(1),
            standing * inputs.joint_velocity.square().sum(1),
            inputs.fallen.to(velocity.dtype),
        ],
        dim=1,
    )
    weighted = terms * weights.vector().to(terms)
    return weighted.sum(1), weighted
