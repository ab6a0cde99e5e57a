"""Multi-layer perceptrons in other stacks' files: found, checked against what the preset needs, filled into ours.

All of them are torch's `nn.Sequential` of linear layers with an activation between each two, so linear layer k is
entry 2k. A state_dict does not tell the activation: that it is ELU is the preset's word, which `samples` can check.
"""

from __future__ import annotations

import re
from typing import Any, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from torch import nn

from policy.importers.import_error import PolicyImportError
from policy.importers.restricted_unpickler import ScriptObject
from policy.importers.torch_archive import require_finite

_SEQUENTIAL = "torch.nn.modules.container.Sequential"
_LINEAR = "torch.nn.modules.linear.Linear"
_ELU = "torch.nn.modules.activation.ELU"


class LinearLayer(NamedTuple):
    """weight (outputs, inputs), bias (outputs,), both float32."""

    weight: np.ndarray
    bias: np.ndarray


class Perceptron(NamedTuple):
    """Linear layers from input to output; `place` says where they were found, for errors."""

    place: str
    layers: Tuple[LinearLayer, ...]

    @property
    def inputs(self) -> int:
        return int(self.layers[0].weight.shape[1])

    @property
    def outputs(self) -> int:
        return int(self.layers[-1].weight.shape[0])

    @property
    def hidden_dims(self) -> Tuple[int, ...]:
        return tuple(int(layer.weight.shape[0]) for layer in self.layers[:-1])

    @property
    def widths(self) -> str:
        """As people write them: 290-512-256-128-12."""
        return "-".join(str(width) for width in (self.inputs, *self.hidden_dims, self.outputs))


def perceptron_from_state(state: Mapping[str, Any], prefix: str, file: str) -> Perceptron:
    """The network whose entries are named `<prefix>0.weight`, `<prefix>0.bias`, `<prefix>2.weight`, ...

    Raises:
        PolicyImportError: no entry of that name, a gap, a missing bias, shapes that do not follow each other.
    """
    pattern = re.compile(re.escape(prefix) + r"(\d{1,3})\.(weight|bias)")
    found = {match.groups(): name for name in state if (match := pattern.fullmatch(name))}
    indices = sorted({int(index) for index, _ in found})
    names = [f"{prefix}{index}.{kind}" for index in indices for kind in ("weight", "bias")]
    missing = [name for name in names if name not in state]
    if not indices or missing:
        raise PolicyImportError(
            f"the entries {prefix}0.weight, {prefix}0.bias, {prefix}2.weight, ... in {file}",
            f"no {', '.join(missing)}" if missing else f"only {_some(state)}",
            "Give the file and the preset that belong together.",
        )
    if indices != list(range(0, 2 * len(indices), 2)):
        raise PolicyImportError(
            f"linear layers with one activation between each two in {file}: entries 0, 2, 4, ... of {prefix}*",
            f"{', '.join(map(str, indices))}",
            "Other architectures (normalisation layers, no activation) are not among the presets.",
        )
    layers = [(state[f"{prefix}{index}.weight"], state[f"{prefix}{index}.bias"]) for index in indices]
    return _checked(layers, f"{prefix}* of {file}")


def perceptron_from_script(module: ScriptObject, file: str) -> Perceptron:
    """The network of a TorchScript archive that holds a Sequential of Linear and ELU.

    Raises:
        PolicyImportError: another module, or another activation: the class of every one is in the archive.
    """
    if module.class_name != _SEQUENTIAL:
        _refuse_module(_SEQUENTIAL, module.class_name, file)
    children: List[ScriptObject] = []
    while str(len(children)) in module.attributes:
        child = module.attributes[str(len(children))]
        wanted = _ELU if len(children) % 2 else _LINEAR
        name = child.class_name if isinstance(child, ScriptObject) else type(child).__name__
        if name != wanted:
            _refuse_module(f"{wanted} as entry {len(children)}", name, file)
        children.append(child)
    if len(children) % 2 == 0:
        _refuse_module("a Linear as the last entry", f"{len(children)} entries", file)
    layers = [(child.attributes.get("weight"), child.attributes.get("bias")) for child in children[::2]]
    return _checked(layers, file)


def require_widths(network: Perceptron, inputs: int, outputs: int, meaning: str) -> None:
    """Refuse a network of other inputs or outputs than the preset has.

    Raises:
        PolicyImportError
    """
    for what, wanted, found in (("inputs", inputs, network.inputs), ("outputs", outputs, network.outputs)):
        if wanted != found:
            raise PolicyImportError(
                f"{wanted} {what} ({meaning}) of {network.place}",
                f"{found} (the network is {network.widths})",
                "Choose the preset that the policy was trained with, or describe its observation in a contract.",
            )


def fill(target: nn.Sequential, source: Perceptron) -> None:
    """Copy weights into one of our networks, which was built with the same widths."""
    state = {}
    for index, layer in enumerate(source.layers):
        state[f"{2 * index}.weight"] = torch.from_numpy(layer.weight)
        state[f"{2 * index}.bias"] = torch.from_numpy(layer.bias)
    target.load_state_dict(state)


def _checked(pairs: Sequence[Tuple[Any, Any]], place: str) -> Perceptron:
    layers = []
    width = None
    for index, (weight, bias) in enumerate(pairs):
        for kind, array, rank in (("weight", weight, 2), ("bias", bias, 1)):
            if not isinstance(array, np.ndarray) or array.ndim != rank:
                shape = array.shape if isinstance(array, np.ndarray) else type(array).__name__
                raise PolicyImportError(
                    f"a {kind} of rank {rank} in layer {index} of {place}", f"{shape}", "Save the policy again."
                )
            require_finite(array, f"the {kind} of layer {index} of {place}")
        if bias.shape != weight.shape[:1] or (width is not None and weight.shape[1] != width):
            raise PolicyImportError(
                f"layer {index} of {place} with {width or weight.shape[1]} inputs and a bias for each output",
                f"weight {weight.shape}, bias {bias.shape}",
                "The file is damaged, or of another architecture.",
            )
        width = weight.shape[0]
        layers.append(LinearLayer(weight, bias))
    return Perceptron(place, tuple(layers))


def _refuse_module(expected: str, found: str, file: str) -> None:
    raise PolicyImportError(
        f"{expected} in {file}", f"{found:.120}", "Only the architectures of the presets can be rebuilt."
    )


def _some(state: Mapping[str, Any]) -> str:
    names = sorted(str(name) for name in state)
    return f"{', '.join(names[:8]):.200}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
