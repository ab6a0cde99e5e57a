"""A refinement that is under way, kept beside its output so that the same command goes on after a kill.

    better.go1policy.progress/cloning.safetensors           the stage as it was between two pieces of its work,
                              cloning.safetensors.before    as it was one time earlier,
                              dynamics.safetensors ...      the next stage, and so on; all gone with success

A file holds weights, moments, curves, the state of the run's one generator behind them, and what the run is made from.
Finished stages stay as they ended: a file that was damaged costs no more than its own stage.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional

import torch

from policy.differences import differences
from policy.program_hash import program_hash
from policy.run_lock import locked
from policy.trainer_state import TrainerState, TrainerStateError, load_trainer_state, save_trainer_state
from robot_configs.errors import Go1Error

PROGRESS_FORMAT = 1
KEEP_EVERY_S = 10.0
"""Work of this many seconds, and the piece under way, is what a kill costs at most."""

_SUFFIX = ".safetensors"
_BEFORE = ".before"
_GENERATOR = "run.generator"
_PROGRAMS = ("policy/*.py", "policy/uni_o4/*.py", "deploy/host/refine*.py", "offline_data/dataset.py")


class RefineProgressError(Go1Error):
    """Progress of another run than the one that is asked for, or damaged."""


def progress_path(out: Path) -> Path:
    """Where the progress of the refinement lies that will write this bundle."""
    return out.with_name(f"{out.name}.progress")


@dataclass(frozen=True)
class RunIdentity:
    """What a refinement is made from: progress of any other is not gone on with.

    Attributes:
        datasets: content hashes, in their order. start: SHA-256 of the bundle that it starts from; None for the clone.
        settings: all of them, the seed too. robot: SHA-256 of the robot model.
    """

    datasets: tuple[str, ...]
    start: Optional[str]
    settings: Mapping[str, Any]
    robot: str

    def record(self) -> dict[str, Any]:
        """With the code and the library that compute it, as JSON values."""
        record = {
            "format": PROGRESS_FORMAT,
            "datasets": list(self.datasets),
            "start": self.start,
            "settings": self.settings,
            "robot": self.robot,
            "programs": _programs(),
            "torch": str(torch.__version__),
        }
        content: dict[str, Any] = json.loads(json.dumps(record))  # tuples are lists on the other side
        return content


@contextmanager
def kept_progress(out: Path, identity: RunIdentity) -> Iterator[RefineProgress]:
    """The progress of the refinement that will write `out`, held against every other process.

    Raises:
        RefineProgressError: what lies there is another run's.
        FolderInUseError: another process refines to `out`.
    """
    folder = progress_path(out)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        try:
            yield RefineProgress(folder, identity.record())
        finally:
            with suppress(OSError):
                folder.rmdir()  # nothing was kept; else it stays


class RefineProgress:
    """The stages of one run in their folder, which this process holds."""

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder, self._identity = folder, identity
        self._states: dict[str, TrainerState] = {}
        self._started = time.monotonic()
        for stage in sorted({path.name.split(".")[0] for path in folder.glob(f"*{_SUFFIX}*")}):
            state = self._read(stage)
            if state is not None:
                self._require_own(stage, state)
                self._states[stage] = state
        self._wall_before_s = max((state.record["wall_s"] for state in self._states.values()), default=0.0)

    @property
    def wall_s(self) -> float:
        """Seconds that the run has taken so far, those of killed processes up to their last state included."""
        return self._wall_before_s + time.monotonic() - self._started

    def stage(self, name: str, generator: torch.Generator) -> StageProgress:
        """The keeper of one stage, whose luck comes from the generator."""
        return StageProgress(self, name, generator)

    def found(self, stage: str) -> Optional[TrainerState]:
        """What an earlier process kept of a stage."""
        return self._states.get(stage)

    def write(self, stage: str, state: TrainerState) -> None:
        """Keep a stage; at every moment its last state or the one before it is there whole."""
        record = {**state.record, "run": self._identity, "wall_s": self.wall_s}
        path = self._path(stage)
        if path.exists():
            os.replace(path, _before(path))
        save_trainer_state(path, TrainerState(state.tensors, record))

    def remove(self) -> None:
        """The run has come to its end."""
        shutil.rmtree(self._folder)

    def _path(self, stage: str) -> Path:
        return self._folder / f"{stage}{_SUFFIX}"

    def _read(self, stage: str) -> Optional[TrainerState]:
        """The last whole state of a stage; a damaged one gives way to the one before it.

        Raises:
            RefineProgressError: there is a state, but none is whole.
        """
        path, damage = self._path(stage), None
        for candidate in (path, _before(path)):
            if not candidate.exists():
                continue
            try:
                state = load_trainer_state(candidate)
            except TrainerStateError as error:
                damage = error
                continue
            if candidate != path:
                os.replace(candidate, path)
            return state
        if damage is None:
            return None  # a file that was never finished
        remedy = f"Remove {path} and {_before(path).name}: this stage begins anew, the finished ones stay."
        raise RefineProgressError(f"whole progress of the stage {stage}", damage.found, remedy)

    def _require_own(self, stage: str, state: TrainerState) -> None:
        for name, wanted, found in differences(self._identity, state.record.get("run", {})):
            raise RefineProgressError(
                f"progress of a run with {name} = {wanted!r}, as asked for now",
                f"{found!r} in {self._path(stage)}",
                "Give the same command, data and code as before to go on with it; else give another --out, or remove "
                f"{self._folder} to begin anew.",
            )


class StageProgress:
    """A `policy.uni_o4.keeping.Keeper` that writes into the run's folder, not more often than it pays."""

    def __init__(self, progress: RefineProgress, name: str, generator: torch.Generator) -> None:
        self._progress, self._name, self._generator = progress, name, generator
        self._last = time.monotonic()

    def kept(self) -> Optional[TrainerState]:
        state = self._progress.found(self._name)
        if state is None:
            return None
        # Memory of torch's own, so that no sum is split in another way than it was.
        tensors = {name: tensor.clone() for name, tensor in state.tensors.items()}
        self._generator.set_state(tensors.pop(_GENERATOR))
        return TrainerState(tensors, state.record)

    def keep(self, state: Callable[[], TrainerState], finished: bool = False) -> None:
        if not finished and time.monotonic() - self._last < KEEP_EVERY_S:
            return
        made = state()
        tensors = {**made.tensors, _GENERATOR: self._generator.get_state()}
        self._progress.write(self._name, TrainerState(tensors, made.record))
        self._last = time.monotonic()


@lru_cache
def _programs() -> str:
    """The code that computes a refinement, as this process has loaded it."""
    return program_hash(_PROGRAMS)


def _before(path: Path) -> Path:
    return path.with_name(path.name + _BEFORE)
