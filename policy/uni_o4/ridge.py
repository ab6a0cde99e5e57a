"""Ridge regression in closed form: the line under the transition model, and the baseline that it is held to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE_PENALTY = 1e-3  # of standardised inputs, a row: enough against collinear columns, too little to bias


@dataclass(frozen=True)
class Ridge:
    """target ~ ((features - input_mean) / input_std) @ weight + bias; (F,), (F,), (F, T), (T,) float32."""

    input_mean: Tensor
    input_std: Tensor
    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """(N, F) -> (N, T)."""
        return ((features - self.input_mean) / self.input_std) @ self.weight + self.bias


def fit_ridge(features: Tensor, target: Tensor) -> Ridge:
    """Fit (N, F) -> (N, T), in double precision inside."""
    exact, wanted = features.double(), target.double()
    mean, std = exact.mean(0), column_spread(exact)
    standard = (exact - mean) / std
    penalty = RIDGE_PENALTY * len(features) * torch.eye(features.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(standard.T @ standard + penalty, standard.T @ (wanted - wanted.mean(0)))
    return Ridge(mean.float(), std.float(), weight.float(), wanted.mean(0).float())


def column_spread(values: Tensor) -> Tensor:
    """Standard deviation of each column (N, F) -> (F,); one where a column never changes, so as not to blow it up."""
    spread = values.std(0, unbiased=False)
    return torch.where(spread > 1e-6, spread, torch.ones_like(spread))
