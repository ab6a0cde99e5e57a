"""The actor of walk-these-ways: a module that guesses what the robot stands on, and a body that acts on the guess."""

from __future__ import annotations

from typing import Sequence, Tuple

import torch

from policy.networks import GaussianActor, mlp


class AdaptationActor(GaussianActor):
    """Gaussian whose mean sees the observation and an estimate, by a second network, of what was known in simulation.

    mean = body([observation, adaptation(observation)]), as in Margolis and Agrawal (CoRL 2022); their estimate has two
    entries, friction and restitution.
    """

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        hidden_dims: Sequence[int],
        initial_std: float,
        adaptation_dims: Sequence[int],
        estimate_dim: int,
    ) -> None:
        super().__init__(observation_dim + estimate_dim, action_dim, hidden_dims, initial_std)
        self.adaptation_network = mlp(observation_dim, adaptation_dims, estimate_dim)

    def forward(self, observation: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """(B, O) -> mean and standard deviation, both (B, A)."""
        return super().forward(torch.cat([observation, self.adaptation_network(observation)], dim=-1))
