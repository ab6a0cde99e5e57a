"""Several processes that train one policy: who this one is, and what they tell each other besides gradients.

`torchrun` starts them and tells each its rank; rsl_rl averages their gradients. They talk by gloo, on the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from policy.named_tensors import under
from robot_configs.errors import Go1Error
from sim.velocity_settings import VelocityTaskSettings

_SEED_STRIDE = 1_000_003  # between processes: far apart, so that a process never walks with another run's seed


class DistributedError(Go1Error):
    """Processes that can not share the work."""


@dataclass(frozen=True)
class Processes:
    """This process among those of a run.

    Attributes:
        rank: 0 writes the run's folder; the others write nothing.
        count: of all processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def writes(self) -> bool:
        return self.rank == 0

    def share_of(self, task: VelocityTaskSettings) -> VelocityTaskSettings:
        """This process's robots and seed; the first of several processes has the seed of the run.

        Raises:
            DistributedError: the robots can not be dealt out evenly.
        """
        if task.num_envs % self.count:
            remedy = "Start another number of processes."
            raise DistributedError(f"processes that divide {task.num_envs} robots", f"{self.count}", remedy)
        return replace(task, num_envs=task.num_envs // self.count, seed=task.seed + _SEED_STRIDE * self.rank)

    def mean(self, row: Mapping[str, float]) -> dict[str, float]:
        """Of each value over the processes that have it. All processes must call."""
        if self.count == 1:
            return dict(row)
        rows: list[dict[str, float]] = [{}] * self.count
        torch.distributed.all_gather_object(rows, dict(row))
        names = dict.fromkeys(name for other in rows for name in other)
        found = {name: [other[name] for other in rows if name in other] for name in names}
        return {name: sum(values) / len(values) for name, values in found.items()}

    def gather(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """At rank 0 all processes' tensors, those of the others under `process<rank>.`; all must call."""
        if self.count == 1:
            return dict(own)
        everyone: list[dict[str, Tensor]] = [{}] * self.count
        torch.distributed.gather_object(dict(own), everyone if self.writes else None)
        gathered = dict(everyone[0])
        for rank in range(1, self.count):
            gathered.update(under(f"process{rank}", everyone[rank]))
        return gathered

    def name_of(self, part: str) -> str:
        """Of this process's part of what `gather` has put together."""
        return part if self.writes else f"process{self.rank}.{part}"


ALONE = Processes()
"""The only process of its run."""


@contextmanager
def joined_processes() -> Iterator[Processes]:
    """This process among those that torchrun has started, the only one without torchrun."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield ALONE
        return
    torch.distributed.init_process_group("gloo")
    try:
        yield Processes(torch.distributed.get_rank(), count)
    finally:
        torch.distributed.destroy_process_group()
