"""What a supervised session is given: its parts, and how its processes are run and watched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence

from deploy.onboard.lease import Lease
from deploy.onboard.link import Link
from deploy.onboard.pilot_seat import Observer
from deploy.onboard.realtime import RealTimeWish
from deploy.onboard.session import RunSettings
from policy.bundle import Bundle
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel


class SupervisorError(Go1Error):
    """The processes of a session could not be brought up."""


@dataclass(frozen=True)
class SupervisorSettings:
    """How the processes are run and watched."""

    gate_silence_limit_s: float = 0.030
    """A gate whose last command pulls may be silent for this long: fifteen ticks, and less than a target lives [s]."""
    damped_silence_limit_s: float = 2.0
    """A gate whose last command was damping has time, for the motors hold on to that: it may be finishing [s]."""
    poll_s: float = 0.004
    """How often the supervisor looks at the gate's pulse; the end of a process wakes it at once [s]."""
    guard_silence_limit_s: float = 0.25
    """Gate and supervisor may both be silent for this long while the motors pull; a supervisor that is only slow, on a
    machine that is only busy, has acted long before [s]."""
    takeover_s: float = 1.0
    """How long supervisor or guard damps the robot after a gate's death, at the link's rate [s]."""
    start_limit_s: float = 60.0
    """Loading and verifying the policy may take this long [s]."""
    end_limit_s: float = 10.0
    """Each process may take this long to end after it was told to; then it is killed [s]."""
    real_time: bool = True
    """Ask for SCHED_FIFO and locked memory."""
    gate_core: Optional[int] = None
    """The only core the gate may run on; None: any."""
    pilot_core: Optional[int] = None
    """The same for the pilot."""
    one_process: bool = False
    """Gate, pilot and recorder in the caller's process, unwatched; it asks for what the gate's would."""

    # Below 50, where kernels with threaded interrupts run the network's. Who guards comes before whom it guards.
    def wish(self, priority: int, core: Optional[int] = None) -> RealTimeWish:
        """What a process asks for."""
        return RealTimeWish(priority if self.real_time else 0, core, lock_memory=self.real_time)

    @property
    def gate_wish(self) -> RealTimeWish:
        """What the process asks for that talks to the robot, whatever else it does."""
        return self.wish(GATE_PRIORITY, self.gate_core)


GUARD_PRIORITY, SUPERVISOR_PRIORITY, GATE_PRIORITY, PILOT_PRIORITY = 43, 42, 41, 40
"""Of SCHED_FIFO; the recorder has none."""


@dataclass(frozen=True)
class SessionPlan:
    """What the processes of a session share."""

    bundle: Bundle
    robot: RobotModel
    link: Link
    """Open; used by the gate's process, by the supervisor only after that has ended, by the guard only after both."""
    settings: RunSettings
    log_dir: Optional[Path]
    """Where the log goes; None records nothing."""
    lease: Lease
    """Of the robot; gate, supervisor and guard hold on to it, for they are the ones who send."""
    observers: Sequence[Observer] = ()
    """Shown every step in the pilot's process, after its target was written; must never keep it waiting."""
