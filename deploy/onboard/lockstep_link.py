"""The link of a session in lockstep: sees to it that whoever answers is in lockstep, too."""

from __future__ import annotations

from typing import Optional

from deploy.onboard.link import Link, LinkStatistics
from deploy.onboard.tick_clock import TICK_MODULUS
from deploy.onboard.wire import JointCommand, RobotState
from robot_configs.errors import Go1Error

FASTEST = 1.1
"""Robot time for each command, in periods of the link: at most one where the twin waits for commands."""

SLACK_MS = 50.0
"""Robot time that may pass besides, within any stretch of commands [ms]."""


class NotInLockstepError(Go1Error):
    """Whoever answers does not wait for our commands: its time is its own, and ours is not it."""


class LockstepLink:
    """A link that compares the robot's time with the commands that were sent.

    On a virtual clock a twin in real time runs away by as much as this computer is slower than it, and what the gate
    then says (`tick_jump`, `state_delayed`) names the consequence.

    Args:
        link: open; it stays the caller's.
        link_hz: commands in a second of the robot's time.
    """

    def __init__(self, link: Link, link_hz: int) -> None:
        self._link, self._period_ms = link, 1e3 / link_hz
        self._commands = self._robot_ms = 0
        self._commands_then = self._robot_ms_then = 0
        """At the state up to which the robot had run ahead least."""
        self._tick_ms: Optional[int] = None

    @property
    def statistics(self) -> LinkStatistics:
        """See `Link.statistics`."""
        return self._link.statistics

    def send(self, command: JointCommand) -> None:
        """See `Link.send`."""
        self._link.send(command)
        self._commands += 1

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        """See `Link.receive`.

        Raises:
            NotInLockstepError
        """
        state = self._link.receive(timeout_s)
        if state is not None:
            self._compare(state.tick_ms)
        return state

    def close(self) -> None:
        """See `Link.close`."""
        self._link.close()

    def _compare(self, tick_ms: int) -> None:
        if self._tick_ms is None:
            self._tick_ms, self._commands = tick_ms, 0
            return
        advance_ms = (tick_ms - self._tick_ms) % TICK_MODULUS
        if advance_ms >= TICK_MODULUS // 2:
            return  # overtaken by a newer one
        self._tick_ms = tick_ms
        self._robot_ms += advance_ms
        robot_ms, commands = self._robot_ms - self._robot_ms_then, self._commands - self._commands_then
        ahead_ms = robot_ms - FASTEST * commands * self._period_ms
        if ahead_ms <= 0.0:
            self._robot_ms_then, self._commands_then = self._robot_ms, self._commands
        elif ahead_ms > SLACK_MS:
            raise NotInLockstepError(
                f"a twin in lockstep: {self._period_ms:g} ms of its time for each command",
                f"{robot_ms} ms in {commands} commands: it runs in real time",
                "Start the twin with --lockstep, or leave --lockstep out here.",
            )
