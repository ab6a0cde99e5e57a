"""The offline-RL benchmark on Gymnasium's MuJoCo robots: makes whatever is missing, and reports what is there.

    python -m benchmarks.uni_o4 --out runs/uni_o4                                    everything of the standard budget
    python -m benchmarks.uni_o4 --robots hopper --sets medium --seeds 0 --methods iql ensemble --out runs/uni_o4
    python -m benchmarks.uni_o4 --budget smoke --robots hopper --sets medium --out runs/smoke     every part in minutes
    python -m benchmarks.uni_o4 --budget papers --robots hopper --sets medium --seeds 0 --parts offline
        --methods td3bc iql --out runs/uni_o4                     the papers' million updates, beside the standard ones
    python -m benchmarks.uni_o4 --d4rl ~/.d4rl/datasets --out runs/uni_o4_d4rl        on D4RL's own files
    python -m benchmarks.uni_o4 --report docs/uni_o4_results.md --out runs/uni_o4    table and pictures, no computing

How long everything that is missing takes is printed first (`estimate`); `--estimate` stops there. A run that is cut has
one seed of everything before two of anything (`plan`). Stop it at any moment and start it again: results are skipped,
the training behind the data, the peers' offline training and the online runs of ours go on from their last checkpoint,
fits that several methods share are kept, and another trial begins anew. A trial that fails is written to
<out>/failures.txt and the run goes on; it is tried again the next time. Two processes may share a folder as long as
they work on different robots.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.uni_o4.budgets import Budget, budget_named
from benchmarks.uni_o4.data import DataSet, cached_path, load_data_set
from benchmarks.uni_o4.estimate import Estimate, hours_of
from benchmarks.uni_o4.finetune import ONLINE_METHODS, online_trial, run_online
from benchmarks.uni_o4.offline_trials import OFFLINE_METHODS, OfflineFiles, offline_trial, run_offline
from benchmarks.uni_o4.ope import ope_trial, run_ope
from benchmarks.uni_o4.plan import PARTS, Job, Wanted, plan
from benchmarks.uni_o4.recipe import DATA_SETS
from benchmarks.uni_o4.report import write_report
from benchmarks.uni_o4.results import ResultStore, Trial
from benchmarks.uni_o4.robots import ROBOTS, BenchmarkError
from robot_configs.errors import Go1Error
from sim.settings_paths import with_assignment

# What a trial may fail with, ours and that of the packages underneath (torch, MuJoCo, d3rlpy; the last two kinds are
# what a package of another version answers with). A kill, and a slip of a name in this code, end the run.
CONTAINED = (
    Go1Error, ArithmeticError, AssertionError, LookupError, MemoryError, OSError, RuntimeError, ValueError,
    AttributeError, TypeError,
)  # fmt: skip


def progress_line(stage: str, done: int, total: int, figures: dict[str, float]) -> None:
    """One line on the terminal, overwritten by the next; a line of its own in a log file at the end of a stage."""
    text = f"{stage} {done}/{total} " + " ".join(f"{name} {value:.4g}" for name, value in figures.items())
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="\n" if done >= total else "", file=sys.stderr, flush=True)
    elif done >= total or "score" in figures:
        print(text, file=sys.stderr, flush=True)


class Benchmark:
    """Everything that is asked for; what fails is noted, and the rest goes on.

    Attributes:
        failures: the jobs that failed, each with its reason in a line.
    """

    def __init__(self, options: argparse.Namespace, budget: Budget) -> None:
        self.options, self.budget = options, budget
        self.store, self.out = ResultStore(options.out), Path(options.out)
        self.cache: Path = options.cache or self.out / "data"
        self.failures: list[str] = []
        self._sets: dict[tuple[str, str], DataSet] = {}
        self._broken: dict[tuple[str, str], str] = {}
        self.jobs = list(plan(self._wanted()))

    def _wanted(self) -> Wanted:
        options = self.options
        return Wanted(
            options.robots, options.sets, options.seeds, options.parts, options.methods, options.online_methods,
            options.online_sets or self.budget.online_sets,
        )  # fmt: skip

    def run(self) -> None:
        """Every job of the plan, one after the other."""
        for job in self.jobs:
            try:
                self._do(job)
            except CONTAINED as error:
                self._note(job, error)

    def estimate(self) -> Estimate:
        """Processor hours of every job whose result is not there yet."""
        return hours_of([job for job in self.jobs if not self._is_done(job)], self.budget, self._made_sets())

    def _do(self, job: Job) -> None:
        data = self._data(job)
        if job.part == "offline":
            self._offline(job, data)
        elif job.part == "ope":
            self._ope(job, data)
        elif job.part == "online":
            self._online(job, data)

    def _note(self, job: Job, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        self.failures.append(f"{job}: {reason}")
        print(f"  FAILED {job}: {reason}", file=sys.stderr, flush=True)
        self.out.mkdir(parents=True, exist_ok=True)
        with open(self.out / "failures.txt", "a", encoding="utf-8") as file:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S")
            file.write(f"{stamp} {job}\n{''.join(traceback.format_exception(error))}\n")

    # ---- Data --------------------------------------------------------------------------------------------------------

    def _data(self, job: Job) -> DataSet:
        """The job's data set, from memory where it was read before; one that cannot be made is tried once."""
        name = (job.robot, job.data_set)
        if name in self._broken:
            raise BenchmarkError(
                f"the data set {' '.join(name)}", self._broken[name], "Put that right and start again."
            )
        if name not in self._sets:
            recipe = self.budget.recipe_of(job.robot)
            try:
                data = load_data_set(recipe, job.data_set, self.cache, self.options.d4rl, progress_line)
            except CONTAINED as error:
                self._broken[name] = f"{type(error).__name__}: {error}"
                raise
            self._sets[name] = data
            score = data.mean_score()
            print(f"{job.robot} {job.data_set}: {len(data.steps)} steps, behaviour scores {score:.1f}", flush=True)
        return self._sets[name]

    def _made_sets(self) -> list[tuple[str, str]]:
        if self.options.d4rl is not None:
            return [(job.robot, job.data_set) for job in self.jobs]
        return [
            (job.robot, job.data_set)
            for job in self.jobs
            if cached_path(self.cache, self.budget.recipe_of(job.robot), job.data_set).exists()
        ]

    # ---- Trials ------------------------------------------------------------------------------------------------------

    def _is_done(self, job: Job) -> bool:
        """Whether the result is there; only asked of data that are there, for the rest cannot have any."""
        if (job.robot, job.data_set) not in self._made_sets():
            return False
        if job.part == "data":
            return True
        try:
            data = self._data(job)
            trial = self._trial(job, data)
        except BenchmarkError:
            return False
        return self.store.find(trial, data.sha256) is not None

    def _trial(self, job: Job, data: DataSet) -> Trial:
        if job.part == "offline":
            return offline_trial(job.robot, job.data_set, job.seed, job.method, self.budget)
        if job.part == "ope":
            return ope_trial(job.robot, job.data_set, job.seed, self.budget)
        start = self._start_of(job)
        offline = self.store.find(start, data.sha256) if start is not None else None
        return online_trial(job.robot, job.data_set, job.seed, job.method, self.budget, offline)

    def _start_of(self, job: Job) -> Trial | None:
        """The offline trial that an online one continues; None where it starts from nothing."""
        if job.method == "scratch":
            return None
        return offline_trial(job.robot, job.data_set, job.seed, job.method, self.budget)

    def _offline(self, job: Job, data: DataSet) -> None:
        trial = self._trial(job, data)
        if self.store.find(trial, data.sha256) is not None:
            return
        files = OfflineFiles(
            self.store.path(trial, data.sha256, ".safetensors"),
            self.store.path(trial, data.sha256, ".state.safetensors"),
            self.out / "prepared",
        )
        figures = run_offline(trial, data, self.budget, files, progress_line)
        self.store.write(trial, data, figures)
        print(f"  {job}: {figures['score']:.1f} in {figures['wall_s']:.0f} s", flush=True)

    def _ope(self, job: Job, data: DataSet) -> None:
        trial = self._trial(job, data)
        if self.store.find(trial, data.sha256) is not None:
            return
        figures = run_ope(trial, data, self.budget, self.out / "prepared", progress_line)
        self.store.write(trial, data, figures)
        print(f"  {job}: rank correlation {figures['rank_correlation']}, coverage {figures['coverage']}", flush=True)

    def _online(self, job: Job, data: DataSet) -> None:
        trial = self._trial(job, data)
        if self.store.find(trial, data.sha256) is not None:
            return
        networks = self.store.path(self._start_of(job) or trial, data.sha256, ".safetensors")
        state = self.store.path(trial, data.sha256, ".state.safetensors")
        figures = run_online(trial, data, self.budget, networks, state, progress_line)
        self.store.write(trial, data, figures)
        print(f"  {job}: {figures['start_score']:.1f} -> {figures['score']:.1f}", flush=True)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.uni_o4", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--robots", nargs="+", choices=list(ROBOTS), default=["hopper", "walker2d", "halfcheetah"])
    parser.add_argument("--sets", nargs="+", choices=DATA_SETS, default=["medium", "medium-replay"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1], help="of the learners; the data have their own")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--methods", nargs="+", choices=OFFLINE_METHODS, default=list(OFFLINE_METHODS))
    parser.add_argument("--online-methods", nargs="+", choices=ONLINE_METHODS, default=list(ONLINE_METHODS))
    parser.add_argument("--online-sets", nargs="+", choices=DATA_SETS, help="instead of the budget's")
    parser.add_argument("--budget", default="standard", help="standard, papers or smoke")
    parser.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="change any setting of it")
    parser.add_argument("--d4rl", type=Path, help="folder of D4RL's HDF5 files to use instead of the recipe's")
    parser.add_argument("--cache", type=Path, help="folder of the data sets; OUT/data by default")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--report", type=Path, help="write this Markdown file from the results there are, and stop")
    parser.add_argument("--estimate", action="store_true", help="print how long it would take, and stop")
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    return parser.parse_args(arguments)


def budget_of(options: argparse.Namespace) -> Budget:
    """The budget that the command line names, with its changes."""
    budget = budget_named(options.budget)
    for assignment in options.set:
        budget = with_assignment(budget, assignment)
    return budget


def main(arguments: Sequence[str] | None = None) -> int:
    """Run: 0, or 1 where trials failed, or 2 where nothing could begin."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    try:
        budget = budget_of(options)
        if options.report is not None:
            write_report(ResultStore(options.out), options.report, options.out, budget)
            return 0
        benchmark = Benchmark(options, budget)
        print(benchmark.estimate(), flush=True)
    except Go1Error as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if options.estimate:
        return 0
    benchmark.run()
    for failure in benchmark.failures:
        print(f"FAILED {failure}", file=sys.stderr)
    return 1 if benchmark.failures else 0


if __name__ == "__main__":
    sys.exit(main())
