"""Everything that training needs to go on as if it had never stopped: one safetensors file with a JSON header.

Weights, optimiser moments and random state are tensors; step counts, reward scale, hashes and settings are JSON in the
header of the same file. The file appears whole or not at all, so a kill at any moment leaves the last state readable.
Nothing is pickled, so a state from elsewhere can carry no code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from policy.whole_files import whole_file
from robot_configs.errors import Go1Error

FORMAT_VERSION = 1
_HEADER_KEY = "trainer_state"
_DIGEST_KEY = "content_sha256"


class TrainerStateError(Go1Error):
    """A trainer state that cannot be read, or belongs to other data or settings than the run that asks for it."""


@dataclass(frozen=True)
class TrainerState:
    """Tensors by dotted name, and the rest as JSON values."""

    tensors: Mapping[str, Tensor]
    record: Mapping[str, Any]


def save_trainer_state(path: Path, state: TrainerState) -> None:
    """Write atomically: into a file beside it, flushed to disk, then renamed."""
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in state.tensors.items()}
    record = json.loads(json.dumps({"format_version": FORMAT_VERSION, **state.record}))
    # One entry: safetensors writes several in an order of chance, and equal states would not be equal files.
    header = {_HEADER_KEY: json.dumps({**record, _DIGEST_KEY: _digest(record, tensors)}, sort_keys=True)}
    with whole_file(path) as partial:
        save_file(tensors, str(partial), metadata=header)


def load_trainer_state(path: Path) -> TrainerState:
    """Read a state.

    Raises:
        TrainerStateError: no such file, not a trainer state, damaged, or of another format version.
    """
    remedy = "Point to a file that a training run wrote, or start anew without it."
    try:
        with safe_open(str(path), framework="pt") as stream:
            header = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}
    except (OSError, SafetensorError) as error:
        raise TrainerStateError("a trainer state in safetensors format", f"{path}: {error}", remedy) from None
    if _HEADER_KEY not in header:
        raise TrainerStateError(f"a header with the key {_HEADER_KEY}", f"{path} without it", remedy)
    record = json.loads(header[_HEADER_KEY])
    written = record.pop(_DIGEST_KEY, None)  # states of earlier versions have none
    if written is not None and written != _digest(record, tensors):
        raise TrainerStateError(f"content with the SHA-256 {written}", f"{path} with another: damaged", remedy)
    found = record.pop("format_version", None)
    if found != FORMAT_VERSION:
        raise TrainerStateError(f"format version {FORMAT_VERSION}", f"{found} in {path}", remedy)
    return TrainerState(tensors, record)


def _digest(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the record, as it reads back, and every tensor with its name, type and shape."""
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def require_match(record: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse a state whose data or settings are not those of the run that wants to continue it.

    Raises:
        TrainerStateError: names the first entry that differs.
    """
    for name, wanted in expected.items():
        wanted = json.loads(json.dumps(wanted))  # tuples are lists on the other side
        if record.get(name) != wanted:
            raise TrainerStateError(
                f"a trainer state with {name} = {wanted!r}",
                f"{record.get(name)!r}",
                "Continue with the same data and settings, or start anew in another folder.",
            )


# ---- Names -----------------------------------------------------------------------------------------------------------


# ---- Modules, optimisers and generators as tensors -------------------------------------------------------------------


def pack_module(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers under `prefix.`."""
    return {f"{prefix}.{name}": tensor for name, tensor in module.state_dict().items()}


def unpack_module(prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load what `pack_module` packed; shapes and names must match exactly."""
    start = f"{prefix}."
    found = {name[len(start) :]: tensor for name, tensor in tensors.items() if name.startswith(start)}
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    if wanted != shapes:
        raise TrainerStateError(
            f"the tensors of {prefix}: {wanted}", f"{shapes}", "Use the network widths that the state was saved with."
        )
    module.load_state_dict(found)


def pack_adam(prefix: str, optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    """Step count and both moments of every parameter that has been stepped, under `prefix.<index>.`."""
    packed = {}
    for index, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            packed[f"{prefix}.{index}.{name}"] = torch.as_tensor(value)
    return packed


def unpack_adam(prefix: str, optimizer: torch.optim.Adam, tensors: Mapping[str, Tensor]) -> None:
    """Load what `pack_adam` packed; rates and betas stay those of the optimiser given."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(f"{prefix}."):
            index, moment = name[len(prefix) + 1 :].split(".")
            state.setdefault(int(index), {})[moment] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
