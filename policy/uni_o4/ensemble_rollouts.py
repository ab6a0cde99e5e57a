"""Branched rollouts of a policy inside the transition model, from logged states.

    logged state --observe--> actor --action--> model --next physical state--> observe --> ... H steps
        memory ------------------ remember (last action, clock, history) ---------^

All randomness of a rollout is drawn beforehand (`RolloutNoise`), so that two policies can be compared on the same
starts and the same luck.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from policy.graph import PolicyGraph
from policy.networks import GaussianActor, gaussian_log_prob
from policy.transitions import Transitions, observe_physical
from policy.uni_o4.dynamics import DynamicsPrediction, dynamics_features

FallRule = Callable[[Tensor], Tensor]
"""Physical states (N, P) -> (N,) bool: the robot has fallen there."""

Halt = Callable[[Tensor], Tensor]
"""Outcomes (E, N, P + 1) of the same steps by each of E members -> (N,) bool: a branch ends there as in a fall."""


class Observer(Protocol):
    """How physical states become a policy's observations; the policy graph on a robot, less on a toy problem."""

    def observe(self, physical: Tensor, command: Tensor, memory: Tensor) -> Tensor:
        """(N, P), (N, C), (N, M) -> observation (N, O)."""

    def remember(self, memory: Tensor, observation: Tensor, action: Tensor, command: Tensor) -> Tensor:
        """The memory (N, M) after an action."""

    def project(self, physical: Tensor) -> Tensor:
        """Predicted states (N, P) back onto what is physically possible."""


@dataclass(frozen=True)
class GraphObserver:
    """The deployed policy's own graph as the observer."""

    graph: PolicyGraph

    def observe(self, physical: Tensor, command: Tensor, memory: Tensor) -> Tensor:
        return observe_physical(self.graph, physical, command, memory)

    def remember(self, memory: Tensor, observation: Tensor, action: Tensor, command: Tensor) -> Tensor:
        return self.graph.remember(memory, observation, action, command)

    def project(self, physical: Tensor) -> Tensor:
        """Gravity has unit length in every frame; the network knows it only approximately."""
        gravity = physical[:, :3]
        unit = gravity / gravity.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return torch.cat([unit, physical[:, 3:]], dim=1)


def tilt_rule(tilt_limit_rad: float) -> FallRule:
    """A fall is a trunk tilted further than the robot's safety threshold (the same one that damps the real robot)."""
    highest = -math.cos(tilt_limit_rad)
    return lambda physical: physical[:, 2] > highest


class RewardRule(Protocol):
    """The task's reward as a known function of what the model predicts."""

    def __call__(
        self, next_physical: Tensor, command: Tensor, action: Tensor, memory: Tensor, terminated: Tensor
    ) -> Tensor:
        """Predicted state (N, P), command (N, C), action (N, A), memory before it (N, M), falls (N,) -> reward (N,)."""


class TransitionModel(Protocol):
    """What rollouts need of a transition model; `DynamicsEnsemble` is one."""

    @property
    def members(self) -> int:
        """Networks that answer side by side."""

    def predict(self, features: Tensor, physical: Tensor) -> DynamicsPrediction:
        """See `DynamicsEnsemble.predict`."""


@dataclass(frozen=True)
class ModelWorld:
    """The world as learned from logs: transition model, the policy's senses in it, what is a fall, what is rewarded.

    Without a reward rule the model's own prediction of the reward is used. A policy that is optimised against it soon
    finds where that prediction errs, although the predicted motion earns nothing more: where it is known, give it.
    With `halts`, every member is asked about every step (`disagreement`).
    """

    model: TransitionModel
    observer: Observer
    fell: FallRule
    reward: RewardRule | None = None
    halts: Halt | None = None


@dataclass(frozen=True)
class BranchStarts:
    """Where branches leave the logs; shapes as in `Transitions`. The command is held for the length of the branch."""

    physical: Tensor
    command: Tensor
    memory: Tensor
    past: Tensor
    episode: Tensor

    def __len__(self) -> int:
        return len(self.physical)

    @staticmethod
    def at(transitions: Transitions, rows: Tensor) -> BranchStarts:
        """The logged states of the given rows (N,)."""
        return BranchStarts(
            transitions.physical[rows],
            transitions.command[rows],
            transitions.memory[rows],
            transitions.past[rows],
            transitions.episode[rows],
        )

    def where(self, chosen: Tensor, others: BranchStarts) -> BranchStarts:
        """These where chosen (N,) is true, elsewhere the others."""

        def pick(mine: Tensor, other: Tensor) -> Tensor:
            return torch.where(chosen.view(-1, *[1] * (mine.dim() - 1)), mine, other)

        pairs = zip(vars(self).values(), vars(others).values(), strict=True)
        return BranchStarts(*(pick(mine, other) for mine, other in pairs))

    def repeated(self, times: int) -> BranchStarts:
        """All of them, so many times, one after the other."""
        return BranchStarts(*(column.repeat(times, *[1] * (column.dim() - 1)) for column in vars(self).values()))


@dataclass(frozen=True)
class RolloutNoise:
    """All luck of a rollout.

    Attributes:
        action: (H, N, A) standard normal. outcome: (H, N, P) standard normal, for the predicted physical state.
        fall: (H, N) uniform in [0, 1). member_order: (H, N), a permutation that deals the rows out to the members.
    """

    action: Tensor
    outcome: Tensor
    fall: Tensor
    member_order: Tensor

    @staticmethod
    def draw(horizon: int, count: int, action_dim: int, physical_dim: int, generator: torch.Generator) -> RolloutNoise:
        return RolloutNoise(
            torch.randn(horizon, count, action_dim, generator=generator),
            torch.randn(horizon, count, physical_dim, generator=generator),
            torch.rand(horizon, count, generator=generator),
            torch.stack([torch.randperm(count, generator=generator) for _ in range(horizon)]),
        )

    def repeated_by_member(self, members: int) -> RolloutNoise:
        """The same luck for `members` times as many branches, of which the k-th part is the k-th member's alone."""
        horizon, count = self.fall.shape
        return RolloutNoise(
            self.action.repeat(1, members, 1),
            self.outcome.repeat(1, members, 1),
            self.fall.repeat(1, members),
            torch.arange(members * count).expand(horizon, -1),
        )


@dataclass(frozen=True)
class Rollout:
    """H steps of N branches, time first, (H, N, ...) but for the ends.

    Attributes:
        ends: where the branches are after the last step, to go on from there.
        observation, next_observation, action, log_prob: as in `Transitions`, of the policy rolled out.
        reward: (H, N), unscaled, by the world's rule or as predicted. terminated: the model's robot fell in this step.
        alive: the step really happened: the branch had not fallen before it.
        physical: (H, N, P) predicted state after the step.
    """

    ends: BranchStarts
    observation: Tensor
    next_observation: Tensor
    action: Tensor
    log_prob: Tensor
    reward: Tensor
    terminated: Tensor
    alive: Tensor
    physical: Tensor


@torch.no_grad()
def roll_out(
    world: ModelWorld, actor: GaussianActor, starts: BranchStarts, noise: RolloutNoise, exploration: float = 1.0
) -> Rollout:
    """Follow the policy through the model; exploration scales its standard deviation (0 is the mean action).

    Actions go into the model as they were sampled: there is no clamp, for there is none in front of the deployed
    graph's own action scale either. log_prob is that of the unscaled policy.
    """
    physical, memory, past = starts.physical, starts.memory, starts.past
    observation = world.observer.observe(physical, starts.command, memory)
    alive = torch.ones(len(starts), dtype=torch.bool)
    steps: list[tuple[Tensor, ...]] = []
    for action_noise, outcome_noise, fall_noise, order in zip(
        noise.action, noise.outcome, noise.fall, noise.member_order, strict=True
    ):
        mean, std = actor(observation)
        action = mean + exploration * std * action_noise
        log_prob = gaussian_log_prob(action, mean, std)

        features = dynamics_features(observation, physical, action, past)
        outcome, outcome_std, fall_probability, halted = _predict(world, features, physical, order)
        reached = outcome[:, :-1] + outcome_std[:, :-1] * outcome_noise
        # A fallen branch lies still, so that nothing behind its end can grow without bound.
        next_physical = torch.where(alive[:, None], world.observer.project(reached), physical)
        terminated = alive & (world.fell(next_physical) | (fall_noise < fall_probability) | halted)

        reward = outcome[:, -1]
        if world.reward is not None:
            reward = world.reward(next_physical, starts.command, action, memory, terminated)
        memory = world.observer.remember(memory, observation, action, starts.command)
        next_observation = world.observer.observe(next_physical, starts.command, memory)
        steps.append((observation, next_observation, action, log_prob, reward, terminated, alive, next_physical))
        past = advance_past(past, physical, action)
        physical, observation, alive = next_physical, next_observation, alive & ~terminated
    ends = BranchStarts(physical, starts.command, memory, past, starts.episode)
    columns = (torch.stack(column) for column in zip(*steps, strict=True))
    return Rollout(ends, *columns)


def _predict(world: ModelWorld, features: Tensor, physical: Tensor, order: Tensor) -> tuple[Tensor, ...]:
    """Each row answered by the member that it is dealt to.

    Returns:
        outcome and its std (N, P + 1), fall probability (N,), halted (N,) bool.
    """
    model, count = world.model, len(features)
    share = -(-count // model.members)
    place = torch.empty_like(order)
    place[order] = torch.arange(count)
    if world.halts is not None:
        everyone = ask_everyone(model, features, physical)
        answers = (everyone.outcome, everyone.std, everyone.fall_probability)
        member, row = place // share, torch.arange(count)
        return (*(answer[member, row] for answer in answers), world.halts(everyone.outcome))
    dealt = order[torch.arange(share * model.members) % count]  # the first rows dealt fill up the last share
    prediction = model.predict(
        features[dealt].unflatten(0, (model.members, share)), physical[dealt].unflatten(0, (model.members, share))
    )
    answers = (prediction.outcome, prediction.std, prediction.fall_probability)
    never = torch.zeros(count, dtype=torch.bool)
    return (*(answer.flatten(0, 1)[:count][place] for answer in answers), never)


def ask_everyone(model: TransitionModel, features: Tensor, physical: Tensor) -> DynamicsPrediction:
    """What every member says of the same rows (N, F), (N, P)."""
    return model.predict(features.expand(model.members, -1, -1), physical.expand(model.members, -1, -1))


def advance_past(past: Tensor, physical: Tensor, action: Tensor) -> Tensor:
    """The frames before the next step (N, K, P + A), newest first."""
    if past.shape[1] == 0:
        return past
    newest = torch.cat([physical, action], dim=1)[:, None]
    return torch.cat([newest, past[:, :-1]], dim=1)
