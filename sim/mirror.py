"""Left and right exchanged: what a robot would observe and do if the world were seen in a mirror.

The Go1 is symmetric about its xz plane, so that a sample of the task is a second sample in the mirror (Mittal et al.,
"Symmetry Considerations for Learning Task Symmetric Robot Policies", 2024). Vectors lose the sign of y, turning rates
those of x and z, legs change sides, hips their sign. The trot's other diagonal swings: the clock is half a cycle on.
"""

from __future__ import annotations

from typing import Dict, List, Optional, Tuple

import torch
from tensordict import TensorDict

from policy.contract import PolicyContract
from policy.gait_contract import GAIT_COMMANDS
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel
from sim.privileged import PRIVILEGED

Signed = List[Tuple[int, float]]
"""For each place of the mirrored vector, the place of the original that it comes from, and its sign."""

_VECTOR: Signed = [(0, 1.0), (1, -1.0), (2, 1.0)]
_TURNING: Signed = [(0, -1.0), (1, 1.0), (2, -1.0)]
_COMMAND_SIGNS = {"vx": 1.0, "vy": -1.0, "yaw": -1.0, **{term.name: 1.0 for term in GAIT_COMMANDS}}
_OTHER_SIDE = {"FR": "FL", "FL": "FR", "RR": "RL", "RL": "RR"}


class MirrorError(Go1Error):
    """A contract whose mirror image is not known."""


class Mirror:
    """Mirrors observations, the critic's own view and actions of the velocity task.

    Raises:
        MirrorError: the contract has terms, commands or a normaliser that it can not mirror.
    """

    def __init__(self, contract: PolicyContract, robot: RobotModel) -> None:
        joints = _joints(contract.policy_joint_names)
        commands = self._commands(contract)
        clock: Signed = [(0, -1.0), (1, -1.0)]
        terms: Dict[str, Signed] = {
            "projected_gravity": _VECTOR,
            "angular_velocity": _TURNING,
            "command": commands,
            "joint_position": joints,
            "joint_velocity": joints,
            "last_action": joints,
            "gait_clock": clock,
        }
        unknown = [term.name for term in contract.terms if term.name not in terms]
        if unknown or contract.history_length != 1:
            found = f"terms {unknown}, history of {contract.history_length}"
            raise MirrorError(f"only terms of {', '.join(terms)}, one moment", found, "Set mirror=False.")
        feet: Signed = [(robot.foot_names.index(_OTHER_SIDE[name]), 1.0) for name in robot.foot_names]
        same: Signed = [(0, 1.0)]
        self._observation = _joined([terms[term.name] for term in contract.terms])
        if not self._normalises_both_sides_alike(contract):
            expected = "no normaliser, or one whose means and standard deviations are those of the mirror image"
            raise MirrorError(expected, "another for the other side", "Set mirror=False.")
        seen_by_critic: Dict[str, Signed] = {
            "linear_velocity": _VECTOR,
            "gravity": _VECTOR,
            "angular_velocity": _TURNING,
            "trunk_height": same,
            "foot_height": feet,
            "friction": same,
            "payload": same,
            "delay": same,
        }
        self._privileged = _joined([seen_by_critic[name] for name in PRIVILEGED])
        self._action = _joined([joints])

    def _normalises_both_sides_alike(self, contract: PolicyContract) -> bool:
        """Only then is the mirror image of a normalised observation that of the observation, normalised."""
        places, signs = self._observation
        mean, std = torch.tensor(contract.observation_mean), torch.tensor(contract.observation_std)
        alike = not len(mean) or torch.equal(mean[places] * signs, mean)
        return bool(alike) and (not len(std) or torch.equal(std[places], std))

    @staticmethod
    def _commands(contract: PolicyContract) -> Signed:
        unknown = sorted(set(contract.command_names) - set(_COMMAND_SIGNS))
        if unknown:
            raise MirrorError(f"commands among {', '.join(_COMMAND_SIGNS)}", ", ".join(unknown), "Set mirror=False.")
        return [(place, _COMMAND_SIGNS[name]) for place, name in enumerate(contract.command_names)]

    def observation(self, observation: torch.Tensor) -> torch.Tensor:
        """(B, O) in the mirror."""
        return _apply(self._observation, observation)

    def privileged(self, privileged: torch.Tensor) -> torch.Tensor:
        """(B, P) in the mirror."""
        return _apply(self._privileged, privileged)

    def action(self, action: torch.Tensor) -> torch.Tensor:
        """(B, 12) in the mirror."""
        return _apply(self._action, action)

    def augment(
        self, env: object, obs: Optional[TensorDict], actions: Optional[torch.Tensor]
    ) -> Tuple[Optional[TensorDict], Optional[torch.Tensor]]:
        """rsl_rl's `data_augmentation_func`: the batch with its mirror image behind it."""
        if obs is not None:
            groups = {
                "observation": torch.cat([obs["observation"], self.observation(obs["observation"])]),
                "privileged": torch.cat([obs["privileged"], self.privileged(obs["privileged"])]),
            }
            obs = TensorDict(groups, batch_size=[2 * obs.batch_size[0]])
        if actions is not None:
            actions = torch.cat([actions, self.action(actions)])
        return obs, actions


def _joints(names: Tuple[str, ...]) -> Signed:
    """Legs change sides; hips turn about x, and so the other way."""
    mirrored: Signed = []
    for name in names:
        leg, kind = name.split("_")
        mirrored.append((names.index(f"{_OTHER_SIDE[leg]}_{kind}"), -1.0 if kind == "hip" else 1.0))
    return mirrored


def _joined(parts: List[Signed]) -> Tuple[torch.Tensor, torch.Tensor]:
    """Places and signs of parts that stand one behind the other."""
    places, signs, start = [], [], 0
    for part in parts:
        places += [start + place for place, _ in part]
        signs += [sign for _, sign in part]
        start += len(part)
    return torch.tensor(places), torch.tensor(signs)


def _apply(signed: Tuple[torch.Tensor, torch.Tensor], values: torch.Tensor) -> torch.Tensor:
    places, signs = signed
    return values[:, places] * signs
