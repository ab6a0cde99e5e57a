"""Stops a training run at the first number that is not finite, or diverged, says which one, and keeps what explains it.

Within a control step the order is that in which things come about: actions, the engine's state, rewards, observations.
Without the guard a policy that says NaN goes unnoticed for a while: MuJoCo takes all targets of such a robot for zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rsl_rl.algorithms import PPO

from policy.rewards import REWARD_TERMS
from robot_configs.errors import Go1Error
from sim.divergence import LARGEST_STATE
from sim.engines.protocol import EngineState, ResumableEngine
from sim.privileged import PRIVILEGED
from sim.shaping import SHAPING_TERMS
from sim.tensor_state import tensors_of
from sim.velocity_task import VelocityTask

EVIDENCE_FILE = "non_finite.npz"
_NAMED_ROBOTS = 8  # in a message; the file has all of them


class NonFiniteError(Go1Error):
    """A number that is not finite, or a state that physics can not come to, and what was there when it came up.

    Attributes:
        evidence: arrays by name, see `GuardedVelocityTask` and `GuardedPpo`.
    """

    evidence: Mapping[str, np.ndarray] = {}

    def save(self, out: Path) -> None:
        """Write the evidence into a run's folder."""
        arrays: dict[str, Any] = dict(self.evidence)
        np.savez_compressed(out / EVIDENCE_FILE, **arrays)


class GuardedVelocityTask(VelocityTask):
    """The velocity task, which raises `NonFiniteError` instead of going on.

    The evidence is, of the robots concerned (R,): `robots` (their rows), `action`, every buffer of the task (`command`,
    `memory`, `state.joint_position`, ..., `physics.friction`, ...) and, where it can be told, the engine's state.
    """

    def step(self, actions: torch.Tensor) -> Any:
        """See `VelocityTask.step`.

        Raises:
            NonFiniteError: naming the first term and the robots.
        """
        self._require_finite("action", self.contract.policy_joint_names, actions, actions)
        return super().step(actions)

    def _read_state(self, actions: torch.Tensor) -> None:
        super()._read_state(actions)
        for field in fields(EngineState):
            values = getattr(self.state, field.name).flatten(1)
            names = (field.name,) * values.shape[1]
            self._require_finite("state", names, values, actions)
            self._require("state", names, values.abs() <= LARGEST_STATE, actions, "larger")

    def _reward(self, actions: torch.Tensor, *rest: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        reward, terms = super()._reward(actions, *rest)
        names = (*REWARD_TERMS, *SHAPING_TERMS, "total")
        self._require_finite("reward", names, torch.cat([terms, reward[:, None]], dim=1), actions)
        return reward, terms

    def _observe(self) -> None:
        super()._observe()
        contract = self.contract
        frame = [name for term in contract.terms for name in [term.name] * contract.term_width(term.name)]
        self._require_finite("observation", frame * contract.history_length, self.observation, self.last_action)
        privileged = [f"privileged {name}" for name, width in PRIVILEGED.items() for _ in range(width)]
        self._require_finite("observation", privileged, self.privileged, self.last_action)

    def _require_finite(self, kind: str, columns: Sequence[str], values: torch.Tensor, actions: torch.Tensor) -> None:
        """Values (N, K) in named columns."""
        self._require(kind, columns, torch.isfinite(values), actions, "non-finite")

    def _require(self, kind: str, columns: Sequence[str], good: torch.Tensor, actions: torch.Tensor, how: str) -> None:
        """What is true of values (N, K) in named columns; `how` they are otherwise."""
        if good.all():
            return
        name = columns[int((~good).any(dim=0).nonzero()[0])]
        robots = (~good)[:, [column == name for column in columns]].any(dim=1).nonzero().squeeze(1)
        raise _error(f"{how} {kind} {name!r} of {_listed(robots)}", self._evidence(robots, actions))

    def _evidence(self, robots: torch.Tensor, actions: torch.Tensor) -> dict[str, np.ndarray]:
        held = {"action": actions, **tensors_of(self)}
        if isinstance(self.engine, ResumableEngine):
            held.update({f"engine.{name}": tensor for name, tensor in self.engine.snapshot().items()})
        per_robot = {name: tensor for name, tensor in held.items() if tensor.shape[:1] == (self.num_envs,)}
        return {"robots": robots.numpy(), **{name: tensor[robots].numpy() for name, tensor in per_robot.items()}}


class GuardedPpo(PPO):
    """PPO, which raises `NonFiniteError` when an update ends with a loss or a weight that is not finite.

    The evidence is what the update learned from: `observation`, `privileged`, `actions`, `rewards`, `values`,
    `returns`, `advantages`, each (steps, N, ...).
    """

    def update(self) -> dict[str, float]:
        """See rsl_rl's PPO.

        Raises:
            NonFiniteError: naming the first loss or weight.
        """
        losses: dict[str, float] = super().update()
        for name, loss in losses.items():
            if not math.isfinite(loss):
                raise _error(f"non-finite loss {name!r}", self._evidence())
        for network, module in (("actor", self.actor), ("critic", self.critic)):
            for name, weight in module.named_parameters():
                if not torch.isfinite(weight).all():
                    raise _error(f"non-finite weight '{network}.{name}'", self._evidence())
        return losses

    def _evidence(self) -> dict[str, np.ndarray]:
        rollout = self.storage
        arrays = {name: rollout.observations[name].numpy() for name in rollout.observations.keys()}
        for name in ("actions", "rewards", "values", "returns", "advantages"):
            arrays[name] = getattr(rollout, name).numpy()
        return arrays


def _error(found: str, evidence: Mapping[str, np.ndarray]) -> NonFiniteError:
    remedy = f"{EVIDENCE_FILE} in the run's folder holds what led to it; the last checkpoint is from before."
    expected = f"finite numbers only, and states of at most {LARGEST_STATE:g}"
    error = NonFiniteError(expected, f"a {found}", remedy)
    error.evidence = evidence
    return error


def _listed(robots: torch.Tensor) -> str:
    named = ", ".join(str(int(robot)) for robot in robots[:_NAMED_ROBOTS])
    more = len(robots) - _NAMED_ROBOTS
    return f"{'robot' if len(robots) == 1 else 'robots'} {named}" + (f" and {more} more" if more > 0 else "")
