"""How a session's processes are run: options of the commands that drive a robot in real time."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.onboard.supervision import SupervisorSettings


def add_processes(parser: argparse.ArgumentParser) -> None:
    """One process or several, and what they ask the machine for."""
    parser.add_argument(
        "--one-process", action="store_true", help="gate, pilot and recorder in one process, as in lockstep"
    )
    add_real_time(parser)
    parser.add_argument("--gate-core", type=int, metavar="CORE", help="the only core the gate may run on")
    parser.add_argument("--pilot-core", type=int, metavar="CORE", help="the only core the pilot may run on")


def add_real_time(parser: argparse.ArgumentParser) -> None:
    """Whether to ask the machine for anything at all."""
    parser.add_argument(
        "--no-real-time", action="store_true", help="do not ask for SCHED_FIFO and locked memory (a shared machine)"
    )


def supervision(options: argparse.Namespace) -> SupervisorSettings:
    """What the options of `add_processes` ask for."""
    from deploy.onboard.supervision import SupervisorSettings

    return SupervisorSettings(
        real_time=not options.no_real_time,
        gate_core=options.gate_core,
        pilot_core=options.pilot_core,
        one_process=options.one_process,
    )
