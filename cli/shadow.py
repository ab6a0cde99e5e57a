"""`go1 robot shadow`: compare a new policy with the one that drove."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.arguments import existing_file, existing_folder
from cli.commands import Commands
from cli.exit_status import EXIT_UNFINISHED
from cli.output import add_json, print_result


def add_shadow(commands: Commands) -> None:
    """Compare before it may drive."""
    shadow = commands.command(
        "shadow",
        run_shadow,
        "Show a new policy what another one saw on the robot, and measure how far its targets are from what was sent.",
        "go1 robot shadow logs --bundle A.go1policy",
    )
    shadow.add_argument("logs", type=log_or_folder, metavar="LOGS", help="a log (MCAP), or a folder of logs")
    shadow.add_argument("--bundle", type=existing_file, required=True, help="the new policy, *.go1policy")
    add_json(shadow)


def log_or_folder(text: str) -> Path:
    """A path that is there."""
    return existing_folder(text) if Path(text).is_dir() else existing_file(text)


def run_shadow(options: argparse.Namespace) -> int:
    """Exit status 1 if the policy should not drive."""
    from deploy.host.shadow_replay import replay
    from policy.bundle import read_bundle
    from robot_configs.robot import load_robot

    report = replay(options.logs, read_bundle(options.bundle), load_robot())
    print_result(report.to_dict(), options.json)
    return 0 if report.may_drive else EXIT_UNFINISHED
