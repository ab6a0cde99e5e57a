"""One process of a run that torchrun has started: trains, and takes down what every gradient step ended with.

torchrun --nproc-per-node 2 tests/sim/distributed_worker.py OUT SEED ITERATIONS ROBOTS STOP_AFTER
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from sim.pretrain import pretrain
from sim.pretrain_settings import PretrainSettings
from sim.velocity_settings import VelocityTaskSettings

STEPS_PER_ITERATION = 24  # of each robot


def settings_of(seed: int, iterations: int, robots: int) -> PretrainSettings:
    """A run for one process or several; with 128 robots it learns something within 24 iterations."""
    return PretrainSettings(
        steps=iterations * STEPS_PER_ITERATION * robots,
        steps_per_iteration=STEPS_PER_ITERATION,
        actor_hidden=(64, 64),
        critic_hidden=(64, 64),
        entropy_weight=0.0,
        threads=1,
        save_every=2,
        task=VelocityTaskSettings(num_envs=robots, seed=seed),
    )


def digest(optimizer: torch.optim.Optimizer) -> str:
    """Of all gradients, as averaged and clipped, and all weights after the step."""
    sha256 = hashlib.sha256()
    for group in optimizer.param_groups:
        for weight in group["params"]:
            sha256.update(weight.grad.numpy().tobytes())
            sha256.update(weight.detach().numpy().tobytes())
    return sha256.hexdigest()


def main(out: Path, seed: int, iterations: int, robots: int, stop_after: int) -> None:
    """Train; the first process ends hard after an iteration, if asked to."""
    taken_down = open(out.with_name(f"{out.name}_steps_of_process{os.environ['RANK']}.txt"), "a")

    def take_down(optimizer: torch.optim.Optimizer, *_: Any) -> None:
        print(digest(optimizer), file=taken_down, flush=True)

    def progress(done: int, total: int, row: dict[str, float]) -> None:
        if done == stop_after:
            os._exit(9)

    register_optimizer_step_post_hook(take_down)
    pretrain(settings_of(seed, iterations, robots), out, progress)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(word) for word in sys.argv[2:]))
