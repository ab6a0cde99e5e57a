"""A run of fine-tuning without a simulation: every round is given the same logs, whatever its bundle."""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.host.finetune_settings import FinetuneSettings
from policy.uni_o4.online import ModelSettings, OnlineSettings
from policy.uni_o4.ppo import PpoSettings
from tests.deploy.host.conftest import DYNAMICS, VALUE, improvement

LOGGED_STEPS = 600
SETTINGS = FinetuneSettings(
    steps=2 * LOGGED_STEPS,
    rounds=2,
    method="ppo",
    seed=5,
    threads=1,
    online=OnlineSettings(PpoSettings(epochs=1, minibatch_size=128, actor_learning_rate=2e-5), warm_up_epochs=1),
    model=ModelSettings(VALUE, DYNAMICS, improvement()),
)


class Killed(BaseException):
    """Stands for a kill: nothing in the code under test may catch it."""


class SameLogs:
    """A collector that copies logs and notes what it was asked for."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.calls: list[tuple[Path, int, int]] = []

    def __call__(self, bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
        self.calls.append((bundle, steps, seed))
        shutil.copytree(self.logs, log_dir)


def killed(bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
    """A collector that never comes to log anything."""
    raise Killed


def round_bundle(out: Path, number: int) -> Path:
    """The bundle that a round made."""
    return out / f"round_{number}" / "policy.go1policy"
