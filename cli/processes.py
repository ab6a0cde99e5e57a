"""How a session's processes are run: options of the commands that drive a robot in real time."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from deploy.onboard.supervision import SupervisorSettings


def add_processes(parser: argparse.ArgumentParser) -> None:
    """One process or several, and what they ask the machine for."""
    parser.add_argument(
        "--one-process", action="store_true", help="gate, pilot and recorder in one process, as in lockstep"
    )
    parser.add_argument(
        "--no-real-time", action="store_true", help="do not ask for SCHED_FIFO and locked memory (a shared machine)"
    )
    parser.add_argument("--gate-core", type=int, metavar="CORE", help="the only core the gate may run on")
    parser.add_argument("--pilot-core", type=int, metavar="CORE", help="the only core the pilot may run on")


def supervision(options: argparse.Namespace) -> Optional[SupervisorSettings]:
    """What the options of `add_processes` ask for; None: one process."""
    from deploy.onboard.supervision import SupervisorSettings

    if options.one_process:
        return None
    return SupervisorSettings(
        real_time=not options.no_real_time, gate_core=options.gate_core, pilot_core=options.pilot_core
    )
