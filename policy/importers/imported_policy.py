"""What every importer hands over, and how a network and its standard deviation become an actor."""

from __future__ import annotations

import math
from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch

from policy.adaptation_actor import AdaptationActor
from policy.importers.import_error import PolicyImportError
from policy.importers.linear_layers import Perceptron, fill
from policy.networks import LOG_STD_BOUNDS, GaussianActor

_LEAST_STD, _LARGEST_STD = (math.exp(bound) for bound in LOG_STD_BOUNDS)


class ImportedPolicy(NamedTuple):
    """Networks, deviation and normaliser as they were in the files.

    Attributes:
        body: from the normalised observation (and the estimate) to the mean action.
        adaptation: from the normalised observation to the estimate; None where there is none.
        std: of the actions in the policy's order, (12,); None where the files do not hold it.
        observation_mean, observation_std: of the normaliser, (O,) each; empty where there is none.
    """

    body: Perceptron
    adaptation: Optional[Perceptron]
    std: Optional[np.ndarray]
    observation_mean: Tuple[float, ...] = ()
    observation_std: Tuple[float, ...] = ()


def build_actor(policy: ImportedPolicy, observation_dim: int, std: Optional[float]) -> GaussianActor:
    """Our actor with the imported weights.

    Args:
        std: of all actions, in place of what the files say; needed where they say nothing.

    Raises:
        PolicyImportError: no standard deviation at all, or one that our Gaussian can not represent.
    """
    deviation = policy.std if std is None else np.full(policy.body.outputs, std)
    if deviation is None:
        raise PolicyImportError(
            f"the standard deviation of the actions, beside the network of {policy.body.place}",
            "none: these files hold the mean alone",
            "Give --std, 0.2 say: what an exploring log departs by. The mean, which walks, does not depend on it.",
        )
    if not np.all((deviation >= _LEAST_STD) & (deviation <= _LARGEST_STD)):
        raise PolicyImportError(
            f"standard deviations of the actions from {_LEAST_STD:g} to {_LARGEST_STD:g}",
            f"{np.min(deviation):g} to {np.max(deviation):g}",
            "Give --std to put one in their place; the mean does not depend on it.",
        )
    body, adaptation = policy.body, policy.adaptation
    if adaptation is None:
        actor = GaussianActor(observation_dim, body.outputs, body.hidden_dims, initial_std=1.0)
    else:
        actor = AdaptationActor(
            observation_dim, body.outputs, body.hidden_dims, 1.0, adaptation.hidden_dims, adaptation.outputs
        )
        fill(actor.adaptation_network, adaptation)
    fill(actor.mean_network, body)
    with torch.no_grad():
        actor.log_std.copy_(torch.from_numpy(np.log(deviation)))
    return actor.requires_grad_(False)


def checked_std(entry: object, actions: int, what: str) -> np.ndarray:
    """A vector of one number for each action, float64.

    Raises:
        PolicyImportError: of another shape, or not finite.
    """
    if not isinstance(entry, np.ndarray) or entry.shape != (actions,) or not np.all(np.isfinite(entry)):
        found = f"shape {entry.shape}" if isinstance(entry, np.ndarray) else type(entry).__name__
        raise PolicyImportError(f"{actions} finite numbers in {what}", found, "Save the policy again.")
    return entry.astype(np.float64)


def require_files(files: Sequence[object], counts: Tuple[int, ...], what: str) -> None:
    """Refuse another number of files than the format consists of.

    Raises:
        PolicyImportError
    """
    if len(files) not in counts:
        raise PolicyImportError(
            f"{' or '.join(map(str, counts))} files: {what}", f"{len(files)}", "Name the policy's files, no others."
        )
