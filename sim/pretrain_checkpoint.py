"""What a pretraining run needs to go on as if it had never stopped, and the folder that holds it.

`trainer.safetensors` appears whole or not at all, so that a kill at any moment leaves the checkpoint before it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Optional

import torch
from rsl_rl.algorithms import PPO
from torch import Tensor

from policy.trainer_state import (
    TrainerState,
    TrainerStateError,
    load_trainer_state,
    pack_adam,
    pack_module,
    unpack_adam,
    unpack_module,
)
from robot_configs.errors import Go1Error
from sim.curve_log import CurveMark
from sim.engines.protocol import ResumableEngine
from sim.pretrain_settings import PretrainSettings
from sim.tensor_state import part_of, under
from sim.velocity_task import VelocityTask

CHECKPOINT_FORMAT = 2  # 1 had neither the task nor the engine nor the random generators
CHECKPOINT_FILE = "trainer.safetensors"
SETTINGS_FILE = "settings.json"
_ELSEWHERE = "Train into another folder, or remove this one."


class PretrainFolderError(Go1Error):
    """A folder whose run is not the one that is asked for, or can not go on."""


def open_folder(settings: PretrainSettings, out: Path) -> Optional[TrainerState]:
    """Make `out` this run's folder; returns the checkpoint to go on from, None where there is none yet.

    Raises:
        PretrainFolderError: the folder belongs to other settings or another version of the checkpoint, or its engine
            could not be saved.
    """
    checkpoint = last_checkpoint(settings, out)
    out.mkdir(parents=True, exist_ok=True)
    part = out / f"{SETTINGS_FILE}.part"
    part.write_text(json.dumps(asdict(settings), indent=1))
    os.replace(part, out / SETTINGS_FILE)
    return checkpoint


def last_checkpoint(settings: PretrainSettings, out: Path) -> Optional[TrainerState]:
    """The same without writing anything."""
    written = out / SETTINGS_FILE
    if written.exists():
        _require_same_settings(settings, json.loads(written.read_text()), out)
    path = out / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        checkpoint = load_trainer_state(path)
    except TrainerStateError as error:
        raise PretrainFolderError(error.expected, error.found, _ELSEWHERE) from None
    found = checkpoint.record.get("checkpoint_format")
    if found != CHECKPOINT_FORMAT:
        raise PretrainFolderError(f"checkpoint format {CHECKPOINT_FORMAT}", f"{found} in {path}", _ELSEWHERE)
    _require_same_settings(settings, checkpoint.record["settings"], out)
    if iterations_done(checkpoint) < settings.iterations and not part_of(checkpoint.tensors, "engine"):
        expected = "an engine whose state a checkpoint can hold (mujoco)"
        raise PretrainFolderError(expected, f"{settings.engine.name} in {path}", _ELSEWHERE)
    return checkpoint


def iterations_done(checkpoint: Optional[TrainerState]) -> int:
    """Of the run that has left this checkpoint."""
    return 0 if checkpoint is None else int(checkpoint.record["curve"]["iterations"])


def curve_mark(checkpoint: Optional[TrainerState]) -> CurveMark:
    """Where the curve stood when the checkpoint was saved."""
    return CurveMark() if checkpoint is None else CurveMark(**checkpoint.record["curve"])


def make_checkpoint(algorithm: PPO, task: VelocityTask, settings: PretrainSettings, curve: CurveMark) -> TrainerState:
    """The run between two iterations; without task and engine where the engine can not tell its state."""
    tensors: dict[str, Tensor] = {
        **pack_module("actor", algorithm.actor),
        **pack_module("critic", algorithm.critic),
        **pack_adam("optimizer", algorithm.optimizer),
        "torch_generator": torch.get_rng_state(),
    }
    if isinstance(task.engine, ResumableEngine):
        tensors.update({**under("task", task.snapshot()), **under("engine", task.engine.snapshot())})
    record = {
        "checkpoint_format": CHECKPOINT_FORMAT,
        "settings": asdict(settings),
        "learning_rate": algorithm.learning_rate,
        "curve": asdict(curve),
    }
    return TrainerState(tensors, record)


def restore_checkpoint(algorithm: PPO, task: VelocityTask, checkpoint: TrainerState) -> None:
    """Put everything back that `make_checkpoint` took."""
    assert isinstance(task.engine, ResumableEngine)  # else the checkpoint would have been refused
    unpack_module("actor", algorithm.actor, checkpoint.tensors)
    unpack_module("critic", algorithm.critic, checkpoint.tensors)
    unpack_adam("optimizer", algorithm.optimizer, checkpoint.tensors)
    algorithm.learning_rate = checkpoint.record["learning_rate"]
    task.restore(part_of(checkpoint.tensors, "task"))
    task.engine.restore(part_of(checkpoint.tensors, "engine"))
    torch.set_rng_state(checkpoint.tensors["torch_generator"])


def _require_same_settings(settings: PretrainSettings, found: Mapping[str, Any], out: Path) -> None:
    wanted = json.loads(json.dumps(asdict(settings)))  # tuples are lists on the other side
    difference = next(_differences(wanted, found, ""), None)
    if difference is not None:
        name, here, there = difference
        raise PretrainFolderError(f"{name} = {here} in {out / SETTINGS_FILE}", there, _ELSEWHERE)


def _differences(wanted: Any, found: Any, name: str) -> Iterator[tuple[str, str, str]]:
    """Dotted name, wanted and found of every setting that differs."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for key in sorted(wanted.keys() | found.keys()):
            inside = f"{name}.{key}" if name else key
            yield from _differences(wanted.get(key, "nothing"), found.get(key, "nothing"), inside)
    elif wanted != found:
        yield name, repr(wanted), repr(found)
