"""The planned session: stand up, walk an episode, come to rest, stand, ..., sit down, let go.

DAMP ──► STAND ──► WALK ──► HALT ──► STAND ──► WALK ──► ... ──► HALT ──► STAND ──► SIT ──► DAMP, done
  ▲                  │
  └─ lies still ◄── FAULT ──► done (no auto_rearm, stop key, or it does not come to rest)
"""

from __future__ import annotations

import math
from typing import Optional

from deploy.onboard.landing import Landing
from deploy.onboard.modes import requested_mode
from deploy.onboard.reasons import Reason, reason_names
from deploy.onboard.schedule import (
    NOT_FIT_TO_STAND,
    PLANNED_TIME_OVER,
    Change,
    SessionSettings,
    TickView,
    taken_over,
)
from deploy.onboard.stillness import StillWatch
from deploy.onboard.target import Mode
from offline_data.log_schema import Ending


class EpisodeSchedule:
    """Walks a planned number of episodes, or a planned time.

    Args:
        link_hz: ticks a second.
        ticks_per_step: link ticks in a policy step; episodes last whole policy steps.
    """

    def __init__(self, settings: SessionSettings, link_hz: int, ticks_per_step: int) -> None:
        def steps(duration_s: float) -> int:
            return max(1, round(duration_s * link_hz / ticks_per_step))

        self._settings = settings
        self._ticks_per_step = ticks_per_step
        self._episode_steps = steps(settings.episode_s)
        self._walk_steps = None if settings.walk_s is None else steps(settings.walk_s)
        self._walked_steps = 0
        self._episodes_begun = 0
        self._failed_stands = 0
        self._fault_s = -math.inf
        self._still = StillWatch(settings.stillness, settings.rest_s)
        self._unfit_since_s: Optional[float] = None
        self._landing = Landing()
        self.done = False
        self.stop_reason = ""

    def decide(self, view: TickView) -> Optional[Change]:
        """See `Schedule.decide`."""
        if view.mode is Mode.DAMP:
            return self._leave_rest(view)
        if view.mode is Mode.STAND:
            return self._leave_stand(view)
        if view.mode is Mode.WALK:
            return self._end_walk(view)
        if view.mode is Mode.HALT:
            return self._come_to_rest(view)
        if view.mode is Mode.SIT:
            return Change(Mode.DAMP) if view.ramp_finished else None
        return self._recover(view)

    def on_fault(self, reasons: int, view: TickView) -> None:
        """See `Schedule.on_fault`."""
        if view.mode is Mode.WALK:
            self._count_walk(view.ticks_in_mode + 1)
        elif view.mode not in (Mode.HALT, Mode.SIT):
            self._failed_stands += 1
        self._fault_s = view.time_s
        self._still.restart()
        names = ", ".join(reason_names(reasons))
        if view.mode is Mode.SIT or self._landing.seat_wanted or (view.mode is Mode.WALK and self._plan_complete):
            self.done = True
        elif reasons & Reason.STOP_KEY or not self._settings.auto_rearm:
            self._stop(names)
        elif self._failed_stands > self._settings.maximum_failed_stands:
            self._stop(f"{self._failed_stands} faults in a row before an episode, the last: {names}")

    @property
    def _plan_complete(self) -> bool:
        enough_episodes = self._settings.episodes is not None and self._episodes_begun >= self._settings.episodes
        return enough_episodes or (self._walk_steps is not None and self._walked_steps >= self._walk_steps)

    def _count_walk(self, ticks: int) -> None:
        """A step counts as soon as its first tick has been carried out."""
        self._walked_steps += -(-ticks // self._ticks_per_step)

    def _leave_rest(self, view: TickView) -> Optional[Change]:
        if self._plan_complete or self.stop_reason:
            self.done = True
            return None
        if not view.state_faults:
            self._unfit_since_s = None
            return Change(Mode.STAND)
        if self._unfit_since_s is None:
            self._unfit_since_s = view.time_s
        elif view.time_s - self._unfit_since_s > self._settings.rearm_timeout_s:
            self._stop(f"{NOT_FIT_TO_STAND}: {', '.join(reason_names(view.state_faults))}")
        return None

    def _leave_stand(self, view: TickView) -> Optional[Change]:
        if self._landing.seat_wanted:
            return self._land(view)
        if not view.ramp_finished:
            return None
        self._episodes_begun += 1
        self._failed_stands = 0
        return Change(Mode.WALK)

    def _end_walk(self, view: TickView) -> Optional[Change]:
        asked = requested_mode(view.keys)
        if asked in (Mode.STAND, Mode.SIT, Mode.DAMP):
            self._count_walk(view.ticks_in_mode)
            self.stop_reason = taken_over(asked)
            # A session that a person has taken over ends on the ground, whichever way they chose.
            mode = Mode.DAMP if asked is Mode.DAMP else self._landing.begin(Mode.SIT, view.time_s)
            return Change(mode, Ending.INTERVENTION, self.stop_reason)
        planned = self._episode_steps
        if self._walk_steps is not None:
            planned = min(planned, self._walk_steps - self._walked_steps)
        if view.ticks_in_mode < planned * self._ticks_per_step:
            return None
        self._count_walk(view.ticks_in_mode)
        goal = Mode.SIT if self._plan_complete else Mode.STAND
        return Change(self._landing.begin(goal, view.time_s), Ending.TRUNCATED, PLANNED_TIME_OVER)

    def _come_to_rest(self, view: TickView) -> Optional[Change]:
        asked = requested_mode(view.keys)
        if asked in (Mode.STAND, Mode.SIT, Mode.DAMP) and not (self._plan_complete or self.stop_reason):
            self.stop_reason = taken_over(asked)
            self._landing.seat_wanted = True
        return Change(Mode.DAMP) if asked is Mode.DAMP else self._land(view)

    def _land(self, view: TickView) -> Optional[Change]:
        mode = self._landing.next_mode(view)
        return None if mode is None else Change(mode)

    def _recover(self, view: TickView) -> Optional[Change]:
        """After a fault: ask to be re-armed once the robot has lain still for long enough."""
        if view.time_s - self._fault_s > self._settings.rearm_timeout_s:
            self._stop(f"not upright and at rest within {self._settings.rearm_timeout_s} s after a fault")
        elif self._still.look(None if view.state_faults else view.state, view.time_s):
            return Change(Mode.DAMP, reason="upright and at rest")
        return None

    def _stop(self, reason: str) -> None:
        self.done, self.stop_reason = True, reason
