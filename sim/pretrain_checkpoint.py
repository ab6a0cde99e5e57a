"""What a pretraining run needs to go on as if it had never stopped, and the folder that holds it.

`trainer.safetensors` appears whole or not at all, so that a kill at any moment leaves the checkpoint before it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Optional, cast

import torch
from rsl_rl.algorithms import PPO
from torch import Tensor

from policy.named_tensors import part_of, under
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
from sim.distributed import ALONE, Processes
from sim.engines.protocol import ResumableEngine
from sim.pretrain_settings import PretrainSettings
from sim.velocity_task import VelocityTask

CHECKPOINT_FORMAT = 2  # 1 had neither the task nor the engine nor the random generators
CHECKPOINT_FILE = "trainer.safetensors"
BUNDLE_FILE = "policy.go1policy"
SETTINGS_FILE = "settings.json"
_ELSEWHERE = "Train into another folder, or remove this one."


class PretrainFolderError(Go1Error):
    """A folder whose run is not the one that is asked for, or can not go on."""


def open_folder(settings: PretrainSettings, out: Path, processes: Processes = ALONE) -> Optional[TrainerState]:
    """Make `out`, which exists, this run's folder; returns the checkpoint to go on from, None where there is none yet.

    Raises:
        PretrainFolderError: the folder belongs to other settings, another version of the checkpoint or another number
            of processes, or its engine could not be saved.
    """
    checkpoint = last_checkpoint(settings, out)
    if checkpoint is not None and iterations_done(checkpoint) < settings.iterations:
        _require_resumable(checkpoint, settings, out, processes)
    if not processes.writes:
        return checkpoint
    part = out / f"{SETTINGS_FILE}.part"
    part.write_text(json.dumps(asdict(settings), indent=1))
    os.replace(part, out / SETTINGS_FILE)
    return checkpoint


def last_checkpoint(settings: PretrainSettings, out: Path) -> Optional[TrainerState]:
    """The same without writing anything; the run need not be one that can go on."""
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
    done = iterations_done(checkpoint)
    if done > settings.iterations:
        steps = done * settings.steps_per_iteration * settings.task.num_envs
        remedy = "Ask for no fewer, or train into another folder."
        raise PretrainFolderError(f"at least the {steps} steps that are done in {out}", f"{settings.steps}", remedy)
    return checkpoint


def iterations_done(checkpoint: Optional[TrainerState]) -> int:
    """Of the run that has left this checkpoint."""
    return 0 if checkpoint is None else int(checkpoint.record["curve"]["iterations"])


def curve_mark(checkpoint: Optional[TrainerState]) -> CurveMark:
    """Where the curve stood when the checkpoint was saved."""
    return CurveMark() if checkpoint is None else CurveMark(**checkpoint.record["curve"])


def make_checkpoint(
    algorithm: PPO, task: VelocityTask, settings: PretrainSettings, curve: CurveMark, processes: Processes
) -> TrainerState:
    """The run between two iterations; without task and engine where the engine can not tell its state.

    All processes must call; what they return is complete at rank 0 only.
    """
    own: dict[str, Tensor] = {"torch_generator": torch.get_rng_state()}
    if isinstance(task.engine, ResumableEngine):
        own.update({**under("task", task.snapshot()), **under("engine", task.engine.snapshot())})
    tensors = {
        **pack_module("actor", algorithm.actor),
        **pack_module("critic", algorithm.critic),
        **pack_adam("optimizer", algorithm.optimizer),
        **processes.gather(own),
    }
    record = {
        "checkpoint_format": CHECKPOINT_FORMAT,
        "settings": asdict(settings),
        "learning_rate": algorithm.learning_rate,
        "curve": asdict(curve),
        "processes": processes.count,
    }
    return TrainerState(tensors, record)


def restore_checkpoint(algorithm: PPO, task: VelocityTask, checkpoint: TrainerState, processes: Processes) -> None:
    """Put everything back that `make_checkpoint` took in this process."""
    assert isinstance(task.engine, ResumableEngine)  # else the checkpoint would have been refused
    unpack_module("actor", algorithm.actor, checkpoint.tensors)
    unpack_module("critic", algorithm.critic, checkpoint.tensors)
    unpack_adam("optimizer", algorithm.optimizer, checkpoint.tensors)
    algorithm.learning_rate = checkpoint.record["learning_rate"]
    task.restore(part_of(checkpoint.tensors, processes.name_of("task")))
    task.engine.restore(part_of(checkpoint.tensors, processes.name_of("engine")))
    torch.set_rng_state(checkpoint.tensors[processes.name_of("torch_generator")])


def _require_resumable(checkpoint: TrainerState, settings: PretrainSettings, out: Path, processes: Processes) -> None:
    if not part_of(checkpoint.tensors, "engine"):
        expected = "an engine whose state a checkpoint can hold (mujoco, mujoco_warp)"
        raise PretrainFolderError(expected, f"{settings.engine.name} in {out / CHECKPOINT_FILE}", _ELSEWHERE)
    count = checkpoint.record.get("processes", 1)
    if count != processes.count:
        found = f"{processes.count} to go on with {out / CHECKPOINT_FILE}"
        raise PretrainFolderError(f"processes: {count}", found, "Start as many processes as before.")


def _require_same_settings(settings: PretrainSettings, found: Mapping[str, Any], out: Path) -> None:
    # How long it goes on may be decided anew: nothing on the way depends on it.
    found = {**found, "steps": settings.steps}
    difference = next(_differences(settings, found, ""), None)
    if difference is not None:
        name, here, there = difference
        raise PretrainFolderError(f"{name} = {here} in {out / SETTINGS_FILE}", there, _ELSEWHERE)


def _differences(wanted: Any, found: Any, name: str) -> Iterator[tuple[str, str, str]]:
    """Dotted name, wanted and found of every setting that differs.

    A setting that came after the folder was written has its default there.
    """
    if not (is_dataclass(wanted) and isinstance(found, Mapping)):
        as_written = json.loads(json.dumps(asdict(cast(Any, wanted)) if is_dataclass(wanted) else wanted))
        if as_written != found:
            yield name, repr(wanted), repr(found)
        return
    inside = f"{name}." if name else ""
    for setting in fields(wanted):
        value = getattr(wanted, setting.name)
        if setting.name in found:
            yield from _differences(value, found[setting.name], inside + setting.name)
        elif value != (setting.default if setting.default_factory is MISSING else setting.default_factory()):
            yield inside + setting.name, repr(value), "nothing"
    for unknown in sorted(found.keys() - {setting.name for setting in fields(wanted)}):
        yield inside + unknown, "nothing", repr(found[unknown])
