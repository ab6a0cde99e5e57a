"""`go1 robot doctor`: what is wrong with the robot, and what to do."""

from __future__ import annotations

import argparse
import sys

from cli.arguments import address, seconds
from cli.commands import Commands
from cli.exit_status import EXIT_UNFINISHED
from cli.output import add_json, print_result

CONFIRMATION = "hangs"


def add_doctor(commands: Commands) -> None:
    """Name the fault."""
    doctor = commands.command(
        "doctor",
        run_doctor,
        "Listen to a robot and name what is wrong with it and what to do. It must lie or hang: its motors are damped.",
        "go1 robot doctor 192.168.123.10",
    )
    doctor.add_argument("robot", type=address, metavar="HOST[:PORT]", help="the motor controller, or a twin")
    doctor.add_argument("--listen", type=seconds, default=3.0, metavar="S", help="how long [%(default)s]")
    doctor.add_argument("--wiggle", action="store_true", help="also move every joint of the hanging robot by 0.05 rad")
    doctor.add_argument("--robot-hangs", action="store_true", help="confirms it; without this, --wiggle asks")
    add_json(doctor)


def run_doctor(options: argparse.Namespace) -> int:
    """Exit status 1 if there is a fault."""
    if options.wiggle and not (options.robot_hangs or _confirmed()):
        print("go1: not confirmed; nothing was moved, nothing was checked", file=sys.stderr)
        return EXIT_UNFINISHED

    from deploy.host.doctor.examination import examine
    from robot_configs.robot import load_robot

    host, port = options.robot
    examination = examine(load_robot(), host, port, options.listen, options.wiggle)
    if options.json:
        print_result(examination.to_dict(), as_json=True)
    else:
        print(examination)
    return 0 if examination.healthy else EXIT_UNFINISHED


def _confirmed() -> bool:
    """Whether a person has said that the robot hangs; tells them what to look for."""
    from deploy.host.doctor.wiggle import AMPLITUDE_RAD, MOTIONS

    lines = [f"Each joint in turn will move by {AMPLITUDE_RAD} rad, leg by leg: FR, FL, RR, RL. Look at the first half"]
    lines += ["of each motion:", *(f"  {joint:6} {motion}" for joint, motion in MOTIONS.items())]
    print("\n".join(lines), file=sys.stderr)
    print(f"The robot must hang with its feet off the ground. Type `{CONFIRMATION}`: ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip() == CONFIRMATION
