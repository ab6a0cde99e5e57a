"""The policy graph: raw robot signals in, joint targets out. One module for simulation, data sets, learning and export.

                   +--------------- memory: started, phase, last actions, followed commands, steps to go, frames +
                   v                                                                                             |
raw signals -> projected gravity -> terms, scales -> stack -> normalise -> actor -> action -> clip -> target     |
            -> followed commands                       |                                        |                |
                                                       +----------------------------------------+----------------+
"""

from __future__ import annotations

import math
from typing import Tuple

import torch
from torch import nn

from policy.contract import PolicyContract
from policy.networks import GaussianActor, gaussian_log_prob

# Columns of the memory; behind the last action come, where the contract wants them, the action before it, the followed
# commands, the steps to go until the clock stops and the older frames.
STARTED, PHASE, LAST_ACTION = 0, 1, 2


class PolicyGraph(nn.Module):
    """Contract and actor as one torch module; `forward` tells its border, the module's docstring its inside."""

    to_policy_order: torch.Tensor
    to_wire_order: torch.Tensor
    default_position: torch.Tensor
    action_scale: torch.Tensor
    target_lower: torch.Tensor
    target_upper: torch.Tensor
    observation_mean: torch.Tensor
    observation_std: torch.Tensor
    command_step: torch.Tensor
    highest_action: torch.Tensor
    lowest_action: torch.Tensor
    lowest_command: torch.Tensor
    highest_command: torch.Tensor
    command_at_rest: torch.Tensor

    def __init__(self, contract: PolicyContract, actor: GaussianActor) -> None:
        super().__init__()
        self.contract = contract
        self.actor = actor
        order = [contract.joint_names.index(name) for name in contract.policy_joint_names]
        self.register_buffer("to_policy_order", torch.tensor(order), persistent=False)
        self.register_buffer("to_wire_order", torch.tensor(order).argsort(), persistent=False)
        for name in ("default_position", "action_scale", "target_lower", "target_upper"):
            self.register_buffer(name, torch.tensor(getattr(contract, name), dtype=torch.float32), persistent=False)
        slews = [math.inf if term.slew_per_s is None else term.slew_per_s for term in contract.commands]
        # Finite for ONNX: no command is this far from another.
        step = torch.tensor(slews).clamp(max=1e6) / contract.control_hz
        self.register_buffer("command_step", step, persistent=False)
        if contract.holds_commands:
            for name, values in contract.command_bounds().items():
                self.register_buffer(name, torch.tensor(values, dtype=torch.float32), persistent=False)
        if contract.action_clip is not None:
            # A vector, not a number: the constant is then found in the exported graph as the other joint vectors are.
            highest = torch.full((contract.action_dim,), contract.action_clip)
            self.register_buffer("highest_action", highest, persistent=False)
            self.register_buffer("lowest_action", -highest, persistent=False)
        self._before_last_at = LAST_ACTION + contract.action_dim
        self._followed_at = self._before_last_at + (contract.action_dim if contract.remembers_two_actions else 0)
        self._settling_at = self._followed_at + (contract.command_dim if contract.slews_commands else 0)
        self._history_at = self._settling_at + (1 if contract.settle_steps else 0)
        width = contract.observation_dim
        mean = contract.observation_mean or (0.0,) * width
        std = contract.observation_std or (1.0,) * width
        self.register_buffer("observation_mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("observation_std", torch.tensor(std, dtype=torch.float32), persistent=False)
        for term in contract.terms:
            scale = torch.tensor(term.scale, dtype=torch.float32)
            self.register_buffer(f"scale_{term.name}", scale, persistent=False)

    def forward(
        self,
        orientation_trunk_in_world: torch.Tensor,
        angular_velocity_trunk_in_trunk: torch.Tensor,
        joint_position: torch.Tensor,
        joint_velocity: torch.Tensor,
        command: torch.Tensor,
        noise: torch.Tensor,
        memory: torch.Tensor,
    ) -> Tuple[torch.Tensor, ...]:
        """One step of the policy; inputs and outputs are `SIGNALS` and `OUTPUTS` of policy.contract, batch first."""
        gravity = projected_gravity(orientation_trunk_in_world)
        observation = self.observe(
            gravity, angular_velocity_trunk_in_trunk, joint_position, joint_velocity, command, memory
        )
        mean, std = self.actor(observation)
        action = mean + std * noise
        log_prob = gaussian_log_prob(action, mean, std)
        memory = self.remember(memory, observation, action, command)
        return self.joint_target(action), action, mean, std, log_prob, observation, memory

    def observe(
        self,
        gravity_in_trunk: torch.Tensor,
        angular_velocity: torch.Tensor,
        joint_position: torch.Tensor,
        joint_velocity: torch.Tensor,
        command: torch.Tensor,
        memory: torch.Tensor,
    ) -> torch.Tensor:
        """The stacked, normalised observation (B, O).

        Args:
            gravity_in_trunk: (B, 3), unit length, pointing down: (0, 0, -1) when level.
            angular_velocity: (B, 3) [rad/s], trunk frame.
            joint_position, joint_velocity: (B, 12) [rad], [rad/s], wire order.
            command: (B, C), physical units.
            memory: (B, M); a row of zeros has just been reset, and its history is filled with the current frame, or
                with zeros where the contract says so.
        """
        command = self.followed(command, memory)
        quantities = {
            "projected_gravity": gravity_in_trunk,
            "angular_velocity": angular_velocity,
            "joint_position": (joint_position - self.default_position)[:, self.to_policy_order],
            "joint_velocity": joint_velocity[:, self.to_policy_order],
            "last_action": memory[:, LAST_ACTION : self._before_last_at],
            "command": command,
        }
        if self.contract.remembers_two_actions:
            quantities["action_before_last"] = memory[:, self._before_last_at : self._followed_at]
        if self.contract.gait_clock is not None:
            quantities["gait_clock"] = self.gait_clock(command, memory)
        frame = torch.cat(
            [quantities[term.name] * getattr(self, f"scale_{term.name}") for term in self.contract.terms], dim=1
        )
        older = self.contract.history_length - 1
        stacked = frame
        if older:
            history = memory[:, self._history_at :]
            if self.contract.history_start == "repeat":
                started = memory[:, STARTED : STARTED + 1]
                history = started * history + (1.0 - started) * frame.repeat(1, older)
            stacked = torch.cat([history, frame], dim=1)
        return (stacked - self.observation_mean) / self.observation_std

    def remember(
        self, memory: torch.Tensor, observation: torch.Tensor, action: torch.Tensor, command: torch.Tensor
    ) -> torch.Tensor:
        """The memory (B, M) after an action: phase advanced, actions and commands kept, frames shifted by one."""
        command = self.followed(command, memory)
        phase = memory[:, PHASE : PHASE + 1]
        clock = self.contract.gait_clock
        if clock is not None:
            phase = phase + self.gait_frequency(command) / self.contract.control_hz
            phase = phase - torch.floor(phase)
        parts = [torch.ones_like(phase), phase, self.executed(action)]
        if self.contract.remembers_two_actions:
            parts.append(memory[:, LAST_ACTION : self._before_last_at])
        if self.contract.slews_commands:
            parts.append(command)
        if clock is not None and self.contract.settle_steps:
            standing = is_standing(command, clock.stand_below).to(phase.dtype)
            settling = memory[:, self._settling_at : self._history_at]
            left = torch.maximum(settling - 1.0, torch.zeros_like(settling))
            parts.append(standing * left + (1.0 - standing) * self.contract.settle_steps)
        if self.contract.history_length > 1:
            stacked = observation * self.observation_std + self.observation_mean
            parts.append(stacked[:, self.contract.frame_dim :])
        return torch.cat(parts, dim=1)

    def followed(self, command: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """The commands (B, C) that the policy acts on: the last ones, moved towards those given by their slew."""
        holds = self.contract.holds_commands
        if holds:
            command = torch.minimum(torch.maximum(command, self.lowest_command), self.highest_command)
        if not self.contract.slews_commands:
            return command
        last = memory[:, self._followed_at : self._settling_at]
        if holds:
            # A memory that has just been reset is all zeros.
            last = last + (1.0 - memory[:, STARTED : STARTED + 1]) * self.command_at_rest
        return torch.minimum(torch.maximum(command, last - self.command_step), last + self.command_step)

    def joint_target(self, action: torch.Tensor) -> torch.Tensor:
        """Joint targets (B, 12) [rad] in wire order, inside the contract's limits."""
        target = self.default_position + self.action_scale * self.executed(action)[:, self.to_wire_order]
        return torch.minimum(torch.maximum(target, self.target_lower), self.target_upper)

    def executed(self, action: torch.Tensor) -> torch.Tensor:
        """The action (B, 12) that the joints are given and the next moments observe: inside the contract's clip."""
        if self.contract.action_clip is None:
            return action
        return torch.minimum(torch.maximum(action, self.lowest_action), self.highest_action)

    def gait_frequency(self, command: torch.Tensor) -> torch.Tensor:
        """Frequency of the gait clock (B, 1) [Hz]."""
        clock = self.contract.gait_clock
        assert clock is not None
        if isinstance(clock.frequency, str):
            column = self.contract.command_names.index(clock.frequency)
            return command[:, column : column + 1]
        return torch.full_like(command[:, :1], clock.frequency)

    def gait_clock(self, command: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Sines of the clock's channels (B, W), zero where the robot need not step; commands as they are followed."""
        clock = self.contract.gait_clock
        assert clock is not None
        waves = []
        phase = memory[:, PHASE : PHASE + 1]
        for channel in clock.channels:
            angle = phase
            for name in channel:
                column = self.contract.command_names.index(name)
                angle = angle + command[:, column : column + 1]
            angle = 2.0 * math.pi * angle
            waves += [torch.sin(angle)] if clock.waveform == "sin" else [torch.sin(angle), torch.cos(angle)]
        values = torch.cat(waves, dim=1)
        if clock.stand_below > 0.0:
            values = values * self.is_stepping(command, memory)
        return values

    def is_stepping(self, command: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        """Whether the clock has the robot step (B, 1), 1 or 0: it is told to walk, or was a moment ago."""
        clock = self.contract.gait_clock
        assert clock is not None
        walking = (~is_standing(command, clock.stand_below)).to(command.dtype)
        if not self.contract.settle_steps:
            return walking
        settling = memory[:, self._settling_at : self._history_at]
        return torch.maximum(walking, torch.minimum(settling, torch.ones_like(settling)))


def is_standing(command: torch.Tensor, below: float) -> torch.Tensor:
    """Whether standing still is commanded: norm of (vx, vy, yaw rate) below the threshold; (B, 1) bool."""
    return command[:, :3].square().sum(dim=1, keepdim=True) < below * below


def projected_gravity(orientation: torch.Tensor) -> torch.Tensor:
    """Direction of gravity in the trunk frame, (B, 3), from the quaternion trunk-in-world (B, 4), w x y z.

    The third row of the rotation matrix, negated: R^T (0, 0, -1). Any non-zero quaternion is normalised.
    """
    w, x, y, z = (orientation / orientation.square().sum(dim=1, keepdim=True).sqrt()).unbind(dim=1)
    return torch.stack([-2.0 * (x * z - w * y), -2.0 * (y * z + w * x), -(1.0 - 2.0 * (x * x + y * y))], dim=1)
