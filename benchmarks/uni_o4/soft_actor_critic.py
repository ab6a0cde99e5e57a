"""Soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905), which makes the benchmark's data.

Q <- r + gamma (min Q_slow(s', a') - alpha log pi(a'|s'))     twin critics as one batch of matrices
pi <- argmax E[ min Q(s, a) - alpha log pi(a|s) ]              a = tanh(u), u ~ N(mean(s), std(s))
alpha <- so that the entropy is -A
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.uni_o4.recipe import SacSettings
from policy.networks import gaussian_log_prob, mlp
from policy.trainer_state import pack_adam, pack_module, unpack_adam, unpack_module
from policy.uni_o4.settings import seeded_network
from policy.uni_o4.side_by_side import ActionValues, follow

LOG_STD_BOUNDS = (-5.0, 2.0)
TWINS = 2


class SquashedActor(nn.Module):
    """A Gaussian with a spread that depends on the state, squashed into +-1 by tanh."""

    def __init__(self, observation_dim: int, action_dim: int, hidden_dims: tuple[int, ...]) -> None:
        super().__init__()
        self.network = mlp(observation_dim, hidden_dims, 2 * action_dim)

    def forward(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        """(N, O) -> mean and standard deviation before the squashing, (N, A) each."""
        mean, spread = self.network(observation).chunk(2, dim=-1)
        lower, upper = LOG_STD_BOUNDS
        # Smooth bounds, so that the gradient never vanishes at them.
        log_std = lower + 0.5 * (upper - lower) * (spread.tanh() + 1.0)
        return mean, log_std.exp()

    def sample(self, observation: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """(N, O) -> action (N, A) within +-1, its log-probability (N,) [nat]."""
        mean, std = self(observation)
        raw = mean + std * torch.randn(mean.shape, generator=generator)
        # log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u)), which does not round to log 0.
        shrinkage = 2.0 * (math.log(2.0) - raw - functional.softplus(-2.0 * raw))
        return raw.tanh(), gaussian_log_prob(raw, mean, std) - shrinkage.sum(-1)


class SoftActorCritic:
    """Actor, twin critics, temperature, their optimisers and the one source of randomness."""

    def __init__(self, observation_dim: int, action_dim: int, settings: SacSettings, seed: int) -> None:
        self.settings = settings
        self.generator = torch.Generator().manual_seed(seed)
        self.actor = seeded_network(
            lambda: SquashedActor(observation_dim, action_dim, settings.hidden_dims), self.generator
        )
        self.critic = ActionValues(
            TWINS, observation_dim + action_dim, settings.hidden_dims, functional.relu, self.generator
        )
        self.slow_critic = copy.deepcopy(self.critic).requires_grad_(False)
        self.temperature = nn.ParameterDict({"log": nn.Parameter(torch.zeros(()))})
        self.target_entropy = -float(action_dim)
        rate = settings.learning_rate
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), rate, fused=True)
        self.critic_optimizer = torch.optim.Adam(self.critic.parameters(), rate, fused=True)
        self.temperature_optimizer = torch.optim.Adam(self.temperature.parameters(), rate, fused=True)

    def update(
        self, observation: Tensor, action: Tensor, reward: Tensor, next_observation: Tensor, terminated: Tensor
    ) -> None:
        """One gradient step of everything on a batch of B steps; terminated is bool (B,)."""
        alpha = self.temperature["log"].detach().exp()

        # Critics: L_Q = E[ (Q - (r + gamma (1 - terminated) (min Q_slow(s', a') - alpha log pi(a'|s'))))^2 ]
        with torch.no_grad():
            following, following_log_prob = self.actor.sample(next_observation, self.generator)
            beyond = self.slow_critic(next_observation, following).amin(0) - alpha * following_log_prob
            target = reward + self.settings.discount * beyond.masked_fill(terminated, 0.0)
        critic_loss = (self.critic(observation, action) - target).square().mean(1).sum()
        self.critic_optimizer.zero_grad()
        critic_loss.backward()
        self.critic_optimizer.step()

        # Actor: L_pi = E[ alpha log pi(a|s) - min Q(s, a) ]
        self.critic.requires_grad_(False)
        sampled, log_prob = self.actor.sample(observation, self.generator)
        actor_loss = (alpha * log_prob - self.critic(observation, sampled).amin(0)).mean()
        self.actor_optimizer.zero_grad()
        actor_loss.backward()
        self.actor_optimizer.step()
        self.critic.requires_grad_(True)

        # Temperature: L_alpha = -log alpha E[ log pi(a|s) + target entropy ]
        gap = (log_prob.detach() + self.target_entropy).mean()
        temperature_loss = -self.temperature["log"] * gap
        self.temperature_optimizer.zero_grad()
        temperature_loss.backward()
        self.temperature_optimizer.step()

        follow(self.slow_critic, self.critic, self.settings.target_rate)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that `restore` needs to go on bit for bit."""
        packed = {"generator": self.generator.get_state()}
        for name in ("actor", "critic", "slow_critic", "temperature"):
            packed.update(pack_module(name, getattr(self, name)))
        for name in ("actor_optimizer", "critic_optimizer", "temperature_optimizer"):
            packed.update(pack_adam(name, getattr(self, name)))
        return packed

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        for name in ("actor", "critic", "slow_critic", "temperature"):
            unpack_module(name, getattr(self, name), tensors)
        for name in ("actor_optimizer", "critic_optimizer", "temperature_optimizer"):
            unpack_adam(name, getattr(self, name), tensors)
        self.generator.set_state(tensors["generator"])
