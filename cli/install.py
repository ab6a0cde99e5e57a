"""`go1 robot install`: the project and its service onto the robot's computer."""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import asdict
from typing import Any, Dict

from cli.arguments import existing_folder, seconds
from cli.commands import Commands
from cli.flash import EXAMPLE_HOST, add_ssh, ssh_robot, ssh_words_as_given
from cli.output import print_result

LONGEST_SESSION_S = 3600.0


def add_install(commands: Commands) -> None:
    """The robot's computer."""
    install = commands.command(
        "install",
        run_install,
        "Install this project on the robot's computer over ssh, beside what runs there, and a service that starts by "
        "hand only.",
        f"go1 robot install {EXAMPLE_HOST} --python python3.8 --dry-run",
    )
    add_ssh(install, True, "the Python there that makes the project's environment, 3.8 or newer [%(default)s]")
    install.add_argument("--folder", default="go1", metavar="DIR", help="where to, there [~/%(default)s]")
    install.add_argument(
        "--wheels", type=existing_folder, metavar="DIR", help="of the robot's packages, for a robot without internet"
    )
    install.add_argument("--service-user", metavar="NAME", help="who runs the service, never root [the user of --host]")
    install.add_argument("--robot", metavar="HOST[:PORT]", help="the motor controller, seen from there [the Go1's own]")
    install.add_argument(
        "--duration", type=seconds, default=LONGEST_SESSION_S, help="walking that ends a session [%(default)g s]"
    )
    install.add_argument("--unit-folder", metavar="DIR", help="where systemd looks there [/etc/systemd/system]")
    install.add_argument(
        "--dry-run", action="store_true", help="look there, change nothing, print the steps as one shell script"
    )


def run_install(options: argparse.Namespace) -> int:
    """Step by step, each announced before it is taken."""
    from deploy.host.install import SYSTEM_UNITS, InstallSettings, as_script, plan, probe, run_step
    from deploy.host.wheel import build_wheel
    from robot_configs.robot import load_robot

    network = load_robot().network
    settings = InstallSettings(
        python=options.python,
        robot_address=options.robot or f"{network.host}:{network.port}",
        duration_s=options.duration,
        folder=options.folder,
        wheels=options.wheels,
        service_user=options.service_user,
        unit_folder=options.unit_folder or SYSTEM_UNITS,
    )
    robot = ssh_robot(options)
    computer = probe(robot, options.python)
    steps = plan(computer, settings, robot.root, build_wheel())
    if options.dry_run and not options.json:
        print(as_script(steps, options.host))
        return 0
    found = asdict(computer)
    if not options.json:
        found["python"] = "{}.{}".format(*computer.python)
    report: Dict[str, Any] = {"host": options.host, "computer": found, "dry_run": options.dry_run}
    report["steps"] = []
    for step in steps:
        # To where errors go, so that the report alone is on the output.
        print(f"{step.title} ...", file=sys.stderr, flush=True)
        said = step.script if options.dry_run else run_step(robot, step)
        report["steps"].append({"step": step.title, "bytes_sent": len(step.content), "said": said.splitlines()})
    python = f"{options.folder}/current/venv/bin/python"
    report["next"] = shlex.join(["go1", "robot", "flash", "BUNDLE", *ssh_words_as_given(options), "--python", python])
    print_result(report, options.json)
    return 0
