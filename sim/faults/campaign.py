"""Runs many cases, on several cores; the result does not depend on how many."""

from __future__ import annotations

import multiprocessing
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import DefaultDict, Dict, List, Optional, Tuple

from policy.bundle import read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.faults.case import FaultCase
from sim.faults.other_cases import other_cases
from sim.faults.sensor_cases import sensor_cases
from sim.faults.trial import TrialResult, run_branches, run_trial
from sim.faults.verdict import Verdict, judge

CONDITION = "nominal"

Progress = Callable[[int, int], None]

_CASES_PER_WALK = 16  # that share one: small enough for progress to be seen and cores to be kept busy


def all_cases() -> Tuple[FaultCase, ...]:
    """The whole matrix."""
    return sensor_cases() + other_cases()


def run_cases(
    cases: Sequence[FaultCase], bundle_path: Path, workers: int, progress: Optional[Progress] = None
) -> Tuple[Verdict, ...]:
    """Verdicts in the order of `cases`."""
    results: Dict[str, TrialResult] = {}
    # Spawned, not forked: walks fork themselves, and for that their process must have no other thread.
    with ProcessPoolExecutor(max(1, workers), mp_context=multiprocessing.get_context("spawn")) as pool:
        for finished in pool.map(partial(_run, bundle_path=bundle_path), _walks(cases)):
            results.update((result.name, result) for result in finished)
            if progress is not None:
                progress(len(results), len(cases))
    return tuple(judge(case, results[case.name]) for case in cases)


def _walks(cases: Sequence[FaultCase]) -> List[Tuple[FaultCase, ...]]:
    """Cases that begin with one walk side by side; alone, those with a recorder, whose thread no fork copies."""
    alone = [(case,) for case in cases if _needs_recorder(case)]
    worlds: DefaultDict[int, List[FaultCase]] = defaultdict(list)
    for case in cases:
        if not _needs_recorder(case):
            worlds[case.world].append(case)
    together = [
        tuple(members[first : first + _CASES_PER_WALK])
        for members in worlds.values()
        for first in range(0, len(members), _CASES_PER_WALK)
    ]
    return alone + together


def _needs_recorder(case: FaultCase) -> bool:
    return case.group == "machine"


def _run(cases: Tuple[FaultCase, ...], bundle_path: Path) -> Tuple[TrialResult, ...]:
    bundle, robot, condition = read_bundle(bundle_path), load_robot(), load_condition(CONDITION)
    if _needs_recorder(cases[0]):
        return (run_trial(cases[0], bundle, robot, condition),)
    return run_branches(cases, bundle, robot, condition)
