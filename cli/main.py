"""The `go1` program: parses, runs one command, and turns what went wrong into a message and an exit status.

argparse, not typer or click: the robot runs this too, where four packages are installed and no fifth is needed for it.
Every import of the rest of the project is inside the command that needs it, so that `go1 --help` is instant and the
robot's commands work where torch and mujoco do not exist.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from typing import Optional, Sequence

from cli.commands import Commands
from cli.data import add_data
from cli.demo import add_demo
from cli.exit_status import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_READER_GONE
from cli.learning import add_learning
from cli.policy import add_policy
from cli.robot import add_robot
from cli.sim import add_sim
from cli.teleop import add_teleop
from robot_configs.errors import Go1Error


def main(words: Optional[Sequence[str]] = None) -> int:
    """Run one command; returns its exit status. A `Go1Error` becomes a message, a defect of ours stays a traceback."""
    words = sys.argv[1:] if words is None else words
    options = build_parser().parse_args(words)
    # As typed: a bundle's lineage says which command made it.
    options.command_line = shlex.join(["go1", *words])
    try:
        return int(options.run(options))
    except Go1Error as error:
        report_error(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in (
            "cli",
            "sim",
            "deploy",
            "offline_data",
            "policy",
            "robot_configs",
        ):
            raise
        report_error(missing_package(error.name))
    except BrokenPipeError:
        # The reader (`| head`) has had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_READER_GONE
    except OSError as error:
        if error.filename is None:
            raise
        report_error(
            Go1Error(f"to use {error.filename}", f"{error.strerror}", "Check the path, its permissions and free space.")
        )
    except KeyboardInterrupt:
        print("go1: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_ERROR


def report_error(error: Go1Error) -> None:
    """Print what was expected, what was found and what to do, a line each."""
    print(f"go1: expected {error.expected}\n     found    {error.found}\n     {error.remedy}", file=sys.stderr)


def missing_package(name: str) -> Go1Error:
    """What to say where a command needs a package that is not installed, as on the robot."""
    return Go1Error(
        f"the Python package {name}, which this command needs",
        "none of that name in this environment",
        "Run it on a computer with the training environment (`make venv`, or pip install '.[train]').",
    )


def build_parser() -> argparse.ArgumentParser:
    """All commands, in the order of the loop that they serve."""
    parser = argparse.ArgumentParser(
        prog="go1", description="One policy for the Unitree Go1: from simulation to the robot and back."
    )
    commands = Commands(parser)
    add_demo(commands)
    add_sim(commands.group("sim", "Train, watch and measure policies in simulation; stand in for the robot."))
    add_policy(commands.group("policy", "Look into a bundle and check it."))
    add_robot(commands.group("robot", "Run a policy on the robot, or on its twin."))
    add_teleop(commands)
    add_data(commands.group("data", "Turn logs into data sets."))
    add_learning(commands)
    return parser
