"""Modes by the keys of the robot's own remote (`modes.MODE_KEYS`)."""

from __future__ import annotations

import math
from typing import Optional

from deploy.onboard.chords import ChordWatch
from deploy.onboard.landing import Landing
from deploy.onboard.modes import ALLOWED_NEXT
from deploy.onboard.schedule import PLANNED_TIME_OVER, Change, TickView
from deploy.onboard.target import Mode
from offline_data.log_schema import Ending


class RemoteSchedule:
    """A person's keys decide; every stretch of walking is an episode.

    Letting go (the DAMP chord) also re-arms after a fault. The session ends at `walk_s` of walking, if given.
    """

    def __init__(self, walk_s: Optional[float], link_hz: int) -> None:
        self._walk_ticks = math.inf if walk_s is None else walk_s * link_hz
        self._walked_ticks = 0
        self._chords = ChordWatch()
        self._landing = Landing()
        self.done = False
        self.stop_reason = ""

    def decide(self, view: TickView) -> Optional[Change]:
        """See `Schedule.decide`."""
        asked = self._chords.asked(view)
        if view.mode is Mode.WALK:
            return self._end_walk(view, asked)
        if view.mode is Mode.DAMP and not self._time_left:
            self.done = True
            return None
        if view.mode is Mode.SIT and view.ramp_finished:
            return Change(Mode.DAMP)
        if view.mode is Mode.HALT and asked in (Mode.STAND, Mode.SIT):
            self._landing.seat_wanted = asked is Mode.SIT or not self._time_left
        elif view.mode is Mode.STAND and asked is Mode.STAND and self._time_left:
            self._landing.cancel()  # who stands on the way to the ground may think better of it
        elif asked is not None and self._may_follow(asked, view):
            self._landing.cancel()
            return Change(asked, reason="remote")
        mode = self._landing.next_mode(view)
        return None if mode is None else Change(mode, reason="remote")

    def on_fault(self, reasons: int, view: TickView) -> None:
        """Wait for the person."""
        self._landing.cancel()
        if view.mode is Mode.WALK:
            self._walked_ticks += view.ticks_in_mode + 1

    @property
    def _time_left(self) -> bool:
        return self._walked_ticks < self._walk_ticks

    def _may_follow(self, asked: Mode, view: TickView) -> bool:
        if asked not in ALLOWED_NEXT[view.mode]:
            return False
        if asked is Mode.SIT:
            return not self._landing.seat_wanted  # the stand on the way to it has to be over first
        if asked is Mode.STAND:
            return self._time_left and not view.state_faults
        return asked is not Mode.WALK or (self._time_left and view.ramp_finished)

    def _end_walk(self, view: TickView, asked: Optional[Mode]) -> Optional[Change]:
        if self._walked_ticks + view.ticks_in_mode >= self._walk_ticks:
            asked, ending, reason = Mode.SIT, Ending.TRUNCATED, PLANNED_TIME_OVER
        elif asked in (Mode.STAND, Mode.SIT, Mode.DAMP):
            ending, reason = Ending.INTERVENTION, "remote"
        else:
            return None
        self._walked_ticks += view.ticks_in_mode
        return Change(asked if asked is Mode.DAMP else self._landing.begin(asked, view.time_s), ending, reason)
