"""What every stage of the learner shares: checked settings, a progress callback and one seeded source of randomness."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from torch import nn

from robot_configs.errors import Go1Error

_Network = TypeVar("_Network", bound=nn.Module)


class SettingsError(Go1Error):
    """A hyper-parameter lies outside the range in which its algorithm means anything."""


class Progress(Protocol):
    """Called once a unit of work; the learner never prints. A front end may draw a bar from it or write it to a log."""

    def __call__(self, stage: str, done: int, total: int, figures: dict[str, float]) -> None:
        """`done` of `total` units of `stage` are finished; `figures` holds that unit's numbers by name."""


def no_progress(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
    """Ignore progress; the default of every stage."""


def require(settings: object, field: str, lower: float, upper: float = math.inf) -> None:
    """Raise SettingsError unless the field of a settings dataclass lies in [lower, upper]."""
    value = getattr(settings, field)
    if not lower <= value <= upper:
        raise SettingsError(
            expected=f"{type(settings).__name__}.{field} in [{lower:g}, {upper:g}]",
            found=f"{value!r}",
            remedy="Correct the setting where it is constructed.",
        )


def settings_record(settings: Any) -> dict[str, Any]:
    """The resolved settings as JSON-ready values, to be written beside a run and into the trainer state."""
    return {"type": type(settings).__name__, **dataclasses.asdict(settings)}


def seeded_generator(seed: int) -> torch.Generator:
    """The one CPU generator a run draws from; nothing in the learner uses torch's global random state for its data."""
    return torch.Generator().manual_seed(seed)


def seeded_network(build: Callable[[], _Network], generator: torch.Generator) -> _Network:
    """A network whose initial weights come from the run's generator, leaving torch's global state as it was."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
