"""How a stage of the learner is kept between two pieces of its work, so that a killed run goes on as if undisturbed.

A stage draws what it needs before its first piece, asks its keeper for what was kept, goes on from there, and offers
its state after every piece. Where the states lie, and how often one is written, is the keeper's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Protocol

import torch
from torch import Tensor, nn

from policy.trainer_state import TrainerState, pack_adam, pack_module, unpack_adam, unpack_module


class Keeper(Protocol):
    """Keeps one stage of one run, and with it the random state of the run's generator."""

    def kept(self) -> Optional[TrainerState]:
        """What was kept last; the generator is put where it was then. None, and no change, where there is nothing."""

    def keep(self, state: Callable[[], TrainerState], finished: bool = False) -> None:
        """Keep the stage as it is between two pieces; one that is not finished may be passed over."""


class NothingKept:
    """The keeper of a run that begins anew where it was killed."""

    def kept(self) -> Optional[TrainerState]:
        return None

    def keep(self, state: Callable[[], TrainerState], finished: bool = False) -> None:
        pass


NOTHING_KEPT = NothingKept()
"""The default of every stage."""


@dataclass(frozen=True)
class TrainingParts:
    """What changes while a stage trains, by names that do not change.

    Attributes:
        modules: weights and buffers. optimizers: moments and step counts; their rates only along with their schedule.
        schedules: of the one group of the optimiser of the same name.
    """

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, torch.optim.Adam] = field(default_factory=dict)
    schedules: Mapping[str, torch.optim.lr_scheduler.LRScheduler] = field(default_factory=dict)

    def state(self, record: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> TrainerState:
        """All parts with what else the stage has to remember."""
        packed = dict(tensors or {})
        for name, module in self.modules.items():
            packed.update(pack_module(name, module))
        for name, optimizer in self.optimizers.items():
            packed.update(pack_adam(name, optimizer))
        schedules = {name: _schedule_record(schedule) for name, schedule in self.schedules.items()}
        return TrainerState(packed, {**record, "schedules": schedules})

    def restore(self, state: TrainerState) -> None:
        """Put every part back.

        Raises:
            TrainerStateError: networks of other shapes.
        """
        for name, module in self.modules.items():
            unpack_module(name, module, state.tensors)
        for name, optimizer in self.optimizers.items():
            unpack_adam(name, optimizer, state.tensors)
        for name, schedule in self.schedules.items():
            kept = state.record["schedules"][name]
            schedule.load_state_dict(kept)
            self.optimizers[name].param_groups[0]["lr"] = kept["_last_lr"][0]


def _schedule_record(schedule: torch.optim.lr_scheduler.LRScheduler) -> dict[str, Any]:
    """The schedule's state as JSON values; it has more attributes, which its construction sets."""
    state = schedule.state_dict()
    return {name: state[name] for name in ("last_epoch", "_step_count", "_last_lr")}
