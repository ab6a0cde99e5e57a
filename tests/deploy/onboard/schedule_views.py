"""What schedules are shown in tests, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from deploy.onboard.remote import Key
from deploy.onboard.schedule import Change, TickView
from deploy.onboard.target import Mode
from deploy.onboard.wire import RobotState

SIT_CHORD = frozenset({Key.L2, Key.X})
STAND_CHORD = frozenset({Key.L2, Key.A})
DAMP_CHORD = frozenset({Key.L2, Key.Y})
WALK_CHORD = frozenset({Key.START})

ViewMaker = Callable[..., TickView]


def view_maker(make_state: Callable[..., RobotState]) -> ViewMaker:
    """Makes ticks of a healthy robot with idle keys, with the given fields changed."""

    def make(mode: Mode, ticks: int = 0, time_s: float = 0.0, finished: bool = False, **changes: Any) -> TickView:
        return TickView(mode, finished, ticks, make_state(), 0, frozenset(), time_s)._replace(**changes)

    return make


def mode_of(change: Optional[Change]) -> Optional[Mode]:
    """Where a change leads to; None without one."""
    return None if change is None else change.mode
