"""The offline-RL benchmark on Gymnasium's MuJoCo robots: makes whatever is missing, and reports what is there.

    python -m benchmarks.uni_o4 --out runs/uni_o4                                    everything of the standard budget
    python -m benchmarks.uni_o4 --robots hopper --sets medium --seeds 0 --methods iql ensemble --out runs/uni_o4
    python -m benchmarks.uni_o4 --budget smoke --robots hopper --sets medium --out runs/smoke     every part in minutes
    python -m benchmarks.uni_o4 --d4rl ~/.d4rl/datasets --out runs/uni_o4_d4rl        on D4RL's own files
    python -m benchmarks.uni_o4 --report docs/uni_o4_results.md --out runs/uni_o4    table and pictures, no computing

Stop it at any moment and start it again: results are skipped, the training behind the data and the online runs of ours
go on from their last checkpoint, and another trial begins anew. Two processes may share a folder as long as they
work on different robots.

How long it takes, by rates a processor second of one thread on a machine that others kept busy (an idle one is faster):
the data at 50 to 64 gradient steps of SAC, one a step, so an hour for each 200,000 steps until medium, and 5 hours
for medium-expert's million; IQL at 42 and TD3+BC at 55 gradient steps, so 80 and 60 minutes for 200,000; an episode
of 1000 steps at 2800 to 4300 environment steps, so 0.3 s, besides the policy. Every result has its own `wall_s` and
`processor_s`; ours and the offline evaluation were timed at the smoke budget only.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.uni_o4.budgets import Budget, budget_named
from benchmarks.uni_o4.data import DataSet, load_data_set
from benchmarks.uni_o4.finetune import ONLINE_METHODS, online_trial, run_online
from benchmarks.uni_o4.offline_trials import OFFLINE_METHODS, offline_trial, run_offline
from benchmarks.uni_o4.ope import ope_trial, run_ope
from benchmarks.uni_o4.recipe import DATA_SETS
from benchmarks.uni_o4.report import write_report
from benchmarks.uni_o4.results import ResultStore
from benchmarks.uni_o4.robots import ROBOTS
from robot_configs.errors import Go1Error

PARTS = ("data", "offline", "ope", "online")


def progress_line(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
    """One line on the terminal, overwritten by the next; a line of its own in a log file at the end of a stage."""
    text = f"{stage} {done}/{total} " + " ".join(f"{name} {value:.4g}" for name, value in figures.items())
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="\n" if done >= total else "", file=sys.stderr, flush=True)
    elif done >= total or "score" in figures:
        print(text, file=sys.stderr, flush=True)


class Benchmark:
    """Everything that is asked for, in an order in which nothing waits for what comes later."""

    def __init__(self, options: argparse.Namespace, budget: Budget) -> None:
        self.options, self.budget = options, budget
        self.store = ResultStore(options.out)

    def run(self) -> None:
        """All robots and sets, each part for every seed."""
        for robot in self.options.robots:
            for name in self.options.sets:
                recipe = self.budget.recipe_of(robot)
                cache = self.options.cache or self.options.out / "data"
                data = load_data_set(recipe, name, cache, self.options.d4rl, progress_line)
                sha256 = data.steps.sha256()
                print(f"{robot} {name}: {len(data.steps)} steps, behaviour scores {data.mean_score():.1f}")
                for seed in self.options.seeds:
                    self._trials(data, sha256, seed)

    def _trials(self, data: DataSet, sha256: str, seed: int) -> None:
        robot, name, budget, parts = data.robot.name, data.name, self.budget, self.options.parts
        if "offline" in parts:
            for method in self.options.methods:
                trial = offline_trial(robot, name, seed, method, budget)
                if not self.store.has(trial, sha256):
                    networks = self.store.path(trial, ".safetensors")
                    figures = run_offline(trial, data, budget, networks, progress_line)
                    self.store.write(trial, data, sha256, figures)
                    print(f"  seed {seed} {method}: {figures['score']:.1f} in {figures['wall_s']:.0f} s")
        trial = ope_trial(robot, name, seed, budget)
        if "ope" in parts and not self.store.has(trial, sha256):
            figures = run_ope(trial, data, budget, progress_line)
            self.store.write(trial, data, sha256, figures)
            print(f"  seed {seed} rank correlation: {figures['rank_correlation']}, coverage: {figures['coverage']}")
        if "online" in parts:
            for method in self.options.online_methods:
                self._online(data, sha256, seed, method)

    def _online(self, data: DataSet, sha256: str, seed: int, method: str) -> None:
        trial = online_trial(data.robot.name, data.name, seed, method, self.budget)
        if self.store.has(trial, sha256):
            return
        offline = self.store.path(replace(trial, part="offline"), ".safetensors")
        state = self.store.path(trial, ".state.safetensors")
        figures = run_online(trial, data, self.budget, offline, state, progress_line)
        self.store.write(trial, data, sha256, figures)
        print(f"  seed {seed} online {method}: {figures['start_score']:.1f} -> {figures['score']:.1f}")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.uni_o4", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--robots", nargs="+", choices=list(ROBOTS), default=list(ROBOTS))
    parser.add_argument("--sets", nargs="+", choices=DATA_SETS, default=["medium", "medium-replay"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="of the learners; the data have their own")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--methods", nargs="+", choices=OFFLINE_METHODS, default=list(OFFLINE_METHODS))
    parser.add_argument("--online-methods", nargs="+", choices=ONLINE_METHODS, default=["ensemble", "scratch", "iql"])
    parser.add_argument("--budget", default="standard", help="standard or smoke")
    parser.add_argument("--peer-updates", type=int, help="gradient steps of IQL and TD3+BC instead of the budget's")
    parser.add_argument("--d4rl", type=Path, help="folder of D4RL's HDF5 files to use instead of the recipe's")
    parser.add_argument("--cache", type=Path, help="folder of the data sets; OUT/data by default")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--report", type=Path, help="write this Markdown file from the results there are, and stop")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; errors that a person can put right are one line."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    try:
        if options.report is not None:
            write_report(ResultStore(options.out), options.report, options.out)
            return 0
        budget = budget_named(options.budget)
        if options.peer_updates is not None:
            budget = replace(budget, peers=replace(budget.peers, updates=options.peer_updates))
        Benchmark(options, budget).run()
    except Go1Error as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
