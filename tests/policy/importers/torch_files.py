"""Files as the other stacks write them, with random weights, and ways to damage them."""

import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from policy.networks import mlp


def save_script(network: nn.Module, path: Path) -> Path:
    """As walk-these-ways does: torch.jit.script of a Sequential."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(network).save(str(path))
    return path


def save_checkpoint(content: Any, path: Path) -> Path:
    torch.save(content, path)
    return path


def prefixed(prefix: str, network: nn.Module) -> dict[str, torch.Tensor]:
    return {f"{prefix}{name}": value for name, value in network.state_dict().items()}


def perceptron(*widths: int) -> nn.Sequential:
    """Random, with biases large enough to be seen when they are lost."""
    network = mlp(widths[0], widths[1:-1], widths[-1])
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network


def rezipped(path: Path, change: Callable[[dict[str, bytes]], object], compression: int = zipfile.ZIP_STORED) -> Path:
    """The same archive with its records changed in place; names are those below its folder."""
    with zipfile.ZipFile(path) as archive:
        folder = archive.namelist()[0].partition("/")[0]
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(records)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(f"{folder}/{name}", content)
    path.write_bytes(stream.getvalue())
    return path
