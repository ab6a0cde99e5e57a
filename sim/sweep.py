"""Run the trials of a sweep by Ray, each in a process of its own; what is finished is not run again.

go1 sim sweep --preset quick --seed 1 2 3 --set task.num_envs=256,512 --out runs/sweep
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple

from policy.code_version import code_version
from robot_configs.errors import Go1Error
from sim.sweep_plan import Trial
from sim.sweep_trial import FAILURE, TrialRecord, json_settings, read_record, run_trial, write_record

_LONGEST_LINE = 300

Report = Callable[[int, int], None]
Work = Callable[[Trial, Path, str, bool], None]


class SweepError(Go1Error):
    """A sweep that can not run here."""


@dataclass(frozen=True)
class SweepResources:
    """Where trials run.

    Attributes:
        cpus_per_trial: processor cores that Ray sets aside for one; None is all of the machine, so that one trial runs
            at a time. Physics takes every core that it finds all the same.
        gpus_per_trial: for engines that compute on one; Ray hides them from trials that ask for none.
        address: of a running Ray cluster whose machines share the folder; None starts Ray here, for this sweep.
    """

    cpus_per_trial: Optional[int] = None
    gpus_per_trial: float = 0.0
    address: Optional[str] = None


def run_sweep(
    trials: Sequence[Trial],
    out: Path,
    resources: SweepResources,
    command: str,
    report: Optional[Report] = None,
    work: Work = run_trial,
    film: bool = True,
) -> Tuple[TrialRecord, ...]:
    """Run what is not finished; returns the records in the order of the trials. A trial that fails stops no other.

    Args:
        report: told how many trials have ended, and how many there are.
        work: what a trial is. film: whether each trial ends with a film of its policy.

    Raises:
        TrialError: a folder of other settings; found before anything runs.
        SweepError: no Ray, or no machine that has what a trial asks for.
    """
    folders = {trial.name: out.resolve() / trial.name for trial in trials}
    records = {trial.name: read_record(trial, folders[trial.name]) for trial in trials}
    waiting = [trial for trial in trials if not _finished(records[trial.name])]
    ended = len(trials) - len(waiting)
    if report is not None:
        report(ended, len(trials))
    if waiting:
        for trial, failure in _outcomes(waiting, folders, resources, command, work, film):
            if failure is not None:
                _record_failure(trial, folders[trial.name], failure)
            ended += 1
            if report is not None:
                report(ended, len(trials))
    return tuple(_known(read_record(trial, folders[trial.name])) for trial in trials)


def _finished(record: Optional[TrialRecord]) -> bool:
    return record is not None and record.status == "finished"


def _known(record: Optional[TrialRecord]) -> TrialRecord:
    assert record is not None  # every trial that ended has left one, by itself or by `run_sweep`
    return record


def _record_failure(trial: Trial, folder: Path, error: Exception) -> None:
    """In a line for the table, and with the trial's own traceback, which Ray brings along, beside its curve."""
    cause = getattr(error, "cause", None) or error
    line = " ".join(f"{type(cause).__name__}: {cause}".split())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FAILURE).write_text(f"{error}\n", encoding="utf-8")
    failure = line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} ..."
    write_record(folder, TrialRecord("failed", json_settings(trial), code_version(), failure=failure))


def _outcomes(
    trials: Sequence[Trial], folders: dict[str, Path], resources: SweepResources, command: str, work: Work, film: bool
) -> Iterator[Tuple[Trial, Optional[Exception]]]:
    """Trials as they end, each with what went wrong, if anything did."""
    with _ray(resources.address) as ray:
        cpus = checked_cpus(ray, resources)
        # One call a worker: a trial's process ends with it, and nothing of it is left to the next.
        remote = ray.remote(max_calls=1, max_retries=0, num_cpus=cpus, num_gpus=resources.gpus_per_trial)(work)
        pending = {remote.remote(trial, folders[trial.name], command, film): trial for trial in trials}
        while pending:
            (reference,), _ = ray.wait(list(pending), num_returns=1)
            trial = pending.pop(reference)
            try:
                ray.get(reference)
            except ray.exceptions.RayError as error:
                yield trial, error
            else:
                yield trial, None


@contextmanager
def _ray(address: Optional[str]) -> Iterator[Any]:
    """Ray, started here or joined; left again at the end, and with it whatever still runs."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked for figures about a laboratory to be sent away
    try:
        import ray
    except ModuleNotFoundError as error:
        remedy = "Install the extra that has it: pip install '.[sweep]'."
        raise SweepError("the Python package ray", "none in this environment", remedy) from error
    ray.init(
        address="local" if address is None else address,
        include_dashboard=None if address is not None else False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield ray
    finally:
        ray.shutdown()


def checked_cpus(ray: Any, resources: SweepResources) -> float:
    """Cores to ask for; all of the largest machine, where nothing was said.

    Raises:
        SweepError: no machine has what a trial asks for, and Ray would wait for one for ever.
    """
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    most = max(machine.get("CPU", 0.0) for machine in machines)
    cpus = most if resources.cpus_per_trial is None else float(resources.cpus_per_trial)
    gpus = resources.gpus_per_trial
    if not any(machine.get("CPU", 0.0) >= cpus and machine.get("GPU", 0.0) >= gpus for machine in machines):
        found = "; ".join(f"{one.get('CPU', 0.0):g} cores, {one.get('GPU', 0.0):g} GPUs" for one in machines)
        raise SweepError(f"a machine with {cpus:g} cores and {gpus:g} GPUs for a trial", found, "Ask for less.")
    return cpus
