"""What refinement on logs regains of what a condition takes from a policy, measured on batches of twins.

    python -m benchmarks.twin_conditions --out runs/conditions --conditions mattress ice payload weak_motor rough \
        --seeds 1 2 3 --stages pre refined oracle
    python -m benchmarks.twin_conditions --out runs/conditions --report > docs/results/twin_conditions.md
    python -m benchmarks.twin_conditions --conditions mattress --steady

Per condition R_pre, the return of the bundle as it is; per condition and seed R_refined, after each round of logging
with the policy so far and refining it on that log, and R_oracle, after PPO carried on in the condition itself. All of
them walk the same episodes, with robots that no log, no training and no choice of a checkpoint has seen. One JSON a
stage: a stage whose file is there is not run again, so that a run that was stopped goes on where it was; a file of
other settings is refused. Conditions that cannot be run are refused before anything is; what fails on the way is told
at the end, and does not keep the others from running.

`--share 0.02` runs that share of every learning stage's work: to try the machinery, not to measure.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.twin_conditions_report import report
from benchmarks.twin_conditions_run import STAGES, ConditionBenchmark, ConditionRun
from benchmarks.twin_conditions_steady import steady_table
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin_batch.coverage import require_covered
from sim.twin_batch.engine import require_trainable

CONDITIONS = ("mattress", "ice", "payload", "weak_motor", "rough")


def require_runnable(conditions: Sequence[str], stages: Sequence[str]) -> None:
    """Refuse, before anything is computed, conditions that a stage would refuse hours later.

    Raises:
        TwinConditionError: no such condition. TwinBatchError: a batch does not cover it, or no oracle can train in it.
    """
    robot = load_robot()
    for condition in map(load_condition, conditions):
        require_covered(condition, robot)
        if "oracle" in stages:
            require_trainable(condition, robot)


def run_cells(
    benchmark: ConditionBenchmark,
    conditions: Sequence[str],
    seeds: Sequence[int],
    stages: Sequence[str],
    out: Path,
    say: Callable[[str], None],
) -> list[str]:
    """Every stage of every seed in every condition; those that failed, each with its reason.

    A seed of all conditions comes before the next seed: a run that is cut has a whole table of fewer seeds.
    """
    failures = []
    for seed in seeds:
        for condition in conditions:
            run = ConditionRun(benchmark, condition, seed, out)
            for stage in STAGES:
                if stage not in stages:
                    continue
                try:
                    run.run(stage, say)
                except Go1Error as error:
                    failures.append(f"{condition} seed {seed} {stage}: {error}")
                    say(f"FAILED {failures[-1]}")
    return failures


def _parser() -> argparse.ArgumentParser:
    defaults = ConditionBenchmark()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, nargs="+", default=[Path("runs/twin_conditions")], help="a folder; --report takes several"
    )
    parser.add_argument("--bundle", type=Path, default=defaults.bundle)
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--log-steps", type=int, default=defaults.log_steps)
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument("--episodes", type=int, default=defaults.episodes)
    parser.add_argument("--oracle-steps", type=int, default=defaults.oracle.steps)
    parser.add_argument("--threads", type=int, default=defaults.threads, help="of physics and torch; 0: every core")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--report", action="store_true", help="print tables of the results below --out, run nothing")
    parser.add_argument("--steady", action="store_true", help="print the speeds that steady commands reach")
    return parser


def _benchmark(options: argparse.Namespace, threads: int) -> ConditionBenchmark:
    defaults = ConditionBenchmark()
    benchmark = replace(
        defaults,
        bundle=options.bundle,
        log_steps=options.log_steps,
        rounds=options.rounds,
        episodes=options.episodes,
        threads=threads,
        oracle=replace(defaults.oracle, steps=options.oracle_steps),
    )
    return benchmark.scaled(options.share) if options.share < 1.0 else benchmark


def main() -> None:
    parser = _parser()
    options = parser.parse_args()
    if options.report:
        print("\n".join(report(folder) for folder in options.out))
        return
    if len(options.out) > 1:
        parser.error(f"one folder for --out, but for --report; found {len(options.out)}")
    threads = options.threads if options.threads > 0 else os.cpu_count() or 1
    torch.set_num_threads(threads)
    if options.steady:
        for condition in options.conditions:
            print(steady_table(options.bundle, condition, threads=threads))
        return
    require_runnable(options.conditions, options.stages)
    benchmark = _benchmark(options, threads)

    def say(line: str) -> None:
        print(line, flush=True)

    failures = run_cells(benchmark, options.conditions, options.seeds, options.stages, options.out[0], say)
    if failures:
        raise SystemExit("\n".join([f"{len(failures)} stages failed:", *failures]))


if __name__ == "__main__":
    main()
