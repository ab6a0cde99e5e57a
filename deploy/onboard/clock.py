"""Time for the control loop: a real clock to keep pace with a robot, a virtual one to run in lockstep with a twin."""

from __future__ import annotations

import time
from typing import Protocol

from robot_configs.errors import Go1Error


class ClockError(Go1Error):
    """Time was asked to run backwards."""


class Clock(Protocol):
    """Monotonic seconds and absolute deadlines: waiting for deadlines, not for durations, does not drift."""

    def now_s(self) -> float:
        """Seconds since an arbitrary moment; never decreases."""
        ...

    def sleep_until(self, deadline_s: float) -> None:
        """Return at `deadline_s` on this clock's scale, or at once if it has passed."""
        ...


SPIN_S = 150e-6
"""The last stretch before a deadline is waited for awake [s]: a sleeping process wakes 50 to 120 us late even with
nothing in its way (timer slack, the way back from idle; docs/timing.md). At 500 Hz it costs about 7 % of one core."""


class MonotonicClock:
    """The machine's monotonic clock: the robot's wall clock is wrong, and jumps when it is set."""

    def now_s(self) -> float:
        """Seconds since an arbitrary moment, usually the machine's start."""
        return time.monotonic()

    def sleep_until(self, deadline_s: float) -> None:
        """Sleep until shortly before `deadline_s`, then look at the clock until it has come; never returns early."""
        # time.sleep may be cut short by the clock's own resolution: look again until only the last stretch is left.
        remaining_s = deadline_s - time.monotonic()
        while remaining_s > SPIN_S:
            time.sleep(remaining_s - SPIN_S)
            remaining_s = deadline_s - time.monotonic()
        while time.monotonic() < deadline_s:
            pass


class VirtualClock:
    """A clock that moves only when told to: waiting takes no time, and two runs see the same times."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now_s(self) -> float:
        """Virtual seconds."""
        return self._now_s

    def sleep_until(self, deadline_s: float) -> None:
        """Jump to `deadline_s`, if it lies ahead."""
        self._now_s = max(self._now_s, deadline_s)

    def advance(self, duration_s: float) -> None:
        """Let `duration_s` >= 0 pass.

        Raises:
            ClockError: the duration is negative or not a number.
        """
        if not duration_s >= 0.0:
            raise ClockError("a duration of at least 0 s", f"{duration_s} s", "Advance the clock forwards only.")
        self._now_s += duration_s
