"""Observations and actions recorded in the other stack: the one proof that an imported network is the same function.

A file of weights does not say which activation was between its layers, nor what small number its normaliser added. A
few samples do: `numpy.savez("samples.npz", observation=..., action=...)` beside the original policy.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch

from policy.graph import PolicyGraph
from policy.importers.import_error import PolicyImportError

TOLERANCE = 1e-4
"""Relative above one: two float32 networks of this size differ in the last digits."""


@torch.no_grad()
def check_samples(graph: PolicyGraph, path: Path) -> int:
    """Compare the actor's mean with what was recorded.

    Args:
        path: an .npz with `observation` (N, O), stacked but before any normaliser, and `action` (N, 12), the mean
            action in the policy's joint order.

    Returns:
        The number of samples.

    Raises:
        PolicyImportError: the file can not be read, or the actions differ.
    """
    contract = graph.contract
    observation = _array(path, "observation", contract.observation_dim)
    action = _array(path, "action", contract.action_dim)
    if len(observation) != len(action) or len(action) == 0:
        raise PolicyImportError(
            f"an action for each observation in {path.name}", f"{len(observation)} and {len(action)}", "Record anew."
        )
    normalised = (torch.from_numpy(observation) - graph.observation_mean) / graph.observation_std
    error = np.abs(graph.actor(normalised)[0].numpy() - action)
    if not np.all(error <= TOLERANCE * np.maximum(1.0, np.abs(action))):
        raise PolicyImportError(
            f"the recorded actions of {path.name} within {TOLERANCE:g}",
            f"a difference of {np.max(error):.3g}",
            "Activation, normaliser, order or history are not those of the preset: do not use this import.",
        )
    return len(action)


def _array(path: Path, name: str, width: int) -> np.ndarray:
    try:
        content = np.load(path, allow_pickle=False)
        if not isinstance(content, np.lib.npyio.NpzFile):
            raise ValueError("one array alone")
        with content:
            array = np.asarray(content[name], dtype=np.float32)
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise PolicyImportError(
            f"{name} in {path.name}, an .npz", f"{error}", "Write it by numpy.savez, with arrays of numbers."
        ) from None
    if array.ndim != 2 or array.shape[1] != width:
        raise PolicyImportError(f"{name} of shape (N, {width}) in {path.name}", f"{array.shape}", "Record it anew.")
    return array
