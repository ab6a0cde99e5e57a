"""A process that forks at a point: every child goes on by itself, and the parent learns what came of it.

Each test runs in an interpreter of its own: forks must not copy a test runner with its threads and open files.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

_PRELUDE = """
import os
from sim.faults.branching import BranchError, Branches
from sim.faults.case import Expectation, FaultCase

cases = [FaultCase(name, "group", Expectation.TOLERATED, seed=0) for name in ("first", "second", "third")]
branches = Branches(cases)
"""


def _run(source: str) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", _PRELUDE + source], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_every_case_goes_on_from_the_same_point_in_a_process_of_its_own() -> None:
    told = _run("""
walked = []
def play():
    walked.append("walked")
    case = branches.choose()
    walked.append(case.name)
    return os.getpid(), tuple(walked)

results = branches.collect(play)
assert [walk for _, walk in results] == [("walked", name) for name in ("first", "second", "third")], results
assert len({pid for pid, _ in results} | {os.getpid()}) == 4
assert walked == ["walked"]
print("once")
""")
    assert told == "once\n"  # no child came this far


def test_a_child_that_fails_is_an_error_of_the_parent_with_its_name() -> None:
    told = _run("""
def play():
    if branches.choose().name == "second":
        raise ValueError("broken")

try:
    branches.collect(play)
except BranchError as error:
    print("second" in str(error))
""")
    assert told == "True\n"


def test_a_child_that_is_killed_is_an_error_of_the_parent() -> None:
    told = _run("""
def play():
    branches.choose()
    os.kill(os.getpid(), 9)

try:
    branches.collect(play)
except BranchError as error:
    print("first" in str(error))
""")
    assert told == "True\n"


def test_an_error_before_the_first_branch_is_the_parents_own() -> None:
    told = _run("""
def play():
    raise ValueError("before")

try:
    branches.collect(play)
except ValueError as error:
    print(error)
""")
    assert told == "before\n"
