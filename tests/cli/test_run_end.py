"""How a session's end becomes an exit status: `robot run` and `teleop` agree."""

from __future__ import annotations

from dataclasses import replace

import pytest

import cli.robot
import cli.teleop
from cli.run_end import exit_status, log_line, report_log
from deploy.onboard.link import LinkStatistics
from deploy.onboard.recorder import RecorderReport
from deploy.onboard.summary import RunSummary

NO_LOG = RecorderReport("", {}, {}, "")
CLEAN = RecorderReport("logs/a.mcap", {"/low_state": 500, "/event": 3}, {"/low_state": 0, "/event": 0}, "")
LOSSY = RecorderReport(
    "logs/a.mcap",
    {"/low_state": 400, "/policy_tick": 51},
    {"/low_state": 1100, "/policy_tick": 249, "/event": 0},
    "[Errno 28] No space left on device",
)
UNFINISHED = replace(CLEAN, error="[Errno 5] Input/output error")


def session(faults: "tuple[str, ...]" = (), stop_reason: str = "", recorder: RecorderReport = NO_LOG) -> RunSummary:
    nothing = LinkStatistics(0, 0, 0, {}, 0), recorder
    return RunSummary((), faults, stop_reason, 0, 0, 0.0, 0.0, {}, {}, *nothing)


@pytest.mark.parametrize(
    ("summary", "may_drive", "rearmed", "expected"),
    [
        (session(), True, False, 0),
        (session(), False, False, 1),
        (session(stop_reason="SIGINT"), True, False, 1),
        (session(("tilt",), "tilt"), True, False, 1),
        (session(("tilt",)), True, False, 1),  # a person re-armed, and went on to the end of the plan
        (session(("tilt",)), True, True, 0),  # the plan allowed for falls
        (session(("tilt",), "5 faults in a row"), True, True, 1),
        (session(recorder=CLEAN), True, False, 0),
        (session(recorder=LOSSY), True, True, 1),
        (session(recorder=replace(LOSSY, error="")), True, False, 1),  # a disk that was only slow
        (session(recorder=UNFINISHED), True, False, 1),
    ],
)
def test_exit_status(summary: RunSummary, may_drive: bool, rearmed: bool, expected: int) -> None:
    assert exit_status(summary, may_drive, rearmed) == expected


@pytest.mark.parametrize(
    ("recorder", "said"),
    [
        (CLEAN, ""),
        (NO_LOG, ""),
        (
            LOSSY,
            "THE LOG IS NOT WHOLE: 1349 records lost (1100 of 1500 /low_state, 249 of 300 /policy_tick); "
            "[Errno 28] No space left on device; what there is of it: logs/a.mcap",
        ),
        (
            replace(LOSSY, error=""),
            "THE LOG IS NOT WHOLE: 1349 records lost (1100 of 1500 /low_state, 249 of 300 /policy_tick); "
            "the disk was too slow; what there is of it: logs/a.mcap",
        ),
        (
            UNFINISHED,
            "THE LOG MAY NOT BE WHOLE: no record is known to be lost; [Errno 5] Input/output error; "
            "what there is of it: logs/a.mcap",
        ),
        (
            RecorderReport("", {}, {"/low_state": 7}, "no disk"),
            "THE LOG IS NOT WHOLE: 7 records lost (7 of 7 /low_state); no disk; there is no file",
        ),
    ],
)
def test_what_is_said_of_the_log(recorder: RecorderReport, said: str) -> None:
    assert log_line(recorder) == said


def test_both_commands_use_it() -> None:
    assert cli.robot.exit_status is cli.teleop.exit_status is exit_status
    assert cli.robot.report_log is cli.teleop.report_log is report_log
