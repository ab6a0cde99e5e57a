"""`go1 robot shadow`, and `--shadow` of the commands that drive: compare a new policy with the one that drives."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Optional

from cli.arguments import existing_file, existing_folder
from cli.commands import Commands
from cli.exit_status import EXIT_UNFINISHED
from cli.output import add_json, print_result, without_nan

if TYPE_CHECKING:
    from deploy.onboard.shadow_report import ShadowReport
    from deploy.onboard.summary import RunSummary
    from policy.bundle import Bundle


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
    shadow.add_argument("--out", type=Path, metavar="FILE.json", help="keep the report, for go1 robot flash")
    add_json(shadow)


def add_shadow_option(parser: argparse.ArgumentParser) -> None:
    """A second policy, for commands that drive."""
    parser.add_argument(
        "--shadow",
        type=existing_file,
        metavar="BUNDLE",
        help="a new policy to run beside and compare, in a process of its own; it never drives",
    )


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
    if options.out is not None:
        write_report(report, options.out)
    return 0 if report.may_drive else EXIT_UNFINISHED


def candidate(options: argparse.Namespace) -> Optional[Bundle]:
    """The bundle that `--shadow` names. Read before a session begins: its faults are not those of the one that drives.

    Raises:
        BundleError: it is not sealed.
    """
    from policy.bundle import read_bundle

    return None if options.shadow is None else read_bundle(options.shadow)


def keep_report(summary: RunSummary, log_dir: Path) -> bool:
    """Write the report of a session's shadow beside the log, named as that; whether the shadow may drive.

    Where there was no shadow, nothing speaks against it.
    """
    report = summary.shadow
    if report is None:
        return True
    name = Path(summary.recorder.path).stem or f"without_log_{report.candidate_sha256[:12]}"
    path = log_dir / f"{name}.shadow.json"
    write_report(report, path)
    verdict = "may drive" if report.may_drive else f"should not drive: {'; '.join(report.objections)}"
    print(f"go1: the policy in the shadow {verdict} ({path})", file=sys.stderr)
    return report.may_drive


def write_report(report: ShadowReport, path: Path) -> None:
    """A file that `deploy.onboard.shadow_report.read_report` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(without_nan(report.to_dict()), indent=2, allow_nan=False)
    path.write_text(content + "\n", encoding="utf-8")
