"""Modes by a person's wishes: keyboard or gamepad, and the robot's own remote, whichever speaks.

What the person cannot say any more is decided here as well. From the tick in which a device is found gone:

    at once    the deflections die away (`operator_input`, `keyboard`): nothing is commanded after 0.3 s
    0.3 s      WALK -> STAND
    2 s        STAND -> SIT -> DAMP, and the session ends
"""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional

from deploy.onboard.modes import ALLOWED_NEXT, requested_mode
from deploy.onboard.operator_input import Operator, Wish
from deploy.onboard.reasons import reason_names
from deploy.onboard.schedule import Change, TickView
from deploy.onboard.seating import Seating
from deploy.onboard.target import MOVING_MODES, Mode
from offline_data.log_schema import Ending

STAND_AFTER_LOSS_S = 0.3
SIT_AFTER_LOSS_S = 2.0

COME_TO_REST_S = 0.8
"""Before a person's wish leads out of WALK the command is zero for this long [s]: a stand or a seat out of a stride
threw the twin over. Letting go and stopping do not wait."""

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
        self._seating = Seating()
        self._halted_since_s: Optional[float] = None
        self.notice = ""
        """The last thing the person should know."""
        self.done = False
        self.stop_reason = ""

    def decide(self, view: TickView) -> Optional[Change]:
        """See `schedule.Schedule.decide`."""
        self._operator.poll(view.time_s)
        self._on_tick(view)
        if view.mode is not Mode.WALK:
            self._halted_since_s, self._operator.halted = None, False
        stop = self._hear(view)
        lost_since_s = self._operator.lost_since_s
        if stop:
            return self._let_go(view, "operator stop")
        if lost_since_s is not None:
            self._obey_loss(view, view.time_s - lost_since_s)
        else:
            self._obey_remote(view)
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
        self._seating.cancel()
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
        if mode not in ALLOWED_NEXT[view.mode]:
            names = ", ".join(sorted(allowed.name for allowed in ALLOWED_NEXT[view.mode]))
            self.notice = f"{mode.name} cannot follow {view.mode.name}; only {names}"
            return
        self._wanted, self.notice = mode, ""

    def _leave(self, reason: str) -> None:
        """Sit down, let go, and end the session for `reason`."""
        self._leaving, self._wanted = reason, Mode.SIT

    def _let_go(self, view: TickView, reason: str) -> Optional[Change]:
        self._wanted = None
        self._seating.cancel()
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

    def _obey_remote(self, view: TickView) -> None:
        asked = requested_mode(view.keys)
        if asked is not None and asked is not view.mode and asked in ALLOWED_NEXT[view.mode]:
            self._wanted = asked

    def _pursue(self, view: TickView) -> Optional[Change]:
        """Go where the person wants as soon as that is possible."""
        wanted = self._wanted
        if wanted is None or wanted not in ALLOWED_NEXT[view.mode]:
            self._wanted = None
            return None
        if wanted is Mode.STAND and view.state_faults:
            self.notice = f"not fit to stand up: {', '.join(reason_names(view.state_faults))}"
            self._wanted = None
            return None
        if wanted is Mode.WALK and not view.ramp_finished:
            return None  # it stays wanted until the robot stands
        if view.mode is Mode.WALK and not self._came_to_rest(wanted, view.time_s):
            return None
        if wanted is Mode.SIT:
            return self._sit(view)
        if wanted is not Mode.DAMP or view.mode is not Mode.FAULT:
            self._wanted = None
        elif view.state_faults:
            self.notice = f"cannot re-arm: {', '.join(reason_names(view.state_faults))}"
            self._wanted = None
            return None
        self._seating.cancel()
        return Change(wanted, Ending.INTERVENTION if view.mode is Mode.WALK else Ending.NONE, self._reason())

    def _sit(self, view: TickView) -> Optional[Change]:
        """Sit down, standing first out of a walk; sitting stays wanted until then."""
        mode = self._seating.next_mode(view.mode, view.ramp_finished)
        if mode is Mode.SIT:
            self._wanted = None
        if mode is None:
            return None
        return Change(mode, Ending.INTERVENTION if view.mode is Mode.WALK else Ending.NONE, self._reason())

    def _came_to_rest(self, wanted: Mode, time_s: float) -> bool:
        """Whether a walking robot was told to stand still for long enough; a lost operator has times of its own."""
        if wanted is Mode.DAMP or self._operator.lost_since_s is not None:
            return True
        if self._halted_since_s is None:
            self._halted_since_s, self._operator.halted = time_s, True
        return time_s - self._halted_since_s >= COME_TO_REST_S

    def _reason(self) -> str:
        return self._leaving or (OPERATOR_LOST if self._operator.lost_since_s is not None else "operator")
