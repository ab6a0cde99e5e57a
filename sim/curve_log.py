"""The learning curve of a pretraining run: one row of curve.csv an iteration, and TensorBoard."""

from __future__ import annotations

import csv
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

import torch
from torch.utils.tensorboard import SummaryWriter

from robot_configs.errors import Go1Error
from sim.distributed import ALONE, Processes
from sim.pretrain_settings import PretrainSettings

CURVE_FILE = "curve.csv"
Progress = Callable[[int, int, dict[str, float]], None]


class CurveError(Go1Error):
    """A curve that is not the one the checkpoint beside it was saved with."""


@dataclass(frozen=True)
class CurveMark:
    """Where a curve stood: a run that goes on cuts off what was written after it.

    Attributes:
        size_bytes: of curve.csv.
        wall_s: spent in training, without the pauses between a stop and the next start.
        iterations: rows.
    """

    size_bytes: int = 0
    wall_s: float = 0.0
    iterations: int = 0


class CurveLog:
    """The part of rsl_rl's Logger that its runner calls; of several processes the first one writes their mean."""

    def __init__(
        self,
        out: Path,
        settings: PretrainSettings,
        progress: Optional[Progress],
        save: Callable[[str], None],
        start: CurveMark = CurveMark(),
        processes: Processes = ALONE,
    ) -> None:
        self.log_dir = str(out)
        self.writer = None  # rsl_rl's runner would write pickles if this were set
        self._curve = out / CURVE_FILE
        self._processes = processes
        if processes.writes:
            self._columns = cut_back(self._curve, start)
            steps_done = start.iterations * settings.steps_per_iteration * settings.task.num_envs
            # Whatever an interrupted run has shown after the mark is hidden.
            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=steps_done + 1)
        self._checkpoint = str(out / "trainer.safetensors")
        self._settings = settings
        self._progress = progress
        self._save = save
        self._start = time.monotonic() - start.wall_s
        self._wall_s = start.wall_s
        self._iterations = start.iterations
        self._rewards: list[torch.Tensor] = []
        self._logs: list[dict[str, torch.Tensor]] = []

    def mark(self) -> CurveMark:
        """Where the curve stands, with its rows safely on the disk; its size is known to the one who writes it."""
        if not self._processes.writes:
            return CurveMark(0, self._wall_s, self._iterations)
        self._board.flush()
        with open(self._curve, "ab") as stream:
            os.fsync(stream.fileno())
            return CurveMark(stream.tell(), self._wall_s, self._iterations)

    def init_logging_writer(self) -> None:
        """Nothing to do: everything is open already."""

    def process_env_step(self, rewards: torch.Tensor, dones: torch.Tensor, extras: dict[str, Any], _: Any) -> None:
        self._rewards.append(rewards.mean())
        self._logs.append(extras["log"])

    def log(self, it: int, loss_dict: dict[str, float], action_std: torch.Tensor, **rest: Any) -> None:
        settings = self._settings
        self._wall_s = time.monotonic() - self._start
        self._iterations = it + 1
        steps = self._iterations * settings.steps_per_iteration * settings.task.num_envs
        row = {"steps": float(steps), "wall_s": self._wall_s}
        row["reward_per_step"] = float(torch.stack(self._rewards).mean())
        row["action_std"] = float(action_std.detach().mean())
        row["learning_rate"] = float(rest["learning_rate"])
        row.update({f"loss_{name}": float(value) for name, value in loss_dict.items()})
        for name in sorted({name for log in self._logs for name in log}):
            row[name[1:]] = float(torch.stack([log[name] for log in self._logs if name in log]).mean())
        self._rewards, self._logs = [], []
        row = self._processes.mean(row)
        if self._processes.writes:
            self._write(row)
            for name, value in row.items():
                self._board.add_scalar(name, value, steps)
            if self._progress is not None:
                self._progress(self._iterations, settings.iterations, row)
        if self._iterations % settings.save_every == 0 or self._iterations == settings.iterations:
            self._save(self._checkpoint)

    def _write(self, row: dict[str, float]) -> None:
        new = not self._columns
        if new:
            self._columns = list(row)
        with open(self._curve, "a", newline="") as stream:
            writer = csv.DictWriter(stream, self._columns, restval="", extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})


def cut_back(curve: Path, start: CurveMark) -> list[str]:
    """Leave what the mark knows; returns the names of its columns, none for a new curve.

    Raises:
        CurveError: it is shorter than that.
    """
    if start.size_bytes == 0:
        curve.unlink(missing_ok=True)
        return []
    size = curve.stat().st_size if curve.exists() else 0
    if size < start.size_bytes:
        expected = f"at least {start.size_bytes} bytes in {curve}"
        raise CurveError(expected, f"{size}", "Put the curve of this run back, or train into another folder.")
    if size > start.size_bytes:
        os.truncate(curve, start.size_bytes)
    with open(curve, newline="") as stream:
        return next(csv.reader(stream))
