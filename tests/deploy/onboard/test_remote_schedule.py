"""A person with the robot's own remote: which mode comes when, and that noise on the remote moves nothing."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.onboard.chords import HOLD_S
from deploy.onboard.landing import HALT_LIMIT_S, STILL_S
from deploy.onboard.modes import ALLOWED_NEXT
from deploy.onboard.packet_layout import REMOTE_BYTES
from deploy.onboard.reasons import Reason
from deploy.onboard.remote import Key, pressed_keys
from deploy.onboard.remote_schedule import RemoteSchedule
from deploy.onboard.schedule import Change
from deploy.onboard.target import MOVING_MODES, Mode
from offline_data.log_schema import Ending
from tests.deploy.onboard.schedule_views import DAMP_CHORD, SIT_CHORD, STAND_CHORD, WALK_CHORD, mode_of, view_maker

TICK_S = 0.002


def hold(
    schedule: RemoteSchedule, view: Any, mode: Mode, chord: frozenset[Key], hold_s: float = HOLD_S, **changes: Any
) -> Optional[Change]:
    """Hold a chord from now on, in ticks of the link; the first change that comes of it."""
    for tick in range(round(hold_s / TICK_S) + 1):
        change = schedule.decide(view(mode, time_s=1000.0 + tick * TICK_S, keys=chord, **changes))
        if change is not None:
            return change
    return None


def test_the_remote_drives_the_modes(view: Any) -> None:
    schedule = RemoteSchedule(walk_s=None, link_hz=500)
    assert schedule.decide(view(Mode.DAMP)) is None
    assert hold(schedule, view, Mode.DAMP, WALK_CHORD) is None  # not from lying
    assert hold(schedule, view, Mode.DAMP, STAND_CHORD, state_faults=int(Reason.TILT)) is None
    assert mode_of(hold(schedule, view, Mode.DAMP, STAND_CHORD)) is Mode.STAND
    assert hold(schedule, view, Mode.STAND, WALK_CHORD) is None  # not before it stands
    assert mode_of(hold(schedule, view, Mode.STAND, WALK_CHORD, finished=True)) is Mode.WALK
    change = schedule.decide(view(Mode.WALK, ticks=70, keys=SIT_CHORD, time_s=5.0))
    assert change is not None
    assert (change.mode, change.ending) == (Mode.HALT, Ending.INTERVENTION)
    assert schedule.decide(view(Mode.HALT, keys=SIT_CHORD, time_s=5.002)) is None, "the chord is still held"
    assert schedule.decide(view(Mode.HALT, time_s=5.0 + STILL_S)) is None
    assert mode_of(schedule.decide(view(Mode.HALT, time_s=5.003 + STILL_S))) is Mode.STAND
    assert schedule.decide(view(Mode.STAND, keys=SIT_CHORD)) is None
    assert schedule.decide(view(Mode.STAND)) is None
    assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT
    assert mode_of(schedule.decide(view(Mode.SIT, finished=True))) is Mode.DAMP
    schedule.on_fault(Reason.STOP_KEY, view(Mode.DAMP))
    assert hold(schedule, view, Mode.FAULT, STAND_CHORD) is None
    assert mode_of(hold(schedule, view, Mode.FAULT, DAMP_CHORD)) is Mode.DAMP
    assert not schedule.done


def test_a_remote_session_ends_after_its_walking_time(view: Any) -> None:
    schedule = RemoteSchedule(walk_s=1.0, link_hz=500)
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=300, keys=STAND_CHORD))) is Mode.HALT
    assert schedule.decide(view(Mode.WALK, ticks=199)) is None
    assert schedule.decide(view(Mode.WALK, ticks=200)) == Change(Mode.HALT, Ending.TRUNCATED, "planned time over")
    assert schedule.decide(view(Mode.HALT, keys=STAND_CHORD)) is None
    assert mode_of(schedule.decide(view(Mode.HALT, time_s=HALT_LIMIT_S))) is Mode.STAND
    for keys in (frozenset(), STAND_CHORD, WALK_CHORD):
        assert hold(schedule, view, Mode.STAND, keys) is None
    assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT
    assert mode_of(schedule.decide(view(Mode.SIT, finished=True))) is Mode.DAMP
    schedule.decide(view(Mode.DAMP))
    assert schedule.done


@pytest.mark.parametrize(("chord", "mode"), [(STAND_CHORD, None), (DAMP_CHORD, Mode.DAMP)])
@pytest.mark.parametrize("on_the_way", [Mode.HALT, Mode.STAND])
def test_on_the_way_to_the_seat_a_person_may_think_better_of_it(
    view: Any, on_the_way: Mode, chord: frozenset[Key], mode: Optional[Mode]
) -> None:
    schedule = RemoteSchedule(walk_s=None, link_hz=500)
    schedule.decide(view(Mode.WALK, ticks=70, keys=SIT_CHORD, time_s=1000.0))
    assert mode_of(hold(schedule, view, on_the_way, chord)) is mode
    assert schedule.decide(view(mode or Mode.STAND, finished=mode is None, time_s=1002.0)) is None


def test_who_only_stands_may_wish_for_a_seat_while_the_robot_comes_to_rest(view: Any) -> None:
    schedule = RemoteSchedule(walk_s=None, link_hz=500)
    schedule.decide(view(Mode.WALK, ticks=70, keys=STAND_CHORD))
    schedule.decide(view(Mode.HALT, keys=SIT_CHORD))
    assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT


@pytest.mark.parametrize("mode", [Mode.WALK, Mode.HALT, Mode.STAND, Mode.SIT])
def test_letting_go_does_not_wait(view: Any, mode: Mode) -> None:
    change = RemoteSchedule(walk_s=None, link_hz=500).decide(view(mode, keys=DAMP_CHORD))
    assert change is not None
    assert (change.mode, change.ending) == (Mode.DAMP, Ending.INTERVENTION if mode is Mode.WALK else Ending.NONE)


def test_a_fault_on_the_way_makes_the_remote_forget_the_seat(view: Any) -> None:
    schedule = RemoteSchedule(walk_s=None, link_hz=500)
    schedule.decide(view(Mode.WALK, ticks=70, keys=SIT_CHORD))
    schedule.on_fault(Reason.TILT, view(Mode.STAND))
    assert schedule.decide(view(Mode.STAND, finished=True)) is None


def test_a_walk_that_a_fault_has_ended_counts_with_the_tick_of_the_fault(view: Any) -> None:
    """500 ticks in all: 300 and the one in which the gate latched, and 199 after it; a fault elsewhere takes none."""
    schedule = RemoteSchedule(walk_s=1.0, link_hz=500)
    schedule.on_fault(Reason.TILT, view(Mode.WALK, ticks=300))
    schedule.on_fault(Reason.TILT, view(Mode.STAND, ticks=100))
    assert schedule.decide(view(Mode.WALK, ticks=198)) is None
    assert schedule.decide(view(Mode.WALK, ticks=199)) == Change(Mode.HALT, Ending.TRUNCATED, "planned time over")


def test_time_that_is_more_than_over_is_over(view: Any) -> None:
    """A fault in the very last tick, or ticks that were missed, take a walk past its end."""
    schedule = RemoteSchedule(walk_s=1.0, link_hz=500)
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=507))) is Mode.HALT
    schedule = RemoteSchedule(walk_s=1.0, link_hz=500)
    schedule.on_fault(Reason.TILT, view(Mode.WALK, ticks=500))
    assert schedule.decide(view(Mode.DAMP)) is None
    assert schedule.done


def test_a_walk_through_every_mode_asks_only_for_what_may_follow(view: Any) -> None:
    """Whatever is held, in whatever order, no change is one that the mode machine refuses."""
    generator = np.random.default_rng(0)
    schedule, mode = RemoteSchedule(walk_s=None, link_hz=500), Mode.DAMP
    nothing: frozenset[Key] = frozenset()
    chords = (STAND_CHORD, WALK_CHORD, SIT_CHORD, DAMP_CHORD, frozenset({Key.A}), nothing)
    seen = {mode}
    entered_s = time_s = 0.0
    for _ in range(8_000):
        chord = chords[generator.integers(len(chords))]
        finished = mode in (Mode.STAND, Mode.SIT) and time_s - entered_s > 0.3
        change = schedule.decide(view(mode, ticks=1, time_s=time_s, keys=chord, finished=finished))
        time_s += 0.06 if generator.random() < 0.5 else 0.2
        if change is None and generator.random() < 0.9:
            change = schedule.decide(view(mode, ticks=1, time_s=time_s, keys=chord, finished=finished))
        if change is not None:
            assert change.mode in ALLOWED_NEXT[mode]
            mode, entered_s = change.mode, time_s
            seen.add(mode)
        elif mode in MOVING_MODES and generator.random() < 0.02:
            schedule.on_fault(Reason.TILT, view(mode))
            mode, entered_s = Mode.FAULT, time_s
            seen.add(mode)
    assert seen == set(Mode)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), mean_hold_ticks=st.integers(1, 10), zeros=st.floats(0.0, 0.9))
def test_noise_on_the_remote_neither_rearms_nor_moves_anything(
    make_state: Any, seed: int, mean_hold_ticks: int, zeros: float
) -> None:
    """Half a minute of random bytes an example, some of them idle, each held for up to a few states: five minutes."""
    view, generator = view_maker(make_state), np.random.default_rng(seed)
    schedule = RemoteSchedule(walk_s=None, link_hz=500)
    lying = view(Mode.DAMP)
    tick, remote = 0, bytes(REMOTE_BYTES)
    while tick < 15_000:
        idle = generator.random() < zeros
        remote = bytes(REMOTE_BYTES) if idle else generator.bytes(REMOTE_BYTES)
        keys = pressed_keys(remote)
        for _ in range(min(int(generator.geometric(1.0 / mean_hold_ticks)), round(HOLD_S / TICK_S))):
            mode = Mode.FAULT if tick < 7_500 else Mode.DAMP
            assert schedule.decide(lying._replace(mode=mode, keys=keys, time_s=tick * TICK_S)) is None
            tick += 1
