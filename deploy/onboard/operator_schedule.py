"""Modes by a person's wishes: keyboard or gamepad, and the robot's own remote, whichever speaks.

What the person cannot say any more is decided here as well. From the tick in which a device is found gone:

    at once    the deflections die away (`operator_input`, `keyboard`): nothing is commanded after 0.3 s
    0.3 s      WALK -> HALT -> STAND
    2 s        STAND -> SIT -> DAMP, and the session ends
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

from deploy.onboard.chords import ChordWatch
from deploy.onboard.landing import Landing
from deploy.onboard.modes import MAY_BE_ASKED_FOR
from deploy.onboard.operator_input import Operator, Wish
from deploy.onboard.reasons import reason_names
from deploy.onboard.schedule import Change, TickView
from deploy.onboard.target import MOVING_MODES, POLICY_MODES, Mode
from offline_data.log_schema import Ending

STAND_AFTER_LOSS_S = 0.3
SIT_AFTER_LOSS_S = 2.0

MODE_WISHES = {Wish.STAND: Mode.STAND, Wish.WALK: Mode.WALK, Wish.SIT: Mode.SIT, Wish.LET_GO: Mode.DAMP}

OPERATOR_LOST = "operator link lost"
OPERATOR_QUIT = "the operator quit"


class RecordingSwitch(NamedTuple):
    """How the operator reaches the recorder; called on the loop's thread, so neither may wait."""

    toggle: Callable[[float, Mode], None]
    """Start recording, or stop it: (time [s], mode)."""
    mark: Callable[[float, Mode, str], None]
    """Write an operator's mark: (time [s], mode, text)."""


class OperatorSchedule:
    """A `schedule.Schedule` that a person drives."""

    def __init__(
        self, operator: Operator, recording: RecordingSwitch, on_tick: Callable[[TickView], None] = lambda view: None
    ) -> None:
        """`on_tick` is shown every tick, before anything is decided."""
        self._operator, self._recording, self._on_tick = operator, recording, on_tick
        self._wanted: Optional[Mode] = None
        self._leaving = ""
        self._chords = ChordWatch()
        self._landing = Landing()
        self.notice = ""
        """The last thing the person should know."""
        self.done = False
        self.stop_reason = ""

    def decide(self, view: TickView) -> Optional[Change]:
        """See `schedule.Schedule.decide`."""
        self._operator.poll(view.time_s)
        self._on_tick(view)
        stop = self._hear(view)
        asked = self._chords.asked(view)
        lost_since_s = self._operator.lost_since_s
        if stop:
            return self._let_go(view, "operator stop")
        if lost_since_s is not None:
            self._obey_loss(view, view.time_s - lost_since_s)
        else:
            self._obey_remote(asked, view.mode)
        if self._leaving and view.mode in (Mode.DAMP, Mode.FAULT):
            # Quitting is the plan of such a session; everything else that ends it is not.
            self.done, self.stop_reason = True, "" if self._leaving == OPERATOR_QUIT else self._leaving
            return None
        if view.mode is Mode.SIT and view.ramp_finished:
            return Change(Mode.DAMP, reason="seated")
        return self._pursue(view)

    def on_fault(self, reasons: int, view: TickView) -> None:
        """The person re-arms, when the robot lies well."""
        self._wanted = None
        self._landing.cancel()
        self.notice = f"fault: {', '.join(reason_names(reasons))}; let go (0) re-arms"

    def _hear(self, view: TickView) -> bool:
        """Take the new wishes and marks; whether one of them is to stop."""
        for text in self._operator.take_marks():
            self._recording.mark(view.time_s, view.mode, text)
            self.notice = f"marked: {text}"
        stop = False
        for wish in self._operator.take_wishes():
            stop = stop or wish is Wish.STOP
            if wish is Wish.RECORDING:
                self._recording.toggle(view.time_s, view.mode)
            elif wish is Wish.QUIT:
                self._leave(OPERATOR_QUIT)
            elif wish in MODE_WISHES:
                self._want(MODE_WISHES[wish], view)
        return stop

    def _want(self, mode: Mode, view: TickView) -> None:
        if mode is view.mode:
            return
        if mode not in MAY_BE_ASKED_FOR[view.mode]:
            names = ", ".join(sorted(allowed.name for allowed in MAY_BE_ASKED_FOR[view.mode]))
            self.notice = f"{mode.name} cannot follow {view.mode.name}; only {names}"
            return
        self._wanted, self.notice = mode, ""

    def _leave(self, reason: str) -> None:
        """Sit down, let go, and end the session for `reason`."""
        self._leaving, self._wanted = reason, Mode.SIT

    def _let_go(self, view: TickView, reason: str) -> Optional[Change]:
        self._wanted = None
        self._landing.cancel()
        self.notice = "stopped; stand (1) when it is safe"
        if view.mode not in MOVING_MODES:
            return None
        return Change(Mode.DAMP, Ending.INTERVENTION if view.mode is Mode.WALK else Ending.NONE, reason)

    def _obey_loss(self, view: TickView, lost_s: float) -> None:
        self.notice = OPERATOR_LOST
        self._wanted = None
        if lost_s >= SIT_AFTER_LOSS_S:
            self._leave(OPERATOR_LOST)
        elif lost_s >= STAND_AFTER_LOSS_S and view.mode is Mode.WALK:
            self._wanted = Mode.STAND

    def _obey_remote(self, asked: Optional[Mode], mode: Mode) -> None:
        if asked in MAY_BE_ASKED_FOR[mode]:
            self._wanted = asked

    def _pursue(self, view: TickView) -> Optional[Change]:
        """Go where the person wants as soon as that is possible."""
        wanted = self._wanted
        if wanted is None or wanted not in MAY_BE_ASKED_FOR[view.mode]:
            self._wanted = None
            return self._land(view)
        if view.mode in POLICY_MODES and wanted is not Mode.DAMP:
            return self._end_walk(wanted, view)
        if wanted is Mode.WALK and not view.ramp_finished:
            self._landing.cancel()
            return None  # it stays wanted until the robot stands
        self._wanted = None
        if wanted is Mode.STAND and view.state_faults:
            self.notice = f"not fit to stand up: {', '.join(reason_names(view.state_faults))}"
            return None
        if wanted is Mode.DAMP and view.mode is Mode.FAULT and view.state_faults:
            self.notice = f"cannot re-arm: {', '.join(reason_names(view.state_faults))}"
            return None
        if wanted is Mode.SIT and self._landing.seat_wanted:
            return self._land(view)  # the stand on the way to it has to be over first
        self._landing.cancel()
        return Change(wanted, Ending.INTERVENTION if view.mode is Mode.WALK else Ending.NONE, self._reason())

    def _end_walk(self, wanted: Mode, view: TickView) -> Optional[Change]:
        """Come to rest on the way to STAND or SIT; who is at it already may have changed their mind."""
        self._wanted = None
        if view.mode is Mode.WALK:
            return Change(self._landing.begin(wanted, view.time_s), Ending.INTERVENTION, self._reason())
        self._landing.seat_wanted = wanted is Mode.SIT
        return self._land(view)

    def _land(self, view: TickView) -> Optional[Change]:
        mode = self._landing.next_mode(view)
        return None if mode is None else Change(mode, reason=self._reason())

    def _reason(self) -> str:
        return self._leaving or (OPERATOR_LOST if self._operator.lost_since_s is not None else "operator")
