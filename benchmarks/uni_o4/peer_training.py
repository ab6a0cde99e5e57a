"""A peer's offline training in stretches, one look and one checkpoint behind each, so that it can be killed anywhere.

Every stretch has luck of its own, drawn from the seed and its number: a training that goes on from a checkpoint ends
bit for bit as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.uni_o4.evaluate import BatchPolicy
from benchmarks.uni_o4.logged_steps import LoggedSteps
from benchmarks.uni_o4.networks_file import algorithm_modules
from benchmarks.uni_o4.peers import PeerBatches, PeerMethod, PeerSettings, peer_algorithm
from benchmarks.uni_o4.results import Spent, Stopwatch
from policy.trainer_state import (
    TrainerState,
    TrainerStateError,
    load_trainer_state,
    pack_adam,
    pack_module,
    require_match,
    save_trainer_state,
    unpack_adam,
    unpack_module,
)

Look = Callable[[int, BatchPolicy], float]
"""Called with the gradient steps so far and the policy as it is then; returns its score."""


class PeerTraining:
    """One peer on one data set; `algorithm` is d3rlpy's, whose `predict` is a `BatchPolicy`."""

    def __init__(
        self, method: PeerMethod, steps: LoggedSteps, settings: PeerSettings, seed: int, state: Path, key: str
    ) -> None:
        self.settings, self.seed, self.state, self.key = settings, seed, state, key
        self.total = settings.updates_of(method)
        self.updates, self.curve = 0, list[dict[str, float]]()
        self.stopwatch = Stopwatch()
        self._batches = PeerBatches(steps, settings.batch_size)
        self.algorithm = self._fresh(method, steps)
        if state.exists():
            try:
                self._resume()
            except TrainerStateError:
                # Damaged, or of another trial: what it holds is of no use to this one.
                state.unlink()
                self.algorithm = self._fresh(method, steps)

    def _fresh(self, method: PeerMethod, steps: LoggedSteps) -> Any:
        # d3rlpy draws the first weights from torch's global state.
        torch.manual_seed(self.seed)
        return peer_algorithm(method, self.settings, steps)

    def run(self, look: Look) -> None:
        """Until all updates are made."""
        while self.updates < self.total:
            until = min(self.total, self.updates + self.settings.watch_interval)
            stretch = np.random.SeedSequence([self.seed, self.updates])
            random = np.random.default_rng(stretch)
            torch.manual_seed(int(stretch.generate_state(1)[0]))  # TD3's target noise
            while self.updates < until:
                self.algorithm.update(self._batches.draw(random))
                self.updates += 1
            with self.stopwatch.paused():
                score = look(self.updates, self.algorithm.predict)
                self.curve.append({"updates": self.updates, "share": self.updates / self.total, "score": score})
            self._keep()

    def _keep(self) -> None:
        tensors: dict[str, torch.Tensor] = {}
        for name, module in algorithm_modules(self.algorithm).items():
            tensors.update(pack_module(name, module))
        rates, schedules = {}, {}
        for name, wrapper in self._optimizers().items():
            tensors.update(pack_adam(name, wrapper.optim))
            whole = wrapper.state_dict()
            rates[name] = [group["lr"] for group in whole["optim"]["param_groups"]]
            schedules[name] = whole["lr_scheduler"]
        spent = self.stopwatch.spent()
        record = {
            "key": self.key,
            "updates": self.updates,
            "curve": self.curve,
            "rates": rates,
            "schedules": schedules,
            "wall_s": spent.wall_s,
            "processor_s": spent.processor_s,
        }
        self.state.parent.mkdir(parents=True, exist_ok=True)
        save_trainer_state(self.state, TrainerState(tensors, record))

    def _resume(self) -> None:
        state = load_trainer_state(self.state)
        require_match(state.record, {"key": self.key})
        for name, module in algorithm_modules(self.algorithm).items():
            unpack_module(name, module, state.tensors)
        for name, wrapper in self._optimizers().items():
            unpack_adam(name, wrapper.optim, state.tensors)
            whole = wrapper.state_dict()
            for group, rate in zip(whole["optim"]["param_groups"], state.record["rates"][name], strict=True):
                group["lr"] = rate
            wrapper.load_state_dict({"optim": whole["optim"], "lr_scheduler": state.record["schedules"][name]})
        self.updates, self.curve = state.record["updates"], list(state.record["curve"])
        self.algorithm.set_grad_step(self.updates)
        self.stopwatch = Stopwatch(Spent(state.record["wall_s"], state.record["processor_s"]))

    def _optimizers(self) -> dict[str, Any]:
        modules = vars(self.algorithm.impl.modules)
        return {name: each for name, each in modules.items() if name.endswith("optim")}
