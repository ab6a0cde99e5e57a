"""Where the members of a transition model disagree more than they do on the logs, nothing is known: branches end there.

After the pessimistic world of MOReL (Kidambi et al., NeurIPS 2020), with nothing in the place of its penalty: what is
unknown earns nothing more, so that a policy has no reason to go there as long as it expects to earn something. Where it
expects less than nothing, it has.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from policy.transitions import Transitions
from policy.uni_o4.dynamics import dynamics_features
from policy.uni_o4.ensemble_rollouts import TransitionModel, ask_everyone

_ROWS = 20_000
"""Logged steps that the limit is taken from."""


@dataclass(frozen=True)
class DisagreementLimit:
    """When members that answer the same question are too far apart.

    Attributes:
        scale: (P,) of each physical column. limit: of the disagreement, in units of the scale.
    """

    scale: Tensor
    limit: float

    def __call__(self, outcome: Tensor) -> Tensor:
        """Outcomes (E, N, P + 1) of every member -> (N,) bool; see `ensemble_rollouts.Halt`."""
        return disagreement(outcome, self.scale) > self.limit

    @staticmethod
    @torch.no_grad()
    def of_logs(
        model: TransitionModel, scale: Tensor, transitions: Transitions, quantile: float, generator: torch.Generator
    ) -> DisagreementLimit:
        """The limit that this share of the logged steps keeps to."""
        rows = torch.randperm(len(transitions), generator=generator)[:_ROWS]
        physical = transitions.physical[rows]
        features = dynamics_features(
            transitions.observation[rows], physical, transitions.action[rows], transitions.past[rows]
        )
        outcome = ask_everyone(model, features, physical).outcome
        return DisagreementLimit(scale, float(disagreement(outcome, scale).quantile(quantile)))


def disagreement(outcome: Tensor, scale: Tensor) -> Tensor:
    """sqrt(mean_j (std_e(outcome_ej) / scale_j)^2) over the physical columns: (E, N, P + 1), (P,) -> (N,)."""
    return (outcome[..., :-1].std(0) / scale).square().mean(-1).sqrt()
