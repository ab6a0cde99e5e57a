"""Action values side by side as one batch of matrices, and the slow copy that follows them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from policy.uni_o4.dynamics import MemberLinear


class ActionValues(nn.Module):
    """E action values: (N, O) or (E, N, O), (N, A) or (E, N, A) -> (E, N)."""

    def __init__(
        self,
        count: int,
        input_dim: int,
        hidden_dims: tuple[int, ...],
        activation: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        widths = [input_dim, *hidden_dims, 1]
        self.count, self.activation = count, activation
        self.layers = nn.ModuleList(
            MemberLinear(count, before, after, generator) for before, after in zip(widths[:-1], widths[1:], strict=True)
        )

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        sides = (each.expand(self.count, *each.shape[-2:]) for each in (observation, action))
        value = torch.cat(list(sides), dim=-1)
        for layer in self.layers[:-1]:
            value = self.activation(layer(value))
        return self.layers[-1](value).squeeze(-1)


def follow(slow: nn.Module, fast: nn.Module, rate: float) -> None:
    """slow <- (1 - rate) slow + rate fast, all parameters at once."""
    move = get_ema_multi_avg_fn(1.0 - rate)
    move(list(slow.parameters()), list(fast.parameters()), 0)
