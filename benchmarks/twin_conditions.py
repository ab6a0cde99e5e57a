"""What learning on logs regains of what a condition takes from a policy, measured on batches of twins.

    python -m benchmarks.twin_conditions --out runs/conditions --seeds 1 2 3                  # all of it
    python -m benchmarks.twin_conditions --out runs/conditions --stages pre robust
    python -m benchmarks.twin_conditions --out runs/conditions --film
    python -m benchmarks.twin_conditions --out runs/conditions --report docs/results/twin_conditions.md
    python -m benchmarks.twin_conditions --conditions latex --steady

Per condition: `pre`, the return of the bundle as it is, and `robust`, that of one pretrained on all kinds of ground.
Per condition and seed: `refined` and `published`, after each round of logging with the policy so far and refining it on
all logs, by our method and by the published Uni-O4; `online` and `published_online`, as online learning goes on from
the last round, through the wire; `oracle`, after PPO carried on in the condition itself. All walk the same episodes,
with robots that no log, no training and no choice of a checkpoint has seen. One JSON a stage and round: one whose file
is there is not run again, so that a run that was stopped goes on where it was; a file of other settings is refused.
Conditions that cannot be run are refused before anything is; what fails on the way is told at the end, and does not
keep the others from running.

Settings may be fixed on `TUNED_CONDITIONS`, in folders of their own: `--set refine.improvement.kl_budget=0.8`,
`--set published.published.learning_rate=3e-5`. The other conditions are reported on.

`--share 0.02` runs that share of every learning stage's work: to try the machinery, not to measure.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.twin_conditions_films import film_conditions
from benchmarks.twin_conditions_report import write_page
from benchmarks.twin_conditions_results import read_results
from benchmarks.twin_conditions_run import ConditionRun
from benchmarks.twin_conditions_settings import CONDITIONS, STAGES, ConditionBenchmark
from benchmarks.twin_conditions_steady import steady_table
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.settings_paths import with_assignment
from sim.twin_batch.coverage import require_covered
from sim.twin_batch.engine import require_trainable

PAGE = Path("docs/results/twin_conditions.md")


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
    parser.add_argument("--out", type=Path, default=Path("runs/twin_conditions"), help="folder of the results")
    parser.add_argument("--bundle", type=Path, default=defaults.bundle, help="R_pre [%(default)s]")
    parser.add_argument("--robust", type=Path, default=defaults.robust, help="measured beside it [%(default)s]")
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--log-steps", type=int, default=defaults.log_steps)
    parser.add_argument("--rounds", type=int, default=defaults.rounds)
    parser.add_argument("--episodes", type=int, default=defaults.episodes)
    parser.add_argument("--online-steps", type=int, default=defaults.online.steps)
    parser.add_argument("--oracle-steps", type=int, default=defaults.oracle.steps)
    parser.add_argument("--threads", type=int, default=defaults.threads, help="of physics and torch; 0: every core")
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change any setting")
    parser.add_argument(
        "--report", type=Path, nargs="?", const=PAGE, metavar="PAGE", help="write the page of --out, run nothing"
    )
    parser.add_argument("--film", action="store_true", help="film start and end of ours side by side, run nothing")
    parser.add_argument("--steady", action="store_true", help="print the speeds that steady commands reach")
    return parser


def _benchmark(options: argparse.Namespace, threads: int) -> ConditionBenchmark:
    defaults = ConditionBenchmark()
    benchmark = replace(
        defaults,
        bundle=options.bundle,
        robust=options.robust,
        log_steps=options.log_steps,
        rounds=options.rounds,
        episodes=options.episodes,
        threads=threads,
        online=replace(defaults.online, steps=options.online_steps),
        oracle=replace(defaults.oracle, steps=options.oracle_steps),
    )
    for assignment in options.set:
        benchmark = with_assignment(benchmark, assignment)
    return benchmark.scaled(options.share) if options.share < 1.0 else benchmark


def main() -> None:
    options = _parser().parse_args()
    try:
        _run(options)
    except Go1Error as error:
        raise SystemExit(str(error)) from None


def _run(options: argparse.Namespace) -> None:
    if options.report:
        write_page(options.out, options.report)
        print(options.report)
        return
    threads = options.threads if options.threads > 0 else os.cpu_count() or 1
    torch.set_num_threads(threads)
    if options.steady:
        for condition in options.conditions:
            for bundle in (options.bundle, options.robust):
                print(steady_table(bundle, condition, threads=threads))
        return
    require_runnable(options.conditions, options.stages)
    benchmark = _benchmark(options, threads)

    def say(line: str) -> None:
        print(line, flush=True)

    if options.film:
        failures = film_conditions(read_results(options.out), benchmark, options.conditions, options.out, say)
    else:
        failures = run_cells(benchmark, options.conditions, options.seeds, options.stages, options.out, say)
    if failures:
        raise SystemExit("\n".join([f"{len(failures)} failed:", *failures]))


if __name__ == "__main__":
    main()
