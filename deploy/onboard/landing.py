"""The way out of a walk: the policy brings the robot to rest, then it stands, then it sits if that is wanted.

    WALK ──► HALT ──────────────────────► STAND ──────────────────► SIT
             until it has been still       only if a seat is wanted,
             for 0.5 s, 2.5 s at most      when the ramp has finished

A ramp that begins in a stride throws the robot over, and so does folding the legs out of it
(`python -m benchmarks.orderly_ends`). Letting go and stopping do not take this way, and do not wait.
"""

from __future__ import annotations

import math
from typing import Optional

from deploy.onboard.schedule import TickView
from deploy.onboard.stillness import Stillness, StillWatch
from deploy.onboard.target import Mode

STILL_S = 0.5
"""The robot has come to rest when it has been still for this long: more than a cycle of the trot at 2.5 Hz [s]."""

HALT_LIMIT_S = 2.5
"""A policy that does not come to rest is not waited for any longer [s]. Ours brakes for 0.5 s, steps for 0.8 s more."""


class Landing:
    """Remembers where a robot that has left WALK is going, and when it may go on."""

    def __init__(self) -> None:
        self._still = StillWatch(Stillness(), STILL_S)
        self._halted_since_s = -math.inf
        self.seat_wanted = False
        """Whether the robot is on its way to SIT, and does not sit yet."""

    def begin(self, goal: Mode, time_s: float) -> Mode:
        """Leave WALK for `goal`, STAND or SIT; returns the mode to go to now."""
        self._still.restart()
        self._halted_since_s, self.seat_wanted = time_s, goal is Mode.SIT
        return Mode.HALT

    def next_mode(self, view: TickView) -> Optional[Mode]:
        """The next mode on the way; None: stay. To be asked at every tick of HALT, and of a STAND before a seat."""
        if view.mode is Mode.HALT:
            still = self._still.look(view.state, view.time_s)
            return Mode.STAND if still or view.time_s - self._halted_since_s >= HALT_LIMIT_S else None
        if view.mode is Mode.STAND and self.seat_wanted and view.ramp_finished:
            self.seat_wanted = False
            return Mode.SIT
        return None

    def cancel(self) -> None:
        """No seat is wanted any more: something else is, or the robot is damped."""
        self.seat_wanted = False
