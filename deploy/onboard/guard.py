"""The guard: damps the robot when neither gate nor supervisor can any more, and sleeps until then.

    gate and supervisor gone        a pipe that only these two hold open for writing has ended: the kernel closes it
                                    with the second of them, whatever ended them and in whatever order
    gate and supervisor stopped     the last command pulls, none has followed, and the supervisor gives no sign either,
                                    both for `silence_limit_s`: both are killed for certain, and with them the pipe

It is a process of its own with the supervisor's open link and lease: nobody else may drive before it has finished. One
byte through the pipe dismisses it. Signals that end programs do not; only SIGKILL, and then the supervisor starts
another one.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from deploy.onboard.child_process import PARENT_DIED, Reporter, process_title
from deploy.onboard.exchange import ORDER, PULSE, Slots, read_order
from deploy.onboard.link import Link
from deploy.onboard.pulse_watch import PulseWatch
from deploy.onboard.shared_slot import SlotReader
from deploy.onboard.wire import JointCommand
from robot_configs.robot import RobotModel

POLL_S = 0.05
"""How often the guard looks for signs of life [s]; the end of the pipe wakes it at once."""

_DISMISSAL = b"\1"


@dataclass(frozen=True)
class GuardPost:
    """What a guard watches, and with what it acts."""

    robot: RobotModel
    link: Link
    slots: Slots
    pipe: int
    """The reading end of the pipe that only gate and supervisor hold open for writing."""
    supervisor_pid: int
    gate_pid: int
    silence_limit_s: float
    """How long both may give no sign of life while the motors pull [s]."""
    damping_s: float
    """How long the robot is damped then [s]."""


def stand_guard(post: GuardPost, reporter: Reporter) -> None:
    """Sleep until dismissed, or until the robot has to be damped; return when that is done."""
    for number in (signal.SIGTERM, PARENT_DIED):
        signal.signal(number, signal.SIG_IGN)
    reporter.ready()
    watch = PulseWatch(SlotReader(post.slots.pulse, PULSE), POLL_S, time.monotonic())
    orders = SlotReader(post.slots.order, ORDER)
    while not select.select([post.pipe], [], [], POLL_S)[0]:
        now_s = time.monotonic()
        watch.look(now_s)
        if watch.damping or watch.silent_s <= post.silence_limit_s:
            continue
        order = read_order(orders)
        if order is None or now_s - order.time_s > post.silence_limit_s:
            _kill_both(post)
    if os.read(post.pipe, 1) != _DISMISSAL:
        damp_robot(post.link, post.robot, post.damping_s)


def dismiss_guard(pipe: int) -> None:
    """Let the guard go without damping, through the writing end of its pipe."""
    try:
        os.write(pipe, _DISMISSAL)
    except BrokenPipeError:
        return  # it is gone already


def damp_robot(link: Link, robot: RobotModel, duration_s: float, on_frame: Callable[[], None] = lambda: None) -> None:
    """Send damping at the link's rate for `duration_s`; `on_frame` is called after each command."""
    command, period_s = JointCommand.damp(robot), 1.0 / robot.link_hz
    deadline_s = time.monotonic()
    for _ in range(round(duration_s / period_s)):
        link.send(command)
        link.receive(0.0)
        on_frame()
        deadline_s += period_s
        time.sleep(max(0.0, deadline_s - time.monotonic()))


def _kill_both(post: GuardPost) -> None:
    """Gate first. One that has ended long ago may have left its number to a stranger, so each is looked at again."""
    if _title(post.gate_pid) == process_title("gate"):
        os.kill(post.gate_pid, signal.SIGKILL)
    if os.getppid() == post.supervisor_pid:
        os.kill(post.supervisor_pid, signal.SIGKILL)


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
