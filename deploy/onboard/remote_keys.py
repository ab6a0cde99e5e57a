"""What the keys of the robot's own remote do, in words for the person who holds it; the keys come from the code."""

from __future__ import annotations

from typing import AbstractSet, Dict, Tuple

from deploy.onboard.chords import HOLD_S
from deploy.onboard.gate import STOP_KEY
from deploy.onboard.modes import MODE_KEYS
from deploy.onboard.remote import Key
from deploy.onboard.target import Mode

_PERSON_DRIVES: Dict[Mode, str] = {
    Mode.STAND: "stand up; out of a walk: come to rest and stand",
    Mode.WALK: "walk, once it stands: left stick forward and sideways, right stick turns",
    Mode.SIT: "sit down; out of a walk: come to rest first",
    Mode.DAMP: "let go; after a fault: re-arm",
}
_PLAN_DRIVES: Dict[Mode, str] = {
    Mode.STAND: "come to rest, sit down and end",
    Mode.SIT: "the same",
    Mode.DAMP: "let go and end",
}
_STOP = "STOP: damped at once and latched, whatever is going on"


def key_rows(person_drives: bool) -> Tuple[Tuple[str, str], ...]:
    """(keys, what they do), the stop key first; `person_drives`: the remote chooses the modes, not a plan."""
    meanings = _PERSON_DRIVES if person_drives else _PLAN_DRIVES
    rows = [(_name({STOP_KEY}), _STOP)]
    rows += [(_name(chord), meanings[mode]) for chord, mode in MODE_KEYS if mode in meanings]
    return tuple(rows)


def key_help(person_drives: bool) -> str:
    """A few lines for the terminal."""
    if person_drives:
        head = f"The robot is damped and waits for its remote (hold keys for {HOLD_S:g} s; Ctrl-C damps and ends):"
    else:
        head = "As soon as it answers, the robot stands up and walks by itself. Its remote (Ctrl-C damps and ends):"
    return "\n".join([head, *(f"  {keys:6} {meaning}" for keys, meaning in key_rows(person_drives))])


def _name(keys: AbstractSet[Key]) -> str:
    return "+".join(key.name for key in sorted(keys))
