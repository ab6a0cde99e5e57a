"""What a schedule is: who decides which mode comes when, by a plan or by a person's keys.

    episode_schedule.EpisodeSchedule      walks a planned number of episodes, or a planned time
    remote_schedule.RemoteSchedule        a person with the robot's own remote
    operator_schedule.OperatorSchedule    a person at a keyboard or a gamepad

A schedule only looks and decides; the runner carries out, and the gate can overrule both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import FrozenSet, NamedTuple, Optional, Protocol

from deploy.onboard.remote import Key
from deploy.onboard.stillness import Stillness
from deploy.onboard.target import Mode
from deploy.onboard.wire import RobotState
from offline_data.log_schema import Ending
from robot_configs.errors import Go1Error

PLANNED_TIME_OVER = "planned time over"
NOT_FIT_TO_STAND = "not fit to stand up"
"""Beginning of the reason why a session ended that the gate let no mode follow its first DAMP."""


def taken_over(mode: Mode) -> str:
    """Why a session ended in which a person asked for `mode` by the remote."""
    return f"the remote asked for {mode.name}"


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
    stillness: Stillness = Stillness()
    """What counts as still."""
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

    @property
    def stop_reason(self) -> str:
        """Why it ended before its plan was done; empty if it did not."""

    def decide(self, view: TickView) -> Optional[Change]:
        """The mode to change to now, if any."""

    def on_fault(self, reasons: int, view: TickView) -> None:
        """The gate has latched in the tick that `view` shows."""
