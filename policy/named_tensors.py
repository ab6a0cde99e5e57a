"""Groups of tensors in one flat dictionary, by what their names begin with. For Isaac Gym's Python, too."""

from __future__ import annotations

from typing import Dict, Mapping

from torch import Tensor


def under(prefix: str, tensors: Mapping[str, Tensor]) -> Dict[str, Tensor]:
    """The same tensors with `prefix.` before their names."""
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    """Those that `under` has put below the prefix, under their own names again."""
    start = f"{prefix}."
    return {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}
