"""Runs many cases, on several cores; the result does not depend on how many."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Optional, Tuple

from policy.bundle import read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.faults.case import FaultCase
from sim.faults.other_cases import other_cases
from sim.faults.sensor_cases import sensor_cases
from sim.faults.trial import run_trial
from sim.faults.verdict import Verdict, judge

CONDITION = "nominal"

Progress = Callable[[int, int], None]


def all_cases() -> Tuple[FaultCase, ...]:
    """The whole matrix."""
    return sensor_cases() + other_cases()


def run_case(case: FaultCase, bundle_path: Path) -> Verdict:
    """Run one case and judge it."""
    return judge(case, run_trial(case, read_bundle(bundle_path), load_robot(), load_condition(CONDITION)))


def run_cases(
    cases: Sequence[FaultCase], bundle_path: Path, workers: int, progress: Optional[Progress] = None
) -> Tuple[Verdict, ...]:
    """Verdicts in the order of `cases`."""
    verdicts = []
    for verdict in _each(cases, bundle_path, workers):
        verdicts.append(verdict)
        if progress is not None:
            progress(len(verdicts), len(cases))
    return tuple(verdicts)


def _each(cases: Sequence[FaultCase], bundle_path: Path, workers: int) -> Iterator[Verdict]:
    run = partial(run_case, bundle_path=bundle_path)
    if workers <= 1:
        yield from map(run, cases)
        return
    # Spawned, not forked: the parent may have threads.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(run, cases, chunksize=4)
