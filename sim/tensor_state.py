"""The tensors that an object holds, out as a flat dictionary and back in: what a checkpoint keeps of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch
from torch import Tensor

from robot_configs.errors import Go1Error


class TensorStateError(Go1Error):
    """Tensors that do not fit the object that they are put into."""


def tensors_of(holder: object) -> dict[str, Tensor]:
    """Copies of all tensors among the attributes, so that one that is added later can not be forgotten.

    A tensor goes under its attribute's name, one in a dataclass under `attribute.field`, a generator's state under the
    generator's name.
    """
    found: dict[str, Tensor] = {}
    for name, value in vars(holder).items():
        if isinstance(value, torch.Generator):
            found[name] = value.get_state()
        elif isinstance(value, Tensor):
            found[name] = value.detach().clone()
        elif dataclasses.is_dataclass(value):
            parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            tensors = {f"{name}.{part}": tensor for part, tensor in parts.items() if isinstance(tensor, Tensor)}
            found.update({part: tensor.detach().clone() for part, tensor in tensors.items()})
    return found


def put_tensors(holder: object, tensors: Mapping[str, Tensor]) -> None:
    """Give an object back what `tensors_of` took from one like it.

    Raises:
        TensorStateError: other names, shapes or types than the object's own.
    """
    own = tensors_of(holder)
    for name in sorted(own.keys() | tensors.keys()):
        here, there = _kind(own.get(name)), _kind(tensors.get(name))
        if here != there:
            kind = type(holder).__name__
            raise TensorStateError(f"{kind}.{name}: {here}", there, "Go on with the code that wrote the checkpoint.")
    for name, value in list(vars(holder).items()):
        if isinstance(value, torch.Generator):
            value.set_state(tensors[name])
        elif isinstance(value, Tensor):
            setattr(holder, name, tensors[name].clone())
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = [field.name for field in dataclasses.fields(value) if f"{name}.{field.name}" in tensors]
            if parts:
                fresh = {part: tensors[f"{name}.{part}"].clone() for part in parts}
                setattr(holder, name, dataclasses.replace(value, **fresh))


def _kind(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else f"{tensor.dtype} {tuple(tensor.shape)}"
