"""A point mass on a line: the smallest world in which every stage of the learner has a known right answer.

state (position p [m], velocity v [m/s]), action a [m/s^2], step 0.1 s
p' = p + 0.1 v,  v' = 0.95 v + 0.1 a,  reward = 1 - p^2 - 0.02 a^2,  a fall where |p| > 3
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from policy.networks import GaussianActor
from policy.transitions import Transitions
from policy.uni_o4.ensemble_rollouts import ModelWorld

GROUPS = (("position", 1), ("speed", 1))
FALL_POSITION_M = 3.0


def next_state(state: Tensor, action: Tensor) -> Tensor:
    position, speed = state[:, :1], state[:, 1:]
    return torch.cat([position + 0.1 * speed, 0.95 * speed + 0.1 * action], dim=1)


def reward_of(state: Tensor, action: Tensor) -> Tensor:
    return 1.0 - state[:, 0].square() - 0.02 * action[:, 0].square()


def has_fallen(state: Tensor) -> Tensor:
    return state[:, 0].abs() > FALL_POSITION_M


@dataclass(frozen=True)
class DirectObserver:
    """The policy sees the state itself and needs no memory."""

    def observe(self, physical: Tensor, command: Tensor, memory: Tensor) -> Tensor:
        return physical

    def remember(self, memory: Tensor, observation: Tensor, action: Tensor, command: Tensor) -> Tensor:
        return memory

    def project(self, physical: Tensor) -> Tensor:
        return physical


def linear_actor(position_gain: float, speed_gain: float, std: float = 0.5) -> GaussianActor:
    """a ~ N(position_gain p + speed_gain v, std^2)."""
    actor = GaussianActor(2, 1, (), std)
    weight, bias = actor.mean_network.parameters()
    weight.data.copy_(torch.tensor([[position_gain, speed_gain]]))
    bias.data.zero_()
    return actor


@torch.no_grad()
def log_episodes(
    actor: GaussianActor, episodes: int, steps: int, generator: torch.Generator, past_steps: int = 0
) -> Transitions:
    """Episodes from random starts, as a log of the actor would look; a fall ends one."""
    state = torch.randn(episodes, 2, generator=generator)
    running = torch.ones(episodes, dtype=torch.bool)
    columns: dict[str, list[Tensor]] = {}
    for step in range(steps):
        mean, std = actor(state)
        action = mean + std * torch.randn(mean.shape, generator=generator)
        following = next_state(state, action)
        terminated = has_fallen(following)
        row = {
            "observation": state,
            "next_observation": following,
            "action": action,
            "action_mean": mean,
            "action_std": std,
            "log_prob": actor.log_prob(state, action),
            "reward": reward_of(state, action),
            "terminated": terminated,
            "truncated": ~terminated & (step == steps - 1),
            "running": running,
        }
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
        running = running & ~terminated
        state = following
    stacked = {name: torch.stack(values, dim=1).flatten(0, 1) for name, values in columns.items()}
    kept = stacked.pop("running")
    logged = {name: value[kept] for name, value in stacked.items()}
    count = int(kept.sum())
    return Transitions(
        **logged,
        episode=torch.arange(episodes).repeat_interleave(steps)[kept],
        physical=logged["observation"],
        next_physical=logged["next_observation"],
        command=torch.zeros(count, 1),
        memory=torch.zeros(count, 1),
        past=torch.zeros(count, past_steps, 3),
        groups=GROUPS,
    )


@torch.no_grad()
def true_return(actor: GaussianActor, episodes: int = 512, steps: int = 60, seed: int = 123) -> float:
    """Mean undiscounted return in the true world, on fixed starts and fixed luck; a fallen mass earns nothing more."""
    generator = torch.Generator().manual_seed(seed)
    state = torch.randn(episodes, 2, generator=generator)
    running, total = torch.ones(episodes), torch.zeros(episodes)
    for _ in range(steps):
        mean, std = actor(state)
        action = mean + std * torch.randn(mean.shape, generator=generator)
        total += running * reward_of(state, action)
        state = next_state(state, action)
        running = running * ~has_fallen(state)
    return float(total.mean())


def world_of(model: torch.nn.Module) -> ModelWorld:
    return ModelWorld(model, DirectObserver(), has_fallen)  # type: ignore[arg-type]
