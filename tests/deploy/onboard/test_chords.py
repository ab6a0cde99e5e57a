"""Chords of the remote: what acts at once, and what has to be held alone."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from deploy.onboard.chords import HOLD_S, ChordWatch
from deploy.onboard.modes import MODE_KEYS
from deploy.onboard.reasons import Reason
from deploy.onboard.remote import Key
from deploy.onboard.target import Mode
from tests.deploy.onboard.schedule_views import DAMP_CHORD, SIT_CHORD, STAND_CHORD

AT_ONCE = {
    (Mode.WALK, Mode.STAND),
    (Mode.HALT, Mode.STAND),
    *product((Mode.STAND, Mode.WALK, Mode.HALT, Mode.SIT), (Mode.SIT, Mode.DAMP)),
}
"""From a mode, towards the ground."""


@pytest.mark.parametrize(("mode", "chord_and_asked"), list(product(Mode, MODE_KEYS)))
def test_every_chord_in_every_mode(view: Any, mode: Mode, chord_and_asked: Any) -> None:
    chord, asked = chord_and_asked
    watch = ChordWatch()
    watch.asked(view(mode, time_s=9.9))
    if (mode, asked) in AT_ONCE:
        assert watch.asked(view(mode, time_s=10.0, keys=chord)) is asked
        assert watch.asked(view(mode, time_s=10.0, keys=chord | {Key.LEFT})) is asked
    else:
        assert watch.asked(view(mode, time_s=10.0, keys=chord)) is None
        assert watch.asked(view(mode, time_s=10.0 + 0.999 * HOLD_S, keys=chord)) is None
        assert watch.asked(view(mode, time_s=10.001 + HOLD_S, keys=chord)) is asked
    assert watch.asked(view(mode, time_s=20.0)) is None


@pytest.mark.parametrize("other", sorted(set(Key) - DAMP_CHORD))
def test_another_key_makes_it_begin_anew(view: Any, other: Key) -> None:
    watch = ChordWatch()
    assert watch.asked(view(Mode.FAULT, time_s=0.0, keys=DAMP_CHORD)) is None
    assert watch.asked(view(Mode.FAULT, time_s=0.09, keys=DAMP_CHORD | {other})) is None
    assert watch.asked(view(Mode.FAULT, time_s=1.0, keys=DAMP_CHORD | {other})) is None, "not alone, however long"
    assert watch.asked(view(Mode.FAULT, time_s=1.002, keys=DAMP_CHORD)) is None
    assert watch.asked(view(Mode.FAULT, time_s=1.101, keys=DAMP_CHORD)) is None
    assert watch.asked(view(Mode.FAULT, time_s=1.103, keys=DAMP_CHORD)) is Mode.DAMP


def test_a_gap_makes_it_begin_anew(view: Any) -> None:
    watch = ChordWatch()
    for began_s in (0.0, 0.092):
        assert watch.asked(view(Mode.FAULT, time_s=began_s, keys=DAMP_CHORD)) is None
        assert watch.asked(view(Mode.FAULT, time_s=began_s + 0.09)) is None
    assert watch.asked(view(Mode.FAULT, time_s=0.184, keys=DAMP_CHORD)) is None


def test_a_chord_counts_in_the_mode_it_began_in(view: Any) -> None:
    """Who holds the chord to let go while the robot falls does not re-arm it in the same breath."""
    watch = ChordWatch()
    assert watch.asked(view(Mode.WALK, time_s=0.0, keys=DAMP_CHORD)) is Mode.DAMP
    assert watch.asked(view(Mode.FAULT, time_s=5.0, keys=DAMP_CHORD)) is None
    assert watch.asked(view(Mode.FAULT, time_s=5.11, keys=DAMP_CHORD)) is Mode.DAMP


@pytest.mark.parametrize("silence", [Reason.STATE_STALE, Reason.STATE_MISSING, Reason.STATE_STALE | Reason.STOP_KEY])
def test_a_silent_robot_does_not_hold_a_chord(view: Any, silence: Reason) -> None:
    """Its keys are those of the last state that came."""
    watch = ChordWatch()
    for time_s in (0.0, 0.05, 0.5, 5.0):
        assert watch.asked(view(Mode.FAULT, time_s=time_s, keys=DAMP_CHORD, state_faults=int(silence))) is None
    assert watch.asked(view(Mode.FAULT, time_s=5.002, keys=DAMP_CHORD)) is None
    assert watch.asked(view(Mode.FAULT, time_s=5.103, keys=DAMP_CHORD)) is Mode.DAMP


def test_chords_that_overlap(view: Any) -> None:
    """Two chords at once are neither, where they ask for motion; towards the ground the first of the list counts."""
    watch = ChordWatch()
    both = STAND_CHORD | SIT_CHORD
    for time_s in (0.0, 0.2):
        assert watch.asked(view(Mode.DAMP, time_s=time_s, keys=both)) is None
    assert watch.asked(view(Mode.WALK, time_s=0.3, keys=both)) is Mode.STAND


def test_a_tenth_of_a_second_is_enough(view: Any) -> None:
    watch = ChordWatch()
    assert HOLD_S == 0.1
    assert watch.asked(view(Mode.FAULT, time_s=0.0, keys=DAMP_CHORD)) is None
    assert watch.asked(view(Mode.FAULT, time_s=0.1, keys=DAMP_CHORD)) is Mode.DAMP


def test_a_robot_that_is_heard_holds_its_chord_whatever_else_is_wrong_with_it(view: Any) -> None:
    """What stands against the wish is for the schedule and the gate to say."""
    watch = ChordWatch()
    for time_s, asked in ((0.0, None), (0.1, Mode.DAMP)):
        tilted = view(Mode.FAULT, time_s=time_s, keys=DAMP_CHORD, state_faults=int(Reason.TILT | Reason.MOTOR_HOT))
        assert watch.asked(tilted) is asked
