"""One condition and one seed of `benchmarks.twin_conditions`: its stages, each measured once and kept as a JSON."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

from deploy.host.refine import RefineSettings, refine
from offline_data.dataset import Dataset
from policy.bundle import BUNDLES, Lineage, read_bundle
from policy.code_version import code_version
from policy.export import export_bundle, load_graph
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.evaluate import DEFAULT_COMMANDS
from sim.pretrain_settings import PretrainSettings
from sim.twin_batch.collect import BatchCollectSettings, collect_batched
from sim.twin_batch.evaluation import evaluate_bundle_batched
from sim.twin_batch.oracle import OracleSettings, train_oracle

STAGES = ("pre", "refined", "oracle")
EVALUATION_SEED = 700_000
"""Of the episodes that everything is measured on; far from the seeds of logs and held-out episodes."""
_COMMAND = "python -m benchmarks.twin_conditions"
Made = tuple[Path, dict[str, Any]]
"""A bundle, and what its record tells besides."""


class ConditionBenchmarkError(Go1Error):
    """Results that do not belong together."""


@dataclass(frozen=True)
class ConditionBenchmark:
    """Sizes of the benchmark.

    Attributes:
        bundle: the policy as it was pretrained.
        log_steps: policy steps a round. rounds: of logging and refining, each from the round before.
        episodes: walks that a policy is measured on, of `episode_s` seconds.
        threads: of physics and torch.
    """

    bundle: Path = BUNDLES / "go1_velocity.go1policy"
    log_steps: int = 60_000
    rounds: int = 1
    episodes: int = 128
    episode_s: float = 10.0
    threads: int = 2
    collect: BatchCollectSettings = field(default_factory=BatchCollectSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    oracle: OracleSettings = field(default_factory=OracleSettings)

    def __post_init__(self) -> None:
        for name in ("log_steps", "rounds", "episodes", "threads"):
            if getattr(self, name) < 1:
                raise ConditionBenchmarkError(f"{name} of at least 1", f"{getattr(self, name)}", "Raise it.")

    def scaled(self, share: float) -> ConditionBenchmark:
        """The same with this share of the learning stages' rounds, epochs, iterations and steps, at least one each."""

        def some(count: int) -> int:
            return max(1, math.ceil(share * count))

        value, dynamics, improvement = self.refine.value, self.refine.dynamics, self.refine.improvement
        learning = replace(
            self.refine,
            value=replace(value, rounds=some(value.rounds)),
            dynamics=replace(dynamics, epochs=some(dynamics.epochs)),
            improvement=replace(improvement, iterations=some(improvement.iterations)),
        )
        robots = some(self.oracle.robots)
        one_iteration = PretrainSettings.steps_per_iteration * robots
        held_out = some(self.oracle.held_out_episodes)
        oracle = replace(
            self.oracle, robots=robots, steps=max(some(self.oracle.steps), one_iteration), held_out_episodes=held_out
        )
        return replace(self, log_steps=some(self.log_steps), refine=learning, oracle=oracle)


class ConditionRun:
    """One condition and one seed; files in `out/<condition>/seed<seed>`, those of stage `pre` in `out/<condition>`."""

    def __init__(self, benchmark: ConditionBenchmark, condition: str, seed: int, out: Path) -> None:
        self._benchmark, self._asked, self._seed = benchmark, condition, seed
        self._condition = load_condition(condition)
        self._shared = out / self._condition.name
        self._folder = self._shared / f"seed{seed}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._pretrained_sha256 = read_bundle(benchmark.bundle).sha256

    def run(self, stage: str, say: Callable[[str], None]) -> None:
        """One of `STAGES`; what is there already is left as it is."""
        benchmark = self._benchmark
        if stage == "pre":
            self._measured(self._shared, "pre", benchmark.bundle, {}, lambda: (benchmark.bundle, {}), say)
        elif stage == "refined":
            start = benchmark.bundle
            for number in range(1, benchmark.rounds + 1):
                start = self._refined(number, start, say)
        else:
            settings = replace(benchmark.oracle, seed=self._seed, threads=benchmark.threads)
            told = {"oracle": _without_run(asdict(settings))}
            self._measured(self._folder, "oracle", benchmark.bundle, told, lambda: self._train_oracle(settings), say)

    def _refined(self, number: int, start: Path, say: Callable[[str], None]) -> Path:
        benchmark = self._benchmark
        seed = self._seed + 1000 * number
        learning = replace(benchmark.refine, seed=seed, threads=benchmark.threads)
        settings = {
            "log_steps": benchmark.log_steps,
            "collect": asdict(benchmark.collect),
            "refine": _without_run(asdict(learning)),
        }
        out = self._folder / f"refined{number}.go1policy"

        def make() -> Made:
            data = self._folder / f"dataset{number}"
            shutil.rmtree(data, ignore_errors=True)  # of a run that was stopped between log and result
            collect_batched(start, self._asked, benchmark.log_steps, data, seed, benchmark.collect, benchmark.threads)
            result = refine(data, start, out, learning, command=_COMMAND)
            told = {key: result.report[key] for key in ("best", "candidates", "accepted", "falls")}
            opened = Dataset.open(data, verify=False)
            return out, {"dataset_sha256": opened.sha256, "dataset": opened.info().to_dict(), "refine": told}

        self._measured(self._folder, f"refined{number}", start, settings, make, say)
        return out

    def _train_oracle(self, settings: OracleSettings) -> Made:
        parent = read_bundle(self._benchmark.bundle)
        oracle = train_oracle(load_graph(parent), self._condition, self._folder / "oracle", settings)
        lineage = Lineage(
            stage="pretrain",
            parents=(parent.sha256,),
            data=(),
            code_version=code_version(),
            seed=settings.seed,
            command=_COMMAND,
            notes=(
                f"PPO on reward and shaping carried on for {settings.steps} steps in the twin condition "
                f"{self._condition.name} itself; kept: iteration {oracle.iteration}, best by the reward alone on "
                f"{settings.held_out_episodes} held-out episodes",
            ),
        )
        path = self._folder / "oracle.go1policy"
        export_bundle(oracle.graph, path, lineage, parent.version + 1, load_robot())
        looks = [list(look) for look in oracle.looks]
        return path, {"held_out_return": oracle.held_out_return, "iteration": oracle.iteration, "looks": looks}

    def _measured(
        self,
        folder: Path,
        stage: str,
        start: Path,
        settings: dict[str, Any],
        make: Callable[[], Made],
        say: Callable[[str], None],
    ) -> None:
        """Make a stage of the policy `start`, measure it and write it down, unless its record is there."""
        benchmark, file = self._benchmark, folder / f"{stage}.json"
        wanted = self._wanted(start, settings)
        if _is_there(file, wanted):
            return
        began = time.monotonic()
        bundle, told = make()
        evaluation = evaluate_bundle_batched(
            bundle,
            self._asked,
            benchmark.episodes,
            EVALUATION_SEED,
            benchmark.episode_s,
            DEFAULT_COMMANDS,
            benchmark.threads,
        )
        record = {
            "condition": self._condition.name,
            "seed": None if stage == "pre" else self._seed,
            "stage": stage,
            "settings": wanted,
            "code_version": code_version(),
            "threads": benchmark.threads,
            "bundle": bundle.name,
            "wall_s": time.monotonic() - began,
            **told,
            "evaluation": evaluation.to_dict(),
        }
        _write_record(file, record)
        say(f"{self._condition.name} seed {self._seed} {stage}: return {evaluation.returns.mean():.1f}")

    def _wanted(self, start: Path, settings: dict[str, Any]) -> dict[str, Any]:
        """Everything that two results must have in common to be one, as JSON has it.

        Neither the number of threads, on which no log and no measurement depends, nor the version of the code, which
        every commit changes: the report tells both.
        """
        benchmark = self._benchmark
        wanted = {
            "pretrained_sha256": self._pretrained_sha256,
            "start_sha256": read_bundle(start).sha256,
            "condition": asdict(self._condition),
            "evaluation": {
                "episodes": benchmark.episodes,
                "episode_s": benchmark.episode_s,
                "commands": DEFAULT_COMMANDS,
                "seed": EVALUATION_SEED,
            },
            "stage": settings,
        }
        copied: dict[str, Any] = json.loads(json.dumps(wanted, default=str))
        return copied


def _without_run(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of learning but for the seed, which the record has, and the threads."""
    return {name: value for name, value in settings.items() if name not in ("seed", "threads")}


def _is_there(file: Path, wanted: dict[str, Any]) -> bool:
    """Whether a result of these settings is there.

    Raises:
        ConditionBenchmarkError: one of other settings is; which of them, the error says.
    """
    record = read_record(file)
    if record is None:
        return False
    found = record["settings"]
    if found == wanted:
        return True
    other = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    raise ConditionBenchmarkError(
        f"{file} made with the settings of this run", f"other {', '.join(other)}", "Give another --out, or remove it."
    )


def read_record(file: Path) -> Optional[dict[str, Any]]:
    """A stage's result; None where there is none."""
    if not file.is_file():
        return None
    record: dict[str, Any] = json.loads(file.read_text())
    return record


def _write_record(file: Path, record: dict[str, Any]) -> None:
    """Complete or not at all."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1, default=str))
    os.replace(part, file)
