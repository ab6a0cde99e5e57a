"""How a session's end becomes an exit status: `robot run` and `teleop` agree."""

from __future__ import annotations

import pytest

import cli.robot
import cli.teleop
from cli.run_end import exit_status
from deploy.onboard.link import LinkStatistics
from deploy.onboard.recorder import RecorderReport
from deploy.onboard.summary import RunSummary


def session(faults: "tuple[str, ...]" = (), stop_reason: str = "") -> RunSummary:
    nothing = LinkStatistics(0, 0, 0, {}, 0), RecorderReport("", {}, {}, "")
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
    ],
)
def test_exit_status(summary: RunSummary, may_drive: bool, rearmed: bool, expected: int) -> None:
    assert exit_status(summary, may_drive, rearmed) == expected


def test_both_commands_use_it() -> None:
    assert cli.robot.exit_status is cli.teleop.exit_status is exit_status
