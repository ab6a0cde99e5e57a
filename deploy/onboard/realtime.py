"""Real time where the machine permits it: scheduling before others, memory that stays, and a plain report of both.

Nothing here needs root, and nothing fails when it is refused: a session without is less punctual, and says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from dataclasses import dataclass
from typing import Iterator, Optional, Tuple

MCL_CURRENT, MCL_ONFAULT = 1, 4
"""Of mlockall(2). On fault: only what is really used becomes resident, not every reserved stack of 8 MB. Memory of the
future is left out: with a finite limit, a later allocation would fail instead of being swappable."""

PRIORITY_REMEDY = (
    "allow it: `rtprio 90` for the user in /etc/security/limits.conf, or CAP_SYS_NICE (AmbientCapabilities= in a "
    "systemd unit)"
)
MEMORY_REMEDY = "allow it: `memlock unlimited` for the user in /etc/security/limits.conf (`ulimit -l`), or CAP_IPC_LOCK"
AFFINITY_REMEDY = "name a core that this machine has and this process may use"


@dataclass(frozen=True)
class RealTimeWish:
    """What a process asks the machine for."""

    priority: int
    """SCHED_FIFO priority, 1 to 99; 0 asks for nothing."""
    core: Optional[int] = None
    """The only core to run on; None: any."""
    lock_memory: bool = True


NOTHING = RealTimeWish(0, lock_memory=False)
"""Of a process that has time, or of a machine that others share."""


@dataclass(frozen=True)
class Grant:
    """One thing that was asked for."""

    wish: str
    granted: bool
    remedy: str
    """What the machine said and what to do; empty if it was granted."""

    def __str__(self) -> str:
        return self.wish if self.granted else f"{self.wish}: NOT granted; {self.remedy}"


def request_real_time(wish: RealTimeWish) -> Tuple[Grant, ...]:
    """Ask for all that `wish` names, for the calling thread and its process's memory; returns what became of it.

    To be called when everything is set up: what is loaded later is not locked.
    """
    grants = []
    if wish.priority:
        grants.append(_schedule_first_in_first_out(wish.priority))
    if wish.lock_memory:
        grants.append(_lock_memory())
    if wish.core is not None:
        grants.append(_pin(wish.core))
    return tuple(grants)


@contextlib.contextmanager
def scheduling_restored() -> Iterator[None]:
    """The calling thread's scheduling policy and priority are afterwards what they were, whatever happens between."""
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if (os.sched_getscheduler(0), os.sched_getparam(0)) != (policy, parameters):
            try:
                os.sched_setscheduler(0, policy, parameters)
            except PermissionError:
                # Real time may be given up by anybody; that children do not inherit it, only with CAP_SYS_NICE.
                os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, parameters)


def _schedule_first_in_first_out(priority: int) -> Grant:
    name = f"SCHED_FIFO priority {priority}"
    try:
        # Children that the process may start must not inherit it: nothing but the loop deserves it.
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except OSError as error:
        return Grant(name, False, f"{error.strerror}; {PRIORITY_REMEDY}")
    return Grant(name, True, "")


def _lock_memory() -> Grant:
    name = "memory locked"
    library = ctypes.CDLL(None, use_errno=True)
    if library.mlockall(MCL_CURRENT | MCL_ONFAULT) != 0:
        return Grant(name, False, f"{os.strerror(ctypes.get_errno())}; {MEMORY_REMEDY}")
    return Grant(name, True, "")


def _pin(core: int) -> Grant:
    name = f"core {core} only"
    try:
        os.sched_setaffinity(0, {core})
    except OSError as error:
        return Grant(name, False, f"{error.strerror}; {AFFINITY_REMEDY}")
    return Grant(name, True, "")
