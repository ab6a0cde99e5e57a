"""Every branch of the gate, its modes and its wire is taken by a test that somebody wrote for it.

Property tests and random packets are left out: what they happen to reach is no statement about it. Nothing is excused
either, `pragma: no cover` included.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.mutant_sources import ROOT
from benchmarks.mutants import TESTS

MODULES = tuple(module for module in TESTS if module.startswith("deploy/onboard/"))
"""What decides whether the motors move, and with which command: the same list as for its mutants."""

MEASURE = """
import sys, coverage, pytest
report, modules, tests = sys.argv[1], sys.argv[2].split(","), sys.argv[3].split(",")
measured = coverage.Coverage(branch=True, data_file=None, config_file=False, include=modules)
measured.clear_exclude()
measured.start()
options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow and not hypothesis"]
status = pytest.main([*options, *tests])
measured.stop()
measured.json_report(outfile=report)
sys.exit(status)
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict]:
    """Coverage's report by module; in a process of its own, because here the modules are loaded already."""
    report = tmp_path_factory.mktemp("coverage") / "report.json"
    tests = sorted({name for module in MODULES for name in TESTS[module]})
    command = [sys.executable, "-c", MEASURE, str(report), ",".join(MODULES), ",".join(tests)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    return json.loads(report.read_text(encoding="utf-8"))["files"]


@pytest.mark.parametrize("module", MODULES)
def test_every_branch_is_taken(measured: dict[str, dict], module: str) -> None:
    found = measured[module]
    assert found["summary"]["num_statements"] > 0
    assert (found["missing_lines"], found["missing_branches"]) == ([], [])
