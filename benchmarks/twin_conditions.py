"""What refinement on logs regains of what a condition takes from a policy, measured on batches of twins.

    python -m benchmarks.twin_conditions --out runs/conditions --conditions mattress ice payload weak_motor rough \
        --seeds 1 2 3 --stages pre refined oracle
    python -m benchmarks.twin_conditions --out runs/conditions --report > docs/results/twin_conditions.md
    python -m benchmarks.twin_conditions --conditions mattress --steady

Per condition and seed: R_pre, the return of the bundle as it is; R_refined, after each round of logging with the policy
so far and refining it on that log; R_oracle, after PPO carried on in the condition itself. All stages of a seed walk
the same episodes, with robots that no log has seen. One JSON a stage: a stage whose file is there is not run again, so
that a run that was stopped goes on where it was; a file of other settings is refused.

`--share 0.02` runs that share of every learning stage's work: to try the machinery, not to measure.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import torch

from benchmarks.twin_conditions_report import report
from benchmarks.twin_conditions_steady import steady_table
from deploy.host.refine import RefineSettings, refine
from offline_data.dataset import Dataset
from policy.bundle import BUNDLES, Lineage, read_bundle
from policy.code_version import code_version
from policy.export import export_bundle, load_graph
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin_batch.collect import BatchCollectSettings, collect_batched
from sim.twin_batch.evaluation import evaluate_bundle_batched
from sim.twin_batch.oracle import OracleSettings, train_oracle

CONDITIONS = ("mattress", "ice", "payload", "weak_motor", "rough")
STAGES = ("pre", "refined", "oracle")
_EVALUATION_SEED = 700_000  # far from the seeds of logs: no robot is walked in both


class ConditionBenchmarkError(Go1Error):
    """Results that do not belong together."""


@dataclass(frozen=True)
class ConditionBenchmark:
    """Sizes of the benchmark.

    Attributes:
        bundle: the policy as it was pretrained.
        log_steps: policy steps a round. rounds: of logging and refining, each from the round before.
        episodes: walks that a policy is measured on, of `episode_s` seconds.
        threads: of physics and torch; 0 takes every core for the physics.
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
        oracle = replace(self.oracle, robots=robots, steps=max(some(self.oracle.steps), 24 * robots))
        return replace(self, log_steps=some(self.log_steps), refine=learning, oracle=oracle)


class ConditionRun:
    """One condition and one seed, in a folder of its own below `out`."""

    def __init__(self, benchmark: ConditionBenchmark, condition: str, seed: int, out: Path) -> None:
        self._benchmark, self._condition, self._seed = benchmark, condition, seed
        self._folder = out / f"{condition}_seed{seed}"
        self._folder.mkdir(parents=True, exist_ok=True)

    def run(self, stages: tuple[str, ...], say: Callable[[str], None] = print) -> None:
        """The stages asked for, in their order; what is there already is left as it is."""
        benchmark = self._benchmark
        if "pre" in stages:
            self._measured("pre", {}, lambda: (benchmark.bundle, {}), say)
        if "refined" in stages:
            start = benchmark.bundle
            for number in range(1, benchmark.rounds + 1):
                start = self._refined(number, start, say)
        if "oracle" in stages:
            settings = replace(benchmark.oracle, seed=self._seed, threads=max(1, benchmark.threads))
            self._measured("oracle", asdict(settings), lambda: self._train_oracle(settings), say)

    def _refined(self, number: int, start: Path, say: Callable[[str], None]) -> Path:
        benchmark = self._benchmark
        learning = replace(benchmark.refine, seed=self._seed + 1000 * number, threads=max(1, benchmark.threads))
        settings = {"log_steps": benchmark.log_steps, "collect": asdict(benchmark.collect), "refine": asdict(learning)}

        def make() -> tuple[Path, dict[str, Any]]:
            data, out = self._folder / f"dataset{number}", self._folder / f"refined{number}.go1policy"
            shutil.rmtree(data, ignore_errors=True)  # of a run that was stopped between log and result
            log_seed = self._seed + 1000 * number
            collect_batched(
                start, self._condition, benchmark.log_steps, data, log_seed, benchmark.collect, benchmark.threads
            )
            result = refine(data, start, out, learning, command="python -m benchmarks.twin_conditions")
            told = {key: result.report[key] for key in ("best", "candidates", "accepted", "falls")}
            return out, {"dataset_sha256": Dataset.open(data, verify=False).sha256, "refine": told}

        record = self._measured(f"refined{number}", settings, make, say)
        return Path(record["bundle"])

    def _train_oracle(self, settings: OracleSettings) -> tuple[Path, dict[str, Any]]:
        parent = read_bundle(self._benchmark.bundle)
        trained = train_oracle(load_graph(parent), load_condition(self._condition), self._folder / "oracle", settings)
        lineage = Lineage(
            stage="pretrain",
            parents=(parent.sha256,),
            data=(),
            code_version=code_version(),
            seed=settings.seed,
            command="python -m benchmarks.twin_conditions",
            notes=(f"PPO carried on for {settings.steps} steps in the twin condition {self._condition} itself",),
        )
        path = self._folder / "oracle.go1policy"
        export_bundle(trained, path, lineage, parent.version + 1, load_robot())
        return path, {}

    def _measured(
        self,
        stage: str,
        settings: dict[str, Any],
        make: Callable[[], tuple[Path, dict[str, Any]]],
        say: Callable[[str], None],
    ) -> dict[str, Any]:
        """The record of a stage: read if there is one of the same settings, else made, measured and written."""
        benchmark, file = self._benchmark, self._folder / f"{stage}.json"
        sizes = {name: getattr(benchmark, name) for name in ("episodes", "episode_s")}
        parent = read_bundle(benchmark.bundle).sha256
        wanted = json.loads(json.dumps({**sizes, **settings, "pretrained_sha256": parent}, default=str))
        found = _read_record(file)
        if found is not None:
            if found["settings"] != wanted:
                raise ConditionBenchmarkError(
                    f"{file} made with the settings of this run", "others", "Give another --out, or remove the file."
                )
            return found
        began = time.monotonic()
        bundle, told = make()
        evaluation = evaluate_bundle_batched(
            bundle,
            self._condition,
            benchmark.episodes,
            _EVALUATION_SEED + self._seed,
            benchmark.episode_s,
            threads=benchmark.threads,
        )
        record = {
            "condition": self._condition,
            "seed": self._seed,
            "stage": stage,
            "settings": wanted,
            "code_version": code_version(),
            "bundle": str(bundle),
            "wall_s": time.monotonic() - began,
            **told,
            "evaluation": evaluation.to_dict(),
        }
        _write_record(file, record)
        say(f"{self._condition} seed {self._seed} {stage}: return {evaluation.returns.mean():.1f}")
        return record


def _read_record(file: Path) -> Optional[dict[str, Any]]:
    if not file.is_file():
        return None
    record: dict[str, Any] = json.loads(file.read_text())
    return record


def _write_record(file: Path, record: dict[str, Any]) -> None:
    """Complete or not at all."""
    part = file.with_suffix(".part")
    part.write_text(json.dumps(record, indent=1, default=str))
    os.replace(part, file)


def main() -> None:
    defaults = ConditionBenchmark()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, nargs="+", default=[Path("runs/twin_conditions")])
    parser.add_argument("--bundle", type=Path, default=defaults.bundle)
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--log-steps", type=int, default=defaults.log_steps)
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument("--episodes", type=int, default=defaults.episodes)
    parser.add_argument("--oracle-steps", type=int, default=defaults.oracle.steps)
    parser.add_argument("--threads", type=int, default=defaults.threads)
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--report", action="store_true", help="print tables of the results below --out, run nothing")
    parser.add_argument("--steady", action="store_true", help="print the speeds that steady commands reach")
    options = parser.parse_args()
    if options.report:
        print("\n".join(report(folder) for folder in options.out))
        return
    torch.set_num_threads(max(1, options.threads))
    if options.steady:
        for condition in options.conditions:
            print(steady_table(options.bundle, condition, threads=options.threads))
        return
    benchmark = replace(
        defaults,
        bundle=options.bundle,
        log_steps=options.log_steps,
        rounds=options.rounds,
        episodes=options.episodes,
        threads=options.threads,
        oracle=replace(defaults.oracle, steps=options.oracle_steps),
    )
    if options.share < 1.0:
        benchmark = benchmark.scaled(options.share)
    for condition in options.conditions:
        for seed in options.seeds:
            ConditionRun(benchmark, condition, seed, options.out[0]).run(tuple(options.stages))


if __name__ == "__main__":
    main()
