"""One condition and one seed of `benchmarks.twin_conditions`: its stages, each measured once and kept as a JSON.

    out/<condition>/pre.json, robust.json                        bundles that are given: one result for all seeds
    out/<condition>/seed<n>/refined1.json, published1.json ...   a round each; round k learns from logs 1 to k
    out/<condition>/seed<n>/online1.json, published_online1.json ...   online learning from the last round, look by look
    out/<condition>/seed<n>/oracle.json

Both methods learn their first round from one log, `dataset1`; later logs are of each method's own policy.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.twin_conditions_cells import is_there, write_record
from benchmarks.twin_conditions_settings import (
    OFFLINE_STAGES,
    ONLINE_STAGES,
    STEADY_CONDITIONS,
    ConditionBenchmark,
    ConditionBenchmarkError,
)
from benchmarks.twin_conditions_steady import FORWARD, FORWARD_ROBOTS, forward_speeds
from deploy.host.finetune import finetune
from deploy.host.finetune_settings import FinetuneSettings
from deploy.host.refine import refine
from offline_data.dataset import Dataset
from policy.bundle import Lineage, read_bundle
from policy.code_version import code_version
from policy.export import export_bundle, load_graph
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.collect import collect_on_twin
from sim.evaluate import DEFAULT_COMMANDS
from sim.twin_batch.collect import collect_batched
from sim.twin_batch.evaluation import evaluate_bundle_batched
from sim.twin_batch.oracle import OracleSettings, train_oracle

EVALUATION_SEED = 700_000
"""Of the episodes that everything is measured on; far from the seeds of logs and held-out episodes."""
_ONLINE_SEED = 10_000
"""Online sessions of seed n count from n times this."""
_COMMAND = "python -m benchmarks.twin_conditions"
Made = tuple[Path, dict[str, Any]]
"""A bundle, and what its record tells besides."""
Say = Callable[[str], None]


class ConditionRun:
    """One condition and one seed; see the module for its files."""

    def __init__(self, benchmark: ConditionBenchmark, condition: str, seed: int, out: Path) -> None:
        self._benchmark, self._asked, self._seed = benchmark, condition, seed
        self._condition = load_condition(condition)
        self._shared = out / self._condition.name
        self._folder = self._shared / f"seed{seed}"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._pretrained_sha256 = read_bundle(benchmark.bundle).sha256

    def run(self, stage: str, say: Say) -> None:
        """One of `STAGES`; what is there already is left as it is."""
        benchmark = self._benchmark
        if stage == "pre":
            self._measured(self._shared, "pre", benchmark.bundle, {}, lambda: (benchmark.bundle, {}), say)
        elif stage == "robust":
            self._measured(self._shared, "robust", benchmark.robust, {}, lambda: (benchmark.robust, {}), say)
        elif stage in OFFLINE_STAGES:
            for number in range(1, benchmark.rounds + 1):
                self._round(stage, number, say)
        elif stage in ONLINE_STAGES:
            self._online(stage, say)
        else:
            settings = replace(benchmark.oracle, seed=self._seed, threads=benchmark.threads)
            told = {"oracle": _without_run(asdict(settings))}
            self._measured(self._folder, "oracle", benchmark.bundle, told, lambda: self._train_oracle(settings), say)

    # ---- Offline -----------------------------------------------------------------------------------------------------

    def _round(self, stage: str, number: int, say: Say) -> None:
        benchmark = self._benchmark
        start, out = self._bundle(stage, number - 1), self._bundle(stage, number)
        learning = replace(benchmark.learning(stage), seed=self._log_seed(number), threads=benchmark.threads)
        settings = {
            "log_steps": benchmark.log_steps,
            "collect": asdict(benchmark.collect),
            "learned_from": "the logs of all rounds so far",
            "refine": _without_run(asdict(learning)),
        }

        def make() -> Made:
            logs = self._logs(stage, number)
            result = refine([log.path for log in logs], start, out, learning, command=_COMMAND)
            told = {key: result.report[key] for key in ("best", "candidates", "accepted", "falls")}
            return out, {
                "logged_steps": number * benchmark.log_steps,
                "datasets_sha256": [log.sha256 for log in logs],
                "datasets": [log.info().to_dict() for log in logs],
                "refine": told,
            }

        self._measured(self._folder, f"{stage}{number}", start, settings, make, say)

    def _bundle(self, stage: str, number: int) -> Path:
        """What a round makes; before the first there is the pretrained policy."""
        return self._folder / f"{stage}{number}.go1policy" if number else self._benchmark.bundle

    def _log_seed(self, number: int) -> int:
        return self._seed + 1000 * number

    def _logs(self, stage: str, rounds: int) -> list[Dataset]:
        """The data sets of these rounds; one that is there and whole is not logged again."""
        logs = []
        for number in range(1, rounds + 1):
            name = f"dataset{number}" if number == 1 or stage == "refined" else f"{stage}_dataset{number}"
            logs.append(self._log(self._folder / name, self._bundle(stage, number - 1), self._log_seed(number)))
        return logs

    def _log(self, folder: Path, start: Path, seed: int) -> Dataset:
        benchmark = self._benchmark
        if folder.exists():
            found = Dataset.open(folder)
            wanted = {"condition": self._condition.to_dict(), "seed": seed, "settings": asdict(benchmark.collect)}
            as_wanted = all(found.provenance.get(name) == _as_json(value) for name, value in wanted.items())
            enough = found.info().steps >= benchmark.log_steps
            if as_wanted and enough and found.bundles == (read_bundle(start).sha256,):
                return found
            shutil.rmtree(folder)
        return collect_batched(
            start, self._asked, benchmark.log_steps, folder, seed, benchmark.collect, benchmark.threads
        )

    # ---- Online ------------------------------------------------------------------------------------------------------

    def _online(self, stage: str, say: Say) -> None:
        benchmark, base = self._benchmark, ONLINE_STAGES[stage]
        start, online = self._bundle(base, benchmark.rounds), benchmark.online
        if not start.exists():
            raise ConditionBenchmarkError(
                f"round {benchmark.rounds} of {base} in {self._folder}", "none", f"Run the stage {base} before {stage}."
            )
        settings = self._online_settings(stage)
        told = asdict(settings)
        told["online"].pop("seed")
        for name in ("seed", "threads", "earlier_data"):
            told.pop(name)
        for look in range(1, online.looks + 1):
            rounds = online.round_at(look, settings.rounds)
            steps = rounds * -(-settings.steps // settings.rounds)
            make = functools.partial(self._make_online, stage, start, rounds, steps)
            kept = {"finetune": told, "collect": asdict(online.collect), "rounds": rounds}
            self._measured(self._folder, f"{stage}{look}", start, kept, make, say)

    def _online_settings(self, stage: str) -> FinetuneSettings:
        online, seed = self._benchmark.online, _ONLINE_SEED * self._seed
        ours = stage == "online"
        learner = online.learner if ours else online.published.learner
        return FinetuneSettings(
            steps=online.steps,
            rounds=online.rounds if ours else online.published_rounds,
            method="ensemble" if ours else "ppo",
            seed=seed,
            threads=self._benchmark.threads,
            online=replace(learner, seed=seed),
            model=online.model,
        )

    def _make_online(self, stage: str, start: Path, rounds: int, logged: int) -> Made:
        """The policy after so many rounds; all rounds run before the first is measured, and none runs twice."""
        benchmark, settings = self._benchmark, self._online_settings(stage)
        if stage == "online":
            logs = self._logs(ONLINE_STAGES[stage], benchmark.rounds)
            settings = replace(settings, earlier_data=tuple(log.path for log in logs))

        def collect(bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
            collect_on_twin(bundle, self._asked, steps, log_dir, seed, benchmark.online.collect)

        folder = self._folder / stage
        result = finetune(start, collect, folder, settings, command=_COMMAND)
        bundle = folder / f"round_{rounds}" / "policy.go1policy"
        return bundle, {
            "logged_steps": benchmark.rounds * benchmark.log_steps + logged,
            "datasets_sha256": list(read_bundle(bundle).lineage.data),
            "rounds": list(result.rounds[:rounds]),
        }

    # ---- Oracle ------------------------------------------------------------------------------------------------------

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

    # ---- Measuring ---------------------------------------------------------------------------------------------------

    def _measured(
        self,
        folder: Path,
        stage: str,
        start: Path,
        settings: dict[str, Any],
        make: Callable[[], Made],
        say: Say,
    ) -> None:
        """Make a stage of the policy `start`, measure it and write it down, unless its record is there."""
        benchmark, file = self._benchmark, folder / f"{stage}.json"
        wanted = self._wanted(start, settings)
        if is_there(file, wanted):
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
        if wanted["steady"]:
            speeds = forward_speeds(bundle, self._asked, benchmark.threads)
            told = {**told, "steady": {"forward_m_s": speeds.by_robot[:, 0].tolist(), "falls": speeds.falls}}
        record = {
            "condition": self._condition.name,
            "seed": None if folder == self._shared else self._seed,
            "stage": stage,
            "settings": wanted,
            "code_version": code_version(),
            "threads": benchmark.threads,
            "bundle": os.path.relpath(bundle, folder) if folder == self._folder else bundle.name,
            "wall_s": time.monotonic() - began,
            **told,
            "evaluation": evaluation.to_dict(),
        }
        write_record(file, record)
        say(f"{self._condition.name} seed {self._seed} {stage}: return {evaluation.returns.mean():.1f}")

    def _wanted(self, start: Path, settings: dict[str, Any]) -> dict[str, Any]:
        """Everything that two results must have in common to be one, as JSON has it.

        Neither the number of threads, on which no log and no measurement depends, nor the version of the code, which
        every commit changes: the report tells both.
        """
        benchmark = self._benchmark
        steady = {"command": FORWARD, "robots": FORWARD_ROBOTS} if self._condition.name in STEADY_CONDITIONS else None
        wanted: dict[str, Any] = _as_json(
            {
                "pretrained_sha256": self._pretrained_sha256,
                "start_sha256": read_bundle(start).sha256,
                "condition": self._condition.to_dict(),
                "evaluation": {
                    "episodes": benchmark.episodes,
                    "episode_s": benchmark.episode_s,
                    "commands": DEFAULT_COMMANDS,
                    "seed": EVALUATION_SEED,
                },
                "steady": steady,
                "stage": settings,
            }
        )
        return wanted


def _as_json(value: Any) -> Any:
    """The value as it comes back from a file."""
    return json.loads(json.dumps(value, default=str))


def _without_run(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of learning but for the seed, which the record has, and the threads."""
    return {name: value for name, value in settings.items() if name not in ("seed", "threads")}
