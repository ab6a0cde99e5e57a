"""A velocity policy under the gait contract: its weights, and none on the commands that it never saw.

It follows the frequency, for the graph advances its clock, and ignores the heights: what a trained one has to beat.
"""

from __future__ import annotations

import torch

from policy.contract import ContractError, PolicyContract
from policy.gait_contract import GAIT_COMMANDS, gait_contract
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import RobotModel

_FIRST_LAYER = "mean_network.0.weight"


def blind_to_gait(plain: PolicyGraph, robot: RobotModel) -> PolicyGraph:
    """The same actions for the same signals at the default gait.

    Raises:
        ContractError: the policy is not of `velocity_contract`.
    """
    if plain.contract != velocity_contract(robot):
        raise ContractError("a policy of the velocity contract", "another contract", "Give a velocity policy.")
    gait = gait_contract(robot)
    weights = dict(plain.actor.state_dict())
    weights[_FIRST_LAYER] = with_unseen_gait(weights[_FIRST_LAYER], plain.contract)
    actor = GaussianActor(gait.observation_dim, gait.action_dim, plain.actor.hidden_dims, initial_std=1.0)
    actor.load_state_dict(weights)
    return PolicyGraph(gait, actor)


def with_unseen_gait(layer: torch.Tensor, plain: PolicyContract) -> torch.Tensor:
    """The weights (H, O + G) of a first layer that sees a gait's G commands and heeds none, from one (H, O) without.

    Args:
        layer: its inputs begin with an observation of `plain`; others may follow.
    """
    names = [term.name for term in plain.terms]
    before = names[: names.index("command") + 1]
    end = sum(plain.term_width(name) for name in before)
    unseen = torch.zeros(len(layer), len(GAIT_COMMANDS))
    return torch.cat([layer[:, :end], unseen, layer[:, end:]], dim=1)
