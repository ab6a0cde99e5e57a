"""Checkpoints of rsl_rl: of its 5.x (`actor_state_dict`), and of the 1.x that legged_gym uses (`model_state_dict`).

Read off rsl_rl 5.5.1 (`MLPModel`, `EmpiricalNormalization`, `GaussianDistribution`) and 1.0.2 (`ActorCritic`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from policy.contract import PolicyContract
from policy.importers.import_error import PolicyImportError
from policy.importers.imported_policy import ImportedPolicy, checked_std, require_files
from policy.importers.linear_layers import perceptron_from_state, require_widths
from policy.importers.torch_archive import read_checkpoint, require_finite

NORMALISER_EPSILON = 0.01
"""EmpiricalNormalization divides by its deviation plus this; it is not in the checkpoint."""

_ACTOR, _MODEL = "actor_state_dict", "model_state_dict"
_OTHER_MODELS = {"rnn.": "a recurrent actor", "memory_a.": "a recurrent actor", "cnns.": "a convolutional actor"}


def read_rsl_rl(files: Sequence[Path], contract: PolicyContract) -> ImportedPolicy:
    """The actor of a checkpoint, its normaliser and its deviation.

    Raises:
        PolicyImportError: another kind of file or model, entries that are missing or unknown, other widths.
    """
    require_files(files, (1,), "the checkpoint")
    file = files[0].name
    content = read_checkpoint(files[0]).content
    state, prefix = _actor_state(content, file)
    for start, kind in _OTHER_MODELS.items():
        if any(name.startswith(start) for name in state):
            raise PolicyImportError(f"a multi-layer perceptron in {file}", kind, "Train the policy as an MLPModel.")
    body = perceptron_from_state(state, prefix, file)
    if body.outputs == 2 * contract.action_dim:
        raise PolicyImportError(
            f"one output for each of {contract.action_dim} joints, and a deviation beside the network, in {file}",
            f"{body.outputs} outputs: two numbers an action (a deviation that depends on the state, or a Beta)",
            "Train with GaussianDistribution; a contract has no other.",
        )
    meaning = f"{contract.frame_dim} values x {contract.history_length} moments"
    require_widths(body, contract.observation_dim, contract.action_dim, meaning)
    std, std_names = _std(state, contract.action_dim, file)
    mean, deviation, normaliser_names = _normaliser(state, contract.observation_dim, file)
    layers = {f"{prefix}{2 * index}.{kind}" for index in range(len(body.layers)) for kind in ("weight", "bias")}
    unknown = sorted(set(state) - layers - std_names - normaliser_names)
    if unknown:
        raise PolicyImportError(
            f"an actor of layers, deviation and normaliser alone in {file}",
            f"also {', '.join(unknown):.200}",
            "What these entries do to the action is not known here: export a plain MLPModel.",
        )
    return ImportedPolicy(body, None, std, mean, deviation)


def _actor_state(content: Mapping[str, Any], file: str) -> Tuple[Dict[str, Any], str]:
    """The actor's entries and the prefix of its layers; the critic's are left aside."""
    if _ACTOR in content:
        state, prefix = content[_ACTOR], "mlp."
    elif _MODEL in content:
        state, prefix = content[_MODEL], "actor."
    else:
        raise PolicyImportError(
            f"{_ACTOR} (rsl_rl 5.x) or {_MODEL} (rsl_rl 1.x) in {file}",
            f"{', '.join(sorted(map(str, content))):.200}",
            "Give a checkpoint that rsl_rl's runner saved.",
        )
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise PolicyImportError(f"a state_dict of named tensors in {file}", type(state).__name__, "Save it again.")
    if "obs_norm_state_dict" in content:
        raise PolicyImportError(
            f"a normaliser inside the actor's own state in {file}, or none",
            "obs_norm_state_dict beside it (rsl_rl 2.x)",
            "Load the policy into rsl_rl 5.x and save it there.",
        )
    return {name: value for name, value in state.items() if not name.startswith("critic.")}, prefix


def _std(state: Mapping[str, Any], actions: int, file: str) -> Tuple[Optional[np.ndarray], set[str]]:
    for name in ("distribution.std_param", "std"):
        if name in state:
            return checked_std(state[name], actions, f"{name} of {file}"), {name}
    for name in ("distribution.log_std_param", "log_std"):
        if name in state:
            return np.exp(checked_std(state[name], actions, f"{name} of {file}")), {name}
    return None, set()


def _normaliser(
    state: Mapping[str, Any], width: int, file: str
) -> Tuple[Tuple[float, ...], Tuple[float, ...], set[str]]:
    """Mean and divisor of (x - mean) / (std + epsilon), and the names that were understood."""
    names = {f"obs_normalizer.{part}" for part in ("_mean", "_var", "_std", "count")}
    if not names & set(state):
        return (), (), set()
    values = []
    for part in ("_mean", "_std"):
        array = state.get(f"obs_normalizer.{part}")
        if not isinstance(array, np.ndarray) or array.shape != (1, width):
            raise PolicyImportError(
                f"obs_normalizer.{part} of shape {(1, width)} in {file}",
                f"{array.shape if isinstance(array, np.ndarray) else 'none'}",
                "Choose the preset that the policy was trained with.",
            )
        require_finite(array, f"obs_normalizer.{part} of {file}")
        values.append(array[0])
    mean, std = values
    return tuple(mean.tolist()), tuple((std + np.float32(NORMALISER_EPSILON)).tolist()), names
