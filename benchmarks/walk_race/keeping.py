"""What a training leaves for its judge: policies along the way, and the time that each had taken."""

from __future__ import annotations

import csv
import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Dict, Optional

from benchmarks.walk_race.turns import OwnTurns
from policy.code_version import code_version

TRAINING = "training.json"
CHECKPOINTS = "checkpoints"
_PACKAGES = ("torch", "numpy", "mujoco", "mjbatch", "rsl-rl-lib", "stable-baselines3", "gymnasium")


@dataclass(frozen=True)
class Moment:
    """The end of an iteration.

    Attributes:
        own_s: time in the training's own turns since its process was launched, imports and building included [s].
        processor_s: processor time of the process.
        reward_per_step: the task's reward, mean over robots and steps of the iteration.
    """

    iteration: int
    steps: int
    own_s: float
    processor_s: float
    reward_per_step: float


class Keeper:
    """Writes `training.json`, `times.csv` and the checkpoints of one training into its folder."""

    def __init__(self, folder: Path, every: int, turns: OwnTurns) -> None:
        self._folder, self.every, self.turns = folder, every, turns
        self.moments: list[Moment] = []
        (folder / CHECKPOINTS).mkdir(parents=True)

    def note(self, iteration: int, steps: int, reward_per_step: float) -> None:
        """An iteration has ended."""
        self.moments.append(Moment(iteration, steps, self.turns.own_s, time.process_time(), reward_per_step))

    def path(self, iteration: int) -> Path:
        """Of the checkpoint after an iteration."""
        return checkpoint_path(self._folder, iteration)

    def due(self, iteration: int) -> bool:
        """Whether the policy is kept after this iteration."""
        return iteration % self.every == 0

    def finish(self, settings: Dict[str, Any]) -> None:
        """The training is complete: say so, with all that its figures depend on."""
        with open(self._folder / "times.csv", "w", newline="") as stream:
            writer = csv.DictWriter(stream, list(Moment.__dataclass_fields__))
            writer.writeheader()
            writer.writerows(asdict(moment) for moment in self.moments)
        content = {
            "settings": settings,
            "code_version": code_version(),
            "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
            "cores": os.cpu_count(),
            "pauses": self.turns.pauses,
            "loads": [round(load, 2) for load in self.turns.loads],
            "moments": [asdict(moment) for moment in self.moments],
        }
        write_json(self._folder / TRAINING, content)


def checkpoint_path(folder: Path, iteration: int) -> Path:
    """Of a training's policy after an iteration."""
    return folder / CHECKPOINTS / f"{iteration:06d}.safetensors"


def kept_moments(folder: Path, training: Dict[str, Any]) -> list[Moment]:
    """Those of which there is a policy, in order."""
    moments = [Moment(**one) for one in training["moments"]]
    return [moment for moment in moments if checkpoint_path(folder, moment.iteration).is_file()]


def write_json(path: Path, content: Any) -> None:
    """Complete or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    os.replace(part, path)


def read_json(path: Path) -> Optional[Any]:
    """None where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _version(package: str) -> Optional[str]:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
