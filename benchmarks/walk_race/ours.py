"""Our side of the race: `sim.pretrain.pretrain` as `go1 sim train` calls it, with its checkpoints kept on the way."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from benchmarks.walk_race.keeping import Keeper
from sim.pretrain import pretrain
from sim.pretrain_settings import PretrainSettings


def train(settings: PretrainSettings, folder: Path, keeper: Keeper) -> None:
    """Train into `folder`; the clock includes what `pretrain` does besides learning, its checkpoints too."""
    settings = replace(settings, save_every=keeper.every)
    newest = folder / "run" / "trainer.safetensors"

    def after_iteration(done: int, total: int, row: dict[str, float]) -> None:
        keeper.note(done, int(row["steps"]), row["reward_per_step"])
        # `pretrain` reports before it saves: what lies there now is the iteration before.
        if done > 1 and keeper.due(done - 1):
            os.link(newest, keeper.path(done - 1))
        keeper.turns.pause_if_due()

    pretrain(settings, folder / "run", after_iteration)
    if not keeper.path(settings.iterations).exists():
        os.link(newest, keeper.path(settings.iterations))
