"""Which mode comes when: stand up, walk an episode, stand again, ..., sit down, let go; or as a person's keys say.

    DAMP ──► STAND ──► WALK ──► STAND ──► WALK ──► ... ──► STAND ──► SIT ──► DAMP, done      EpisodeSchedule
      ▲                  │
      └─ lies still ◄── FAULT ──► done (no auto_rearm, stop key, or it does not come to rest)

A schedule only looks and decides; the runner carries out, and the gate can overrule both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import FrozenSet, NamedTuple, Optional, Protocol

import numpy as np

from deploy.onboard.modes import ALLOWED_NEXT, requested_mode
from deploy.onboard.reasons import Reason, reason_names
from deploy.onboard.remote import Key
from deploy.onboard.seating import Seating
from deploy.onboard.target import Mode
from deploy.onboard.wire import RobotState
from offline_data.log_schema import Ending
from robot_configs.errors import Go1Error

PLANNED_TIME_OVER = "planned time over"


class SettingsError(Go1Error):
    """A session that could not be run as described."""


@dataclass(frozen=True)
class SessionSettings:
    """How long to walk, and what to do after a fall."""

    episode_s: float
    """Longest episode [s]: the planned end (truncated) of one that nothing else ends."""
    episodes: Optional[int] = None
    """Episodes to begin; None: until `walk_s` is reached."""
    walk_s: Optional[float] = None
    """Walking to collect over all episodes [s]; the last episode is cut to it. None: until `episodes` are done."""
    auto_rearm: bool = False
    """After a fall, re-arm as soon as the robot lies upright and still. For the twin, or with a person standing by."""
    rest_s: float = 0.5
    """How long it has to lie still first [s]."""
    rearm_timeout_s: float = 15.0
    """Give up if it does not; also if it is unfit to stand up in the first place [s]."""
    rest_angular_velocity_rad_s: float = 0.5
    """Still: below this turn rate of the trunk [rad/s]..."""
    rest_joint_velocity_rad_s: float = 2.0
    """...and below this root mean square of the joint velocities, which are noisy [rad/s]."""
    maximum_failed_stands: int = 5
    """Give up after this many faults in a row that came before an episode had begun."""

    def __post_init__(self) -> None:
        if self.episodes is None and self.walk_s is None:
            raise SettingsError("episodes, or walk_s, or both", "neither", "Say when the session is over.")
        positive = {"episode_s": self.episode_s, "walk_s": self.walk_s, "episodes": self.episodes}
        for name, value in positive.items():
            if value is not None and not 0.0 < value < math.inf:
                raise SettingsError(f"a positive {name}", f"{value}", "Correct the setting.")


class TickView(NamedTuple):
    """What a schedule sees of a tick."""

    mode: Mode
    ramp_finished: bool
    ticks_in_mode: int
    """Link ticks that the mode has been carried out for."""
    state: Optional[RobotState]
    """The newest state; None before the first."""
    state_faults: int
    """What the gate has against it."""
    keys: FrozenSet[Key]
    time_s: float


class Change(NamedTuple):
    """A mode to go to; where it leads out of WALK, how the episode ends."""

    mode: Mode
    ending: Ending = Ending.NONE
    reason: str = ""


class Schedule(Protocol):
    """Decides on the modes of a session."""

    @property
    def done(self) -> bool:
        """Whether the session is over."""
        ...

    @property
    def stop_reason(self) -> str:
        """Why it ended before its plan was done; empty if it did not."""
        ...

    def decide(self, view: TickView) -> Optional[Change]:
        """The mode to change to now, if any."""
        ...

    def on_fault(self, reasons: int, view: TickView) -> None:
        """The gate has latched in the tick that `view` shows."""
        ...


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
        self._fault_s = 0.0
        self._still_since_s: Optional[float] = None
        self._unfit_since_s: Optional[float] = None
        self._seating = Seating()
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
        if view.mode is Mode.SIT:
            return Change(Mode.DAMP) if view.ramp_finished else None
        return self._recover(view)

    def on_fault(self, reasons: int, view: TickView) -> None:
        """See `Schedule.on_fault`."""
        if view.mode is Mode.WALK:
            self._count_walk(view.ticks_in_mode + 1)
        elif view.mode is not Mode.SIT:
            self._failed_stands += 1
        self._fault_s, self._still_since_s = view.time_s, None
        names = ", ".join(reason_names(reasons))
        if view.mode is Mode.SIT or self._seating.pending or (view.mode is Mode.WALK and self._plan_complete):
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
            self._stop(f"not fit to stand up: {', '.join(reason_names(view.state_faults))}")
        return None

    def _leave_stand(self, view: TickView) -> Optional[Change]:
        if self._seating.pending:
            return self._towards_seat(view)
        if not view.ramp_finished:
            return None
        self._episodes_begun += 1
        self._failed_stands = 0
        return Change(Mode.WALK)

    def _end_walk(self, view: TickView) -> Optional[Change]:
        asked = requested_mode(view.keys)
        if asked in (Mode.STAND, Mode.SIT, Mode.DAMP):
            self._count_walk(view.ticks_in_mode)
            self.stop_reason = f"the remote asked for {asked.name}"
            # A session that a person has taken over ends on the ground, whichever way they chose.
            if asked is Mode.DAMP:
                return Change(Mode.DAMP, Ending.INTERVENTION, self.stop_reason)
            return self._towards_seat(view, Ending.INTERVENTION, self.stop_reason)
        planned = self._episode_steps
        if self._walk_steps is not None:
            planned = min(planned, self._walk_steps - self._walked_steps)
        if view.ticks_in_mode < planned * self._ticks_per_step:
            return None
        self._count_walk(view.ticks_in_mode)
        if self._plan_complete:
            return self._towards_seat(view, Ending.TRUNCATED, PLANNED_TIME_OVER)
        return Change(Mode.STAND, Ending.TRUNCATED, PLANNED_TIME_OVER)

    def _towards_seat(self, view: TickView, ending: Ending = Ending.NONE, reason: str = "") -> Optional[Change]:
        mode = self._seating.next_mode(view.mode, view.ramp_finished)
        return None if mode is None else Change(mode, ending, reason)

    def _recover(self, view: TickView) -> Optional[Change]:
        """After a fault: ask to be re-armed once the robot has lain still for long enough."""
        if view.time_s - self._fault_s > self._settings.rearm_timeout_s:
            self._stop(f"not upright and at rest within {self._settings.rearm_timeout_s} s after a fault")
        elif view.state is None or view.state_faults or not self._is_still(view.state):
            self._still_since_s = None
        elif self._still_since_s is None:
            self._still_since_s = view.time_s
        elif view.time_s - self._still_since_s >= self._settings.rest_s:
            return Change(Mode.DAMP, reason="upright and at rest")
        return None

    def _is_still(self, state: RobotState) -> bool:
        turn_rate = float(np.linalg.norm(state.angular_velocity_trunk_in_trunk))
        joint_rate = float(np.sqrt(np.mean(np.square(state.joint_velocity))))
        settings = self._settings
        return turn_rate < settings.rest_angular_velocity_rad_s and joint_rate < settings.rest_joint_velocity_rad_s

    def _stop(self, reason: str) -> None:
        self.done, self.stop_reason = True, reason


class RemoteSchedule:
    """A person's keys decide (`modes.MODE_KEYS`); every stretch of walking is an episode.

    Letting go (the DAMP chord) also re-arms after a fault. The session ends at `walk_s` of walking, if given.
    """

    def __init__(self, walk_s: Optional[float], link_hz: int) -> None:
        self._walk_ticks = math.inf if walk_s is None else walk_s * link_hz
        self._walked_ticks = 0
        self._seating = Seating()
        self.done = False
        self.stop_reason = ""

    def decide(self, view: TickView) -> Optional[Change]:
        """See `Schedule.decide`."""
        if view.mode is Mode.WALK and self._walked_ticks + view.ticks_in_mode >= self._walk_ticks:
            return self._leave_walk(view, Mode.SIT, Ending.TRUNCATED, PLANNED_TIME_OVER)
        if view.mode is Mode.DAMP and self._walked_ticks >= self._walk_ticks:
            self.done = True
            return None
        if view.mode is Mode.SIT and view.ramp_finished:
            return Change(Mode.DAMP)
        asked, time_left = requested_mode(view.keys), self._walked_ticks < self._walk_ticks
        if asked is Mode.STAND and time_left:
            self._seating.cancel()  # who stands on the way to the ground may think better of it
        if self._seating.pending and asked in (None, Mode.SIT):
            asked = self._seating.next_mode(view.mode, view.ramp_finished)
        if asked is None or asked not in ALLOWED_NEXT[view.mode] or (asked is Mode.STAND and view.state_faults):
            return None
        if asked is Mode.WALK and not (view.ramp_finished and time_left):
            return None
        if view.mode is Mode.WALK:
            return self._leave_walk(view, asked, Ending.INTERVENTION, "remote")
        self._seating.cancel()
        return Change(asked, reason="remote")

    def _leave_walk(self, view: TickView, goal: Mode, ending: Ending, reason: str) -> Change:
        self._walked_ticks += view.ticks_in_mode
        mode = self._seating.next_mode(view.mode, view.ramp_finished) if goal is Mode.SIT else goal
        assert mode is not None  # out of a walk there is always a next one
        return Change(mode, ending, reason)

    def on_fault(self, reasons: int, view: TickView) -> None:
        """Wait for the person."""
        self._seating.cancel()
        if view.mode is Mode.WALK:
            self._walked_ticks += view.ticks_in_mode + 1
