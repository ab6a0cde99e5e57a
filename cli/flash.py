"""`go1 robot flash`, `rollback`, `confirm`, `status`: what the robot runs, from a laptop or on the robot itself."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Dict, List

from cli.arguments import add_bundle, existing_file
from cli.commands import Commands
from cli.output import add_json, print_result

if TYPE_CHECKING:
    from deploy.host.flash import SshRobot

EXAMPLE_HOST = "--host unitree@192.168.123.15"


def add_flash(commands: Commands) -> None:
    """The store of bundles on the robot."""
    flash = commands.command(
        "flash",
        run_flash,
        "Copy a policy to the robot, verify it there with the robot's own onnxruntime, and make it active, on trial.",
        f"go1 robot flash walk.go1policy {EXAMPLE_HOST}",
    )
    add_bundle(flash)
    add_ssh(flash, required=True)
    flash.add_argument("--allow-downgrade", action="store_true", help="take an older version than was confirmed there")
    flash.add_argument(
        "--after-shadow",
        type=existing_file,
        metavar="REPORT.json",
        help="only if this report of its run in the shadow (go1 robot run --shadow) lets it drive",
    )
    rollback = commands.command(
        "rollback", run_store_verb, "Go back to the previous policy.", f"go1 robot rollback {EXAMPLE_HOST}"
    )
    rollback.set_defaults(verb="rollback")
    confirm = commands.command(
        "confirm",
        run_store_verb,
        "Trust the policy on trial for good, after a session without fault; else the next failure takes it out.",
        f"go1 robot confirm {EXAMPLE_HOST}",
    )
    confirm.set_defaults(verb="confirm")
    status = commands.command(
        "status",
        run_store_verb,
        "Show which policy is active, whether it is on trial, and which one it would go back to.",
        f"go1 robot status {EXAMPLE_HOST} --json",
    )
    status.set_defaults(verb="status")
    for parser in (rollback, confirm, status):
        add_ssh(parser, required=False)


PYTHON_THERE = (
    "the Python there that has this project; go1/current/venv/bin/python after go1 robot install [%(default)s]"
)


def add_ssh(parser: argparse.ArgumentParser, required: bool, python_help: str = PYTHON_THERE) -> None:
    """How ssh reaches the robot's computer; without --host, the store is on this computer."""
    where = "the robot's computer" if required else "the robot's computer; without it, this one"
    parser.add_argument("--host", required=required, metavar="USER@HOST", help=where)
    parser.add_argument("--port", type=int, help="of its sshd")
    parser.add_argument("--identity", type=existing_file, metavar="FILE", help="private key for ssh")
    parser.add_argument("--ssh-option", action="append", default=[], metavar="KEY=VALUE", help="for ssh -o; repeatable")
    parser.add_argument("--python", default="python3", metavar="PROGRAM", help=python_help)
    parser.add_argument("--slots", metavar="DIR", help="the store there [~/.go1/store]")
    add_json(parser)


def ssh_words_as_given(options: argparse.Namespace) -> List[str]:
    """The options that `add_ssh` added, as the person gave them, for a next command; without --python."""
    words = ["--host", options.host]
    if options.port is not None:
        words += ["--port", str(options.port)]
    if options.identity is not None:
        words += ["--identity", str(options.identity)]
    for option in options.ssh_option:
        words += ["--ssh-option", option]
    return words if options.slots is None else [*words, "--slots", options.slots]


def run_flash(options: argparse.Namespace) -> int:
    """Over ssh."""
    from deploy.host.flash import flash
    from deploy.onboard.shadow_report import require_passed
    from policy.bundle import read_bundle

    if options.after_shadow is not None:
        require_passed(options.after_shadow, read_bundle(options.bundle).sha256)
    status = flash(options.bundle, ssh_robot(options), options.allow_downgrade)
    print_result(status if options.json else without_repetition(status), options.json)
    if status["installed"].get("failed_here_before"):  # a robot with an older release does not say
        print("go1: NOTE: on that robot an earlier trial of this very policy ended in a fault", file=sys.stderr)
    return 0


def without_repetition(status: Dict[str, Any]) -> Dict[str, Any]:
    """The store's status for people: `installed` without what the status itself says already."""
    installed = {name: value for name, value in status["installed"].items() if name not in status}
    return {**status, "installed": installed}


def run_store_verb(options: argparse.Namespace) -> int:
    """Over ssh, or here."""
    if options.host is not None:
        result = ssh_robot(options).call(options.verb)
    else:
        from deploy.onboard.slot_command import carry_out
        from deploy.onboard.store import DEFAULT_ROOT

        result = carry_out(options.slots or DEFAULT_ROOT, options.verb, sys.stdin.buffer)
    print_result(result, options.json)
    return 0


def ssh_robot(options: argparse.Namespace) -> SshRobot:
    """From the options that `add_ssh` added."""
    from deploy.host.flash import SshRobot
    from deploy.onboard.store import DEFAULT_ROOT

    root = options.slots or DEFAULT_ROOT
    return SshRobot(options.host, options.port, options.identity, tuple(options.ssh_option), options.python, root)
