"""Networks of one shape side by side as one batch of matrices, and the slow copy that follows them.

    E networks of their own      one batch
    (N, in) -> (N, out), E times  (E, N, in) @ (E, in, out) -> (E, N, out)

One product, one gradient and one optimiser step do what a loop over the members would; nothing flows between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MemberLinear(nn.Module):
    """One affine layer for every member at once: (E, N, in) -> (E, N, out)."""

    def __init__(self, members: int, input_dim: int, output_dim: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(input_dim)
        weight = torch.empty(members, input_dim, output_dim).uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(members, 1, output_dim))

    def forward(self, value: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, value, self.weight)


class MemberNetworks(nn.Module):
    """E multi-layer perceptrons of the same widths."""

    def __init__(
        self,
        count: int,
        input_dim: int,
        hidden_dims: Sequence[int],
        output_dim: int,
        activation: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        widths = [input_dim, *hidden_dims, output_dim]
        self.count, self.activation = count, activation
        self.layers = nn.ModuleList(
            MemberLinear(count, before, after, generator) for before, after in zip(widths[:-1], widths[1:], strict=True)
        )

    def outputs(self, value: Tensor) -> Tensor:
        """(N, in) or (E, N, in) -> (E, N, out)."""
        value = value.expand(self.count, *value.shape[-2:])
        for layer in self.layers[:-1]:
            value = self.activation(layer(value))
        output: Tensor = self.layers[-1](value)
        return output

    @torch.no_grad()
    def read_from(self, networks: Sequence[nn.Sequential]) -> None:
        """Take over the weights of E networks of the same widths (`policy.networks.mlp`)."""
        for member, network in enumerate(networks):
            for layer, linear in zip(self._member_layers(), _linear_layers(network), strict=True):
                layer.weight[member].copy_(linear.weight.T)
                layer.bias[member, 0].copy_(linear.bias)

    @torch.no_grad()
    def write_to(self, networks: Sequence[nn.Sequential]) -> None:
        """Put the weights back into E networks of the same widths."""
        for member, network in enumerate(networks):
            for layer, linear in zip(self._member_layers(), _linear_layers(network), strict=True):
                linear.weight.copy_(layer.weight[member].T)
                linear.bias.copy_(layer.bias[member, 0])

    def _member_layers(self) -> list[MemberLinear]:
        return [layer for layer in self.layers if isinstance(layer, MemberLinear)]


class ActionValues(MemberNetworks):
    """E action values: (N, O) or (E, N, O), (N, A) or (E, N, A) -> (E, N)."""

    def __init__(
        self,
        count: int,
        input_dim: int,
        hidden_dims: Sequence[int],
        activation: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> None:
        super().__init__(count, input_dim, hidden_dims, 1, activation, generator)

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        sides = [each.expand(self.count, *each.shape[-2:]) for each in (observation, action)]
        return self.outputs(torch.cat(sides, dim=-1)).squeeze(-1)


class BestMembers:
    """Each member's weights at its own best held-out error.

    Attributes:
        error: (E,), the least of each so far. last_gain: the epoch in which any of them last fell.
    """

    def __init__(self, model: nn.Module, count: int) -> None:
        self._model = model
        self._best = {name: value.detach().clone() for name, value in model.named_parameters()}
        self.error = torch.full((count,), math.inf)
        self.last_gain = 0

    def offer(self, error: Tensor, epoch: int) -> None:
        """Keep the members whose error (E,) is less than ever before."""
        better = error < self.error
        if not bool(better.any()):
            return
        self.error = torch.where(better, error, self.error)
        self.last_gain = epoch
        for name, value in self._model.named_parameters():
            self._best[name][better] = value.detach()[better]

    def tensors(self) -> dict[str, Tensor]:
        """What was kept so far, for `put` to put back into another of the same model."""
        return {**self._best, "error": self.error, "last_gain": torch.tensor(self.last_gain)}

    def put(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        self._best = {name: tensors[name].clone() for name in self._best}
        self.error, self.last_gain = tensors["error"].clone(), int(tensors["last_gain"])

    def restore(self) -> None:
        """Give every member the weights that were kept of it."""
        self._model.load_state_dict({**self._model.state_dict(), **self._best})


def follow(slow: nn.Module, fast: nn.Module, rate: float) -> None:
    """slow <- (1 - rate) slow + rate fast, all parameters at once."""
    move = get_ema_multi_avg_fn(1.0 - rate)
    move(list(slow.parameters()), list(fast.parameters()), 0)


def _linear_layers(network: nn.Sequential) -> list[nn.Linear]:
    return [layer for layer in network if isinstance(layer, nn.Linear)]
