"""The networks of every learner in the project: one definition of actor, value and action value."""

from __future__ import annotations

import math
from typing import Sequence, Tuple

import torch
from torch import nn

# Bounds of the Gaussian's standard deviation; log-probabilities stay finite in float32 within them.
LOG_STD_BOUNDS = (math.log(1e-3), math.log(4.0))


def mlp(input_dim: int, hidden_dims: Sequence[int], output_dim: int) -> nn.Sequential:
    """Multi-layer perceptron with ELU between layers and a linear output."""
    widths = [input_dim, *hidden_dims]
    layers: list[nn.Module] = []
    for index in range(len(hidden_dims)):
        layers += [nn.Linear(widths[index], widths[index + 1]), nn.ELU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], output_dim))


class GaussianActor(nn.Module):
    """Diagonal Gaussian over actions: mean by an MLP, one standard deviation per action, independent of the state."""

    def __init__(self, observation_dim: int, action_dim: int, hidden_dims: Sequence[int], initial_std: float) -> None:
        super().__init__()
        self.hidden_dims = tuple(hidden_dims)
        self.mean_network = mlp(observation_dim, hidden_dims, action_dim)
        self.log_std = nn.Parameter(torch.full((action_dim,), math.log(initial_std)))

    def forward(self, observation: torch.Tensor) -> Tuple[torch.Tensor, torch.Tensor]:
        """(..., O) -> mean and standard deviation, both (..., A)."""
        mean = self.mean_network(observation)
        return mean, self.std().expand_as(mean)

    def std(self) -> torch.Tensor:
        """Standard deviation (A,), inside its bounds."""
        return self.log_std.clamp(*LOG_STD_BOUNDS).exp()

    def log_prob(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Log density of actions (..., A) in observations (..., O), shape (...)."""
        mean, std = self(observation)
        return gaussian_log_prob(action, mean, std)


class ValueNetwork(nn.Module):
    """State value V(observation)."""

    def __init__(self, observation_dim: int, hidden_dims: Sequence[int]) -> None:
        super().__init__()
        self.hidden_dims = tuple(hidden_dims)
        self.network = mlp(observation_dim, hidden_dims, 1)

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        """(..., O) -> (...)."""
        return self.network(observation).squeeze(-1)


class QNetwork(nn.Module):
    """Action value Q(observation, action)."""

    def __init__(self, observation_dim: int, action_dim: int, hidden_dims: Sequence[int]) -> None:
        super().__init__()
        self.hidden_dims = tuple(hidden_dims)
        self.network = mlp(observation_dim + action_dim, hidden_dims, 1)

    def forward(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """(..., O), (..., A) -> (...)."""
        return self.network(torch.cat([observation, action], dim=-1)).squeeze(-1)


def gaussian_log_prob(value: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Log density of a diagonal Gaussian, summed over the last axis.

    log N(x; m, s) = -1/2 sum_j [ ((x_j - m_j) / s_j)^2 + 2 log s_j + log 2 pi ]
    """
    return -0.5 * (((value - mean) / std).square() + 2.0 * std.log() + math.log(2.0 * math.pi)).sum(-1)
