"""How much a policy's mean action changes from step to step, over the states of a data set.

The states are the logged ones, whoever made them: two policies are asked at the same places, so what differs is theirs.
"""

from __future__ import annotations

import torch

from policy.networks import GaussianActor
from policy.transitions import Transitions


@torch.no_grad()
def action_roughness(actor: GaussianActor, transitions: Transitions) -> float:
    """Mean over the steps of |mu(next) - mu(now)|^2, summed over the joints [policy units squared]."""
    change = actor(transitions.next_observation)[0] - actor(transitions.observation)[0]
    return float(change.square().sum(1).mean())
