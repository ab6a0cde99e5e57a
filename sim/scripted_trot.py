"""A trot from the kinematics of the legs, and a policy that imitates it: what training may begin with.

Diagonal legs take turns on the contract's clock. A foot on the ground moves against the commanded velocity of the
trunk above it, a swinging one returns in an arc, and the joint targets lead by the torque that carries the trunk. No
feedback: on its own it falls within seconds. But it lifts its feet in time and pushes the commanded way, which takes
PPO its first million steps to find.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from policy.contract import PolicyContract
from policy.gait_contract import DEFAULT_TRUNK_HEIGHT_M, SWING_HEIGHT, TRUNK_HEIGHT
from policy.graph import LAST_ACTION, PHASE, PolicyGraph
from policy.velocity_contract import STANDING_COMMAND_BELOW
from robot_configs.kinematics import foot_jacobian_in_trunk, foot_position_in_trunk
from robot_configs.robot import GRAVITY_M_S2, RobotModel
from sim.shaping import foot_phase_offsets

APEX_M = 0.08  # of a swinging foot above its place on the ground
_SAMPLES, _UPDATES, _BATCH = 20_000, 1000, 2048
_LEARNING_RATE = 2e-3
_IK_ROUNDS, _IK_STEP_RAD, _IK_DAMPING_M2 = 12, 0.3, 1e-4


def trot_targets(
    robot: RobotModel, contract: PolicyContract, command: np.ndarray, phase: np.ndarray, frequency_hz: np.ndarray
) -> np.ndarray:
    """Joint targets (N, 12) [rad], wire order, of the scripted trot.

    Args:
        command: (N, C) in the contract's order; swing and trunk height are the trot's own where they are no commands.
        phase: (N,) of the clock, in [0, 1).
        frequency_hz: (N,) of the clock.
    """
    feet = foot_position_in_trunk(robot, np.array(contract.default_position))
    walking = np.linalg.norm(command[:, :3], axis=1)[:, None] >= STANDING_COMMAND_BELOW
    foot_phase = np.mod(phase[:, None] + np.array(foot_phase_offsets(robot.foot_names)), 1.0)
    swinging = (foot_phase < 0.5) & walking
    progress = np.mod(2.0 * foot_phase, 1.0)  # of the swing, or of the time on the ground
    # Along the stride, from -1/2 where a foot leaves the ground to 1/2 where it meets it.
    along = np.where(swinging, -0.5 * np.cos(math.pi * progress), 0.5 - progress) * walking
    vx, vy, yaw_rate = command[:, 0:1], command[:, 1:2], command[:, 2:3]
    velocity = np.stack([vx - yaw_rate * feet[:, 1], vy + yaw_rate * feet[:, 0]], axis=-1)  # of the trunk above a foot
    apex = _column(contract, command, SWING_HEIGHT, APEX_M)
    wanted = np.tile(feet, (len(command), 1, 1))
    wanted[:, :, 2] -= _column(contract, command, TRUNK_HEIGHT, DEFAULT_TRUNK_HEIGHT_M) - DEFAULT_TRUNK_HEIGHT_M
    wanted[:, :, :2] += velocity * along[:, :, None] * (0.5 / frequency_hz)[:, None, None]
    wanted[:, :, 2] += np.where(swinging, apex * np.sin(math.pi * progress) ** 2, 0.0)
    joints = _joints_for_feet(robot, contract, wanted)
    carried = np.where(swinging, 0.0, np.where(walking, 0.5, 0.25)) * robot.total_mass_kg * GRAVITY_M_S2
    downwards = foot_jacobian_in_trunk(robot, joints)[:, :, 2, :]
    lead = (-carried[:, :, None] * downwards).reshape(joints.shape) / np.array(contract.stiffness)
    return np.clip(joints + lead, contract.target_lower, contract.target_upper)


def _column(contract: PolicyContract, command: np.ndarray, name: str, otherwise: float) -> np.ndarray:
    """Values (N, 1) of a command; `otherwise` where the policy does not take it."""
    if name not in contract.command_names:
        return np.full((len(command), 1), otherwise)
    return command[:, contract.command_names.index(name), None]


def _joints_for_feet(robot: RobotModel, contract: PolicyContract, wanted: np.ndarray) -> np.ndarray:
    """Joint positions (N, 12) whose feet are at (N, 4, 3) in the trunk: damped Newton steps."""
    joints = np.tile(np.array(contract.default_position), (len(wanted), 1))
    for _ in range(_IK_ROUNDS):
        error = (wanted - foot_position_in_trunk(robot, joints))[..., None]
        jacobian = foot_jacobian_in_trunk(robot, joints)
        transposed = np.swapaxes(jacobian, -1, -2)
        change = transposed @ np.linalg.solve(jacobian @ transposed + _IK_DAMPING_M2 * np.eye(3), error)
        joints = joints + np.clip(change, -_IK_STEP_RAD, _IK_STEP_RAD).reshape(joints.shape)
        joints = np.clip(joints, robot.joint_lower, robot.joint_upper)
    return joints


def imitate_trot(graph: PolicyGraph, robot: RobotModel, seed: int) -> float:
    """Fit the mean of the graph's actor to the trot, whatever the robot senses; returns the mean square error left.

    Trains the actor in place; leaves torch's global generator alone.
    """
    generator = torch.Generator().manual_seed(seed)
    contract = graph.contract
    lower, upper = (torch.tensor([getattr(term, end) for term in contract.commands]) for end in ("lower", "upper"))
    command = lower + (upper - lower) * torch.rand(_SAMPLES, contract.command_dim, generator=generator)
    command[: _SAMPLES // 10, :3] = 0.0
    phase = torch.rand(_SAMPLES, generator=generator)
    frequency = graph.gait_frequency(command)[:, 0]
    targets = trot_targets(robot, contract, command.numpy(), phase.numpy(), frequency.numpy())
    action = (torch.tensor(targets, dtype=torch.float32) - graph.default_position) / graph.action_scale
    network = graph.actor.mean_network.requires_grad_(True)
    optimizer = torch.optim.Adam(network.parameters(), _LEARNING_RATE)
    decay = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, _UPDATES)
    for _ in range(_UPDATES):
        rows = torch.randint(_SAMPLES, (_BATCH,), generator=generator)
        observation = _observation(graph, command[rows], phase[rows], generator)
        loss = (network(observation) - action[rows][:, graph.to_policy_order]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        decay.step()
    network.requires_grad_(False)
    return float(loss.detach())


def _observation(
    graph: PolicyGraph, command: torch.Tensor, phase: torch.Tensor, generator: torch.Generator
) -> torch.Tensor:
    """Of a robot that senses and remembers anything, so that the actor learns to look at command and clock."""

    def anything(width: int, size: float) -> torch.Tensor:
        return torch.randn(len(command), width, generator=generator) * size

    memory = torch.zeros(len(command), graph.contract.memory_dim)
    memory[:, PHASE] = phase
    memory[:, LAST_ACTION : LAST_ACTION + graph.contract.action_dim] = anything(graph.contract.action_dim, 1.0)
    level = torch.tensor([0.0, 0.0, -1.0])
    return graph.observe(
        level + anything(3, 0.1),
        anything(3, 0.8),
        graph.default_position + anything(12, 0.3),
        anything(12, 6.0),
        command,
        memory,
    )
