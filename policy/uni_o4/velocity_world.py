"""The velocity task inside the transition model: its reward is known, only the motion has to be predicted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from policy.graph import LAST_ACTION, PolicyGraph
from policy.rewards import RewardInputs, RewardWeights, velocity_reward
from policy.transitions import PHYSICAL_GROUPS, VELOCITY_GROUP, TransitionsError
from policy.uni_o4.dynamics import DynamicsEnsemble
from policy.uni_o4.ensemble_rollouts import GraphObserver, ModelWorld, tilt_rule
from robot_configs.robot import RobotModel

_WIDTHS = [width for _, width in (*PHYSICAL_GROUPS, VELOCITY_GROUP)]


@dataclass(frozen=True)
class VelocityRewardRule:
    """`velocity_reward` on predicted states; torques by the motors' own law, tau = Kp (q* - q) - Kd dq."""

    graph: PolicyGraph
    stiffness: Tensor
    damping: Tensor
    torque_limit: Tensor
    weights: RewardWeights

    @staticmethod
    def of(graph: PolicyGraph, robot: RobotModel, weights: RewardWeights) -> VelocityRewardRule:
        contract = graph.contract
        gains = torch.tensor(contract.stiffness), torch.tensor(contract.damping)
        return VelocityRewardRule(graph, *gains, torch.tensor(robot.torque_limit, dtype=torch.float32), weights)

    def __call__(
        self, next_physical: Tensor, command: Tensor, action: Tensor, memory: Tensor, terminated: Tensor
    ) -> Tensor:
        """See `ensemble_rollouts.RewardRule`."""
        gravity, rate, position, joint_velocity, velocity = next_physical.split(_WIDTHS, dim=1)
        torque = self.stiffness * (self.graph.joint_target(action) - position) - self.damping * joint_velocity
        inputs = RewardInputs(
            command=command[:, :3],
            linear_velocity_trunk_in_trunk=velocity,
            angular_velocity_trunk_in_trunk=rate,
            gravity_in_trunk=gravity,
            joint_velocity=joint_velocity,
            torque_fraction=(torque / self.torque_limit).clamp(-1.0, 1.0),
            action=action,
            last_action=memory[:, LAST_ACTION : LAST_ACTION + self.graph.contract.action_dim],
            fallen=terminated,
        )
        return velocity_reward(inputs, self.weights)[0]


def velocity_world(
    model: DynamicsEnsemble,
    graph: PolicyGraph,
    robot: RobotModel,
    weights: RewardWeights,
    groups: tuple[tuple[str, int], ...],
) -> ModelWorld:
    """The transition model with the deployed policy's senses, the robot's fall threshold and the task's reward.

    Args:
        groups: names and widths of the physical state, as in `Transitions`.

    Raises:
        TransitionsError: the logs hold no base velocity, which the reward needs.
    """
    if groups != (*PHYSICAL_GROUPS, VELOCITY_GROUP):
        raise TransitionsError(
            "a data set with the column velocity_trunk_in_trunk",
            f"the groups {[name for name, _ in groups]}",
            "Ingest the logs with this version of the project, which estimates it.",
        )
    rule = VelocityRewardRule.of(graph, robot, weights)
    return ModelWorld(model, GraphObserver(graph), tilt_rule(robot.safety.tilt_limit_rad), rule)
