"""What commands take: types of arguments, and the arguments that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Tuple

# Types of arguments. argparse turns their errors into one line and exit status 2.


def existing_file(text: str) -> Path:
    """A path to a file that is there."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"expected a file; found a folder at {text!r}")
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"expected an existing file; found none at {text!r}")
    return path


def existing_folder(text: str) -> Path:
    """A path to a folder that is there."""
    path = Path(text)
    if path.is_file():
        raise argparse.ArgumentTypeError(f"expected a folder; found a file at {text!r}")
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"expected an existing folder; found none at {text!r}")
    return path


def existing_path(text: str) -> Path:
    """A path to a file or a folder that is there."""
    path = Path(text)
    if not (path.is_file() or path.is_dir()):
        raise argparse.ArgumentTypeError(f"expected an existing file or folder; found none at {text!r}")
    return path


def count(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero; found {text!r}")
    return int(text)


def count_or_none(text: str) -> int:
    """A whole number, zero allowed."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of at least zero; found {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A finite time above zero [s]."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a time above zero in seconds; found {text!r}")
    return value


def factor(text: str) -> float:
    """A finite factor of at least zero [-]."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a factor of at least zero; found {text!r}")
    return value


def address(text: str) -> Tuple[str, int]:
    """HOST[:PORT]."""
    from deploy.onboard.robot_address import RobotAddressError, parse_robot_address

    try:
        return parse_robot_address(text)
    except RobotAddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """The policy to use."""
    parser.add_argument("bundle", type=existing_file, metavar="BUNDLE", help="a sealed policy, *.go1policy")


def add_condition(parser: argparse.ArgumentParser) -> None:
    """The twin's world."""
    parser.add_argument(
        "--condition", default="nominal", metavar="NAME|FILE.yaml", help="the twin's world [%(default)s]"
    )


COMMANDS_HELP = (
    "a script (FILE.yaml), constants (vx=0.5,vy=0,yaw=0), random:seed=3,hold_s=4,stand_fraction=0.1, or remote "
    "[%(default)s]"
)


def add_gait(parser: argparse.ArgumentParser) -> None:
    """How to walk, for policies that take it as commands."""
    parser.add_argument(
        "--gait",
        default="",
        metavar="NAME=VALUE,...",
        help="hold gait commands of the policy, gait_frequency=2,swing_height=0.08,trunk_height=0.28 say; "
        "without it the script's, or the policy's defaults",
    )


def add_robot_address(parser: argparse.ArgumentParser) -> None:
    """Where the robot is and how to talk to it."""
    parser.add_argument("--robot", type=address, required=True, metavar="HOST[:PORT]", help="the robot, or a twin")
    parser.add_argument(
        "--lockstep",
        action="store_true",
        help="under a virtual clock; only with a twin that was started with --lockstep",
    )
    parser.add_argument(
        "--sdk", choices=["codec", "vendor"], default="codec", help="ours or the vendor's [%(default)s]"
    )
    parser.add_argument("--auto-rearm", action="store_true", help="stand up again after a fault; only with a twin")
    parser.add_argument(
        "--twin-elsewhere",
        action="store_true",
        help="the address is a twin on another computer, not a robot: allow --lockstep and --auto-rearm there",
    )
