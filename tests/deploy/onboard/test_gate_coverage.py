"""Every branch of the gate, its modes and its wire is taken by a test that somebody wrote for it.

Property tests and random packets are left out: what they happen to reach is no statement about it. Nothing is excused
either, `pragma: no cover` included.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MODULES = (
    "frozen_sensors",
    "gate",
    "gravity_checks",
    "joint_command",
    "low_cmd_codec",
    "low_state_codec",
    "modes",
    "packet_layout",
    "plausibility",
    "reasons",
    "robot_state",
    "sensor_jumps",
    "signal_lists",
    "state_checks",
    "target",
    "target_limits",
    "tick_clock",
    "wire",
)
TESTS = (
    "frozen_sensors",
    "gate",
    "gravity_checks",
    "low_cmd_codec",
    "low_state_codec",
    "modes",
    "packet_layout",
    "plausibility",
    "reasons",
    "sensor_jumps",
    "signal_lists",
    "state_checks",
    "target_limits",
    "target_refusals",
    "target_torque",
    "tick_clock",
    "wire",
    "wire_damage",
    "wire_fixed_point",
)
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
    modules = ",".join(f"deploy/onboard/{name}.py" for name in MODULES)
    tests = ",".join(f"tests/deploy/onboard/test_{name}.py" for name in TESTS)
    command = [sys.executable, "-c", MEASURE, str(report), modules, tests]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-4000:]
    return json.loads(report.read_text(encoding="utf-8"))["files"]


@pytest.mark.parametrize("name", MODULES)
def test_every_branch_is_taken(measured: dict[str, dict], name: str) -> None:
    found = measured[f"deploy/onboard/{name}.py"]
    assert found["summary"]["num_statements"] > 0
    assert (found["missing_lines"], found["missing_branches"]) == ([], [])
