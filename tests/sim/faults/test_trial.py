"""A branch of a walk is the trial itself, and a runner that breaks the rules is found out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Optional

import pytest

from deploy.onboard.link import PacketLink
from deploy.onboard.remote_schedule import RemoteSchedule
from deploy.onboard.schedule import Change, TickView
from deploy.onboard.target import Mode
from deploy.onboard.wire import JointCommand
from policy.bundle import Bundle
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.faults.campaign import all_cases, run_cases
from sim.faults.trial import run_trial
from sim.faults.verdict import Outcome, judge

CASES = {case.name: case for case in all_cases()}
BRANCHED = ("joint_position.FR_calf/delayed", "loss/30_percent_both_ways", "pilot/late_by_25_ms")


def test_a_branch_is_the_trial_itself_to_the_bit(
    bundle_path: Path, bundle: Bundle, robot: RobotModel, nominal: TwinCondition
) -> None:
    cases = [replace(CASES[name], world=3) for name in BRANCHED]
    verdicts = run_cases(cases, bundle_path, workers=1)
    alone = [run_trial(case, bundle, robot, nominal) for case in cases]
    # As texts, which give every bit of a float: the speed of a robot that was damped at once is NaN, equal to nothing.
    assert [repr(verdict.result) for verdict in verdicts] == [repr(result) for result in alone]


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


def test_a_runner_that_overshoots_is_found_out(
    bundle: Bundle, robot: RobotModel, nominal: TwinCondition, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = PacketLink.send

    def overshoot(link: PacketLink, command: JointCommand) -> None:
        send(link, replace(command, position=command.position + 1.5))

    monkeypatch.setattr(PacketLink, "send", overshoot)
    case = CASES["pilot/nan"]
    result = run_trial(case, bundle, robot, nominal)
    assert result.violations["torque"] > 10
    assert judge(case, result).outcome is Outcome.UNSAFE


class EagerSchedule(RemoteSchedule):
    """Stands up again on its own after a fault: what no schedule may do."""

    def decide(self, view: TickView) -> Optional[Change]:
        asked = super().decide(view)
        if asked is None and view.mode in (Mode.FAULT, Mode.DAMP) and view.time_s > 1.0:
            return Change(Mode.DAMP if view.mode is Mode.FAULT else Mode.STAND)
        return asked


def test_a_runner_that_rearms_itself_is_found_out(
    bundle: Bundle, robot: RobotModel, nominal: TwinCondition, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = CASES["cable/unplugged_and_back"]
    assert judge(case, run_trial(case, bundle, robot, nominal)).outcome is Outcome.DETECTED
    monkeypatch.setattr("sim.faults.stage.RemoteSchedule", EagerSchedule)
    result = run_trial(case, bundle, robot, nominal)
    assert result.moved_again_s is not None
    assert judge(case, result).outcome is Outcome.UNSAFE


def test_after_a_cable_was_back_only_a_person_sets_the_robot_in_motion(
    bundle: Bundle, robot: RobotModel, nominal: TwinCondition
) -> None:
    case = CASES["cable/back_and_rearmed_by_a_person"]
    result = run_trial(case, bundle, robot, nominal)
    assert judge(case, result).outcome is Outcome.DETECTED
    assert result.moved_again_s is not None and 0.9 <= result.moved_again_s < 1.0
