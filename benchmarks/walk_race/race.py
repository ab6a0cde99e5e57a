"""The race: for each seed two trainings in turns, then their judge; every part that is there is kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Sequence

from benchmarks.walk_race.judge import JudgeSettings, Verdict, first_that_walks
from benchmarks.walk_race.keeping import TRAINING, Moment, kept_moments, read_json, write_json
from benchmarks.walk_race.task import METHODS, Method, RaceTask
from benchmarks.walk_race.training import ASKED
from benchmarks.walk_race.turns import RaceError, Racer, python_command
from benchmarks.walk_race.verdicts import Verdicts, other_judge
from policy.differences import differences

CAP_FACTOR = 2.0
"""The other side may train this many times as long as ours: past that, the target of half its time is met."""


@dataclass(frozen=True)
class Walked:
    """When a training's policy walked.

    Attributes:
        moment: of the first policy kept that walks, and `verdict` on it; None if none did.
        fresh: on the same policy, on walks that had no say in choosing it.
        last: the policy at the training's end, which `go1 sim train` would deliver, and `last_verdict` on it.
        trained_s: time of the whole training [s].
        together: the methods that it took turns with, itself included.
    """

    task: RaceTask
    moment: Optional[Moment]
    verdict: Optional[Verdict]
    fresh: Optional[Verdict]
    last: Moment
    last_verdict: Verdict
    trained_s: float
    judged: int
    together: Sequence[str]
    training: dict[str, Any]


class Race:
    """The parts of one measurement in a folder.

    Args:
        cap_s: of the other side's training where ours is not there to tell, or less than it says; None has none.
        stable_baselines_python: a Python that has stable-baselines3.
    """

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[RaceTask],
        judging: JudgeSettings,
        cap_s: Optional[float],
        stable_baselines_python: Optional[str],
    ) -> None:
        self._folder, self._judging, self._cap_s = folder, judging, cap_s
        self._tasks = {(task.seed, task.method): task for task in tasks}
        self._pythons: dict[Method, Optional[str]] = {"ours": None, "stable-baselines3": stable_baselines_python}
        for task in tasks:
            self._check(task)
        alone = [task.seed for task in tasks if task.method != "ours" and (task.seed, "ours") not in self._tasks]
        if alone and cap_s is None:
            raise RaceError("an end for stable-baselines3", f"seed {alone[0]} without ours", "Give --cap-s.")

    def folder(self, task: RaceTask) -> Path:
        """Of a part."""
        return self._folder / f"{task.method}_seed{task.seed}"

    def _check(self, task: RaceTask) -> None:
        """A part of another measurement is not gone on with."""
        folder = self.folder(task)
        asked = read_json(folder / ASKED)
        if asked is None and folder.exists():
            raise RaceError(f"a part of this race in {folder}", "something else", "Give another --out.")
        other = [] if asked is None else [one.name for one in differences(task.to_json(), asked)]
        other += [f"judge: {name}" for name in other_judge(folder, self._judging)]
        if other:
            raise RaceError(f"{folder} of this measurement", f"another {', '.join(other)}", "Give another --out.")

    def has_trained(self, task: RaceTask) -> bool:
        """Whether a part's training has come to its end, in this race or an earlier call of it."""
        return (self.folder(task) / TRAINING).is_file()

    def train(self, seed: int) -> None:
        """Train what is missing of a seed. A training that was interrupted has no time to go on from: it begins anew.

        Raises:
            RaceError: a training failed.
        """
        tasks = [self._tasks[seed, method] for method in METHODS if (seed, method) in self._tasks]
        missing = [task for task in tasks if not self.has_trained(task)]
        racers = [(task, self._racer(task)) for task in missing]
        running = list(racers)
        try:
            while running:
                # Not a list of those still running made beforehand: the cap of the second follows from the first's end.
                running = [(task, racer) for task, racer in running if racer.take_turn(self._cap(task))]
        finally:
            for _, racer in racers:
                racer.stop()
        for task in missing:
            write_json(self.folder(task) / "together.json", [one.method for one in missing])

    def _racer(self, task: RaceTask) -> Racer:
        folder = self.folder(task)
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        write_json(folder / ASKED, task.to_json())
        command = python_command(self._pythons[task.method], "benchmarks.walk_race.training", str(folder.resolve()))
        return Racer(f"{task.method} with seed {task.seed}", command, folder / "output.txt")

    def _cap(self, task: RaceTask) -> float:
        """Time after which a training ends; ours has its own number of steps."""
        if task.method == "ours":
            return float("inf")
        caps = [float("inf") if self._cap_s is None else self._cap_s]
        if (task.seed, "ours") in self._tasks:
            training = read_json(self.folder(self._tasks[task.seed, "ours"]) / TRAINING)
            caps += [CAP_FACTOR * training["moments"][-1]["own_s"]] if training is not None else []
        return min(caps)

    def judge(self, seed: int, method: Method) -> Walked:
        """Walk the policies that a training has kept, from the first on, until one walks, and that one on fresh walks.

        The last policy is walked, too. Known verdicts are kept.
        """
        task = self._tasks[seed, method]
        folder = self.folder(task)
        training = read_json(folder / TRAINING)
        assert training is not None  # `train` came first
        moments = {moment.iteration: moment for moment in kept_moments(folder, training)}
        verdicts = Verdicts(task, folder, self._judging)
        first = first_that_walks(list(moments), verdicts.of)
        last = max(moments)
        return Walked(
            task=task,
            moment=None if first is None else moments[first],
            verdict=None if first is None else verdicts.of(first),
            fresh=None if first is None else verdicts.on_fresh_walks(first),
            last=moments[last],
            last_verdict=verdicts.of(last),
            trained_s=training["moments"][-1]["own_s"],
            judged=verdicts.count,
            together=read_json(folder / "together.json") or [],
            training=training,
        )
