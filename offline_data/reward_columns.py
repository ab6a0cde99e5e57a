"""The reward of logged steps, by the same function that scores simulation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from policy.contract import PolicyContract
from policy.rewards import RewardInputs, RewardWeights, velocity_reward
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel

VELOCITY_UNITS = ("m/s", "m/s", "rad/s")
"""Units of the first three commands: forward, left, turning left. A scaled command has none of them."""


class RewardColumnsError(Go1Error):
    """A contract whose commands the reward cannot be computed from."""


def check_velocity_commands(contract: PolicyContract) -> None:
    """Refuses a contract whose first three commands are no velocities in physical units.

    Raises:
        RewardColumnsError
    """
    units = tuple(command.unit for command in contract.commands[:3])
    if units != VELOCITY_UNITS:
        raise RewardColumnsError(
            f"the first three commands in {VELOCITY_UNITS}",
            f"{[(command.name, command.unit) for command in contract.commands[:3]]}",
            "Rewards take physical units only: unscale the commands and put the velocities first.",
        )


def reward_columns(
    columns: Mapping[str, np.ndarray], fell: bool, robot: RobotModel, weights: RewardWeights
) -> tuple[np.ndarray, np.ndarray]:
    """Reward and its terms of one episode of n rows, the last one final.

    The transition from row i to i + 1 is scored as in simulation, just after the action took effect: command, action
    and mean torque of row i with the velocities, rates and attitude of row i + 1.

    Args:
        columns: of the dataset, `joint_torque` in Nm.
        fell: whether the last transition ended in a fall.

    Returns:
        (n,) and (n, K) float32; zero in the final row.
    """
    before = {name: _tensor(columns[name][:-1]) for name in ("command", "action", "joint_torque")}
    after = {name: _tensor(columns[name][1:]) for name in _STATE_COLUMNS}
    fallen = torch.zeros(len(before["action"]), dtype=torch.bool)
    fallen[-1] = fell
    total, terms = velocity_reward(
        RewardInputs(
            command=before["command"][:, :3],
            linear_velocity_trunk_in_trunk=after["velocity_trunk_in_trunk"],
            angular_velocity_trunk_in_trunk=after["angular_velocity_trunk_in_trunk"],
            gravity_in_trunk=after["projected_gravity_in_trunk"],
            joint_velocity=after["joint_velocity"],
            torque_fraction=before["joint_torque"] / _tensor(robot.torque_limit),
            action=before["action"],
            last_action=torch.cat([torch.zeros_like(before["action"][:1]), before["action"][:-1]]),
            fallen=fallen,
        ),
        weights,
    )
    return _with_final_row(total), _with_final_row(terms)


_STATE_COLUMNS = (
    "velocity_trunk_in_trunk",
    "angular_velocity_trunk_in_trunk",
    "projected_gravity_in_trunk",
    "joint_velocity",
)


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float32))


def _with_final_row(values: torch.Tensor) -> np.ndarray:
    array = values.numpy().astype(np.float32)
    return np.concatenate([array, np.zeros_like(array[:1])])
