"""A trial repeats to the bit, and a branch of a walk is the trial itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from policy.bundle import Bundle
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.faults.campaign import all_cases, run_cases
from sim.faults.trial import run_trial

CASES = {case.name: case for case in all_cases()}
BRANCHED = ("joint_position.FR_calf/delayed", "loss/30_percent_both_ways", "pilot/late_by_25_ms")


def test_a_branch_is_the_trial_itself_to_the_bit(
    bundle_path: Path, bundle: Bundle, robot: RobotModel, nominal: TwinCondition
) -> None:
    cases = [replace(CASES[name], world=3) for name in BRANCHED]
    verdicts = run_cases(cases, bundle_path, workers=1)
    assert [verdict.result for verdict in verdicts] == [run_trial(case, bundle, robot, nominal) for case in cases]


def test_neither_the_wall_clock_nor_the_disk_changes_a_byte_on_the_wire(
    bundle: Bundle, robot: RobotModel, nominal: TwinCondition
) -> None:
    alone, jumped, full = (
        run_trial(CASES[f"machine/{name}"], bundle, robot, nominal)
        for name in ("left_alone", "wall_clock_set_by_-1000000000_s", "disk_full")
    )
    assert alone.commands_sha256 == jumped.commands_sha256 == full.commands_sha256
    assert alone.damped_s is None
    assert (alone.recorder_error, alone.records_dropped, jumped.records_dropped) == ("", 0, 0)
    assert "File too large" in full.recorder_error
    assert full.records_dropped > 0
