"""What the remote's chords ask for: less motion at once, more motion only for a chord that is held, and alone.

Keys that a hand brushes, or that a disturbed radio makes up, come and go within a few states; a person's press lasts
longer than a tenth of a second. So re-arming, standing up and walking take a chord without any other key for that long,
and one that began in the mode it acts in. Whatever leads towards the ground acts in the tick in which it is seen.
"""

from __future__ import annotations

from typing import FrozenSet, Optional

from deploy.onboard.modes import MODE_KEYS, requested_mode
from deploy.onboard.reasons import Reason
from deploy.onboard.remote import Key
from deploy.onboard.schedule import TickView
from deploy.onboard.target import MOVING_MODES, POLICY_MODES, Mode

HOLD_S = 0.1
"""How long a chord that asks for motion has to be held alone [s]: fifty states."""

_UNHEARD = int(Reason.STATE_MISSING | Reason.STATE_STALE)
_CHORD_OF_MODE = {mode: chord for chord, mode in MODE_KEYS}


class ChordWatch:
    """Follows the remote's keys from tick to tick."""

    def __init__(self) -> None:
        self._keys: FrozenSet[Key] = frozenset()
        self._mode = Mode.DAMP
        self._since_s = 0.0

    def asked(self, view: TickView) -> Optional[Mode]:
        """The mode that the remote asks for, if it may; to be called at every tick."""
        # Of a robot that is silent nobody knows which keys are held.
        keys: FrozenSet[Key] = frozenset() if view.state_faults & _UNHEARD else view.keys
        if keys != self._keys or view.mode is not self._mode:
            self._keys, self._mode, self._since_s = keys, view.mode, view.time_s
        mode = requested_mode(view.keys)
        if mode is None or _is_towards_the_ground(view.mode, mode):
            return mode
        held_alone = keys == _CHORD_OF_MODE[mode] and view.time_s - self._since_s >= HOLD_S
        return mode if held_alone else None


def _is_towards_the_ground(mode: Mode, asked: Mode) -> bool:
    if asked is Mode.STAND:
        return mode in POLICY_MODES
    return asked in (Mode.SIT, Mode.DAMP) and mode in MOVING_MODES
