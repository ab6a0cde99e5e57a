"""Schedules: which mode comes when."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
import pytest

from deploy.onboard.reasons import Reason
from deploy.onboard.remote import Key
from deploy.onboard.schedule import (
    Change,
    EpisodeSchedule,
    RemoteSchedule,
    SessionSettings,
    SettingsError,
    TickView,
)
from deploy.onboard.target import Mode
from offline_data.log_schema import Ending

SIT_CHORD = frozenset({Key.L2, Key.X})
STAND_CHORD = frozenset({Key.L2, Key.A})
DAMP_CHORD = frozenset({Key.L2, Key.Y})


@pytest.fixture
def view(make_state: Any) -> Any:
    def make(mode: Mode, ticks: int = 0, time_s: float = 0.0, finished: bool = False, **changes: Any) -> TickView:
        plain = TickView(mode, finished, ticks, make_state(), 0, frozenset(), time_s)
        return plain._replace(**changes)

    return make


def make_schedule(**settings: Any) -> EpisodeSchedule:
    return EpisodeSchedule(SessionSettings(**settings), link_hz=500, ticks_per_step=10)


def mode_of(change: Optional[Change]) -> Optional[Mode]:
    return None if change is None else change.mode


def test_a_session_of_two_episodes(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=2)
    assert mode_of(schedule.decide(view(Mode.DAMP))) is Mode.STAND
    for _ in range(2):
        assert schedule.decide(view(Mode.STAND)) is None
        assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.WALK
        assert schedule.decide(view(Mode.WALK, ticks=499)) is None
        assert schedule.decide(view(Mode.WALK, ticks=500)) == Change(Mode.STAND, Ending.TRUNCATED, "planned time over")
    assert schedule.decide(view(Mode.STAND)) is None
    assert schedule.decide(view(Mode.STAND, finished=True)) == Change(Mode.SIT)
    assert schedule.decide(view(Mode.SIT)) is None
    assert mode_of(schedule.decide(view(Mode.SIT, finished=True))) is Mode.DAMP
    assert not schedule.done
    assert schedule.decide(view(Mode.DAMP)) is None
    assert schedule.done
    assert schedule.stop_reason == ""


def test_the_walking_time_is_collected_over_episodes(view: Any) -> None:
    """1 s in episodes of 0.4 s: 0.4, a fall after 0.1 (41 ticks: 5 steps), 0.4, and what is left: 0.1."""
    schedule = make_schedule(episode_s=0.4, walk_s=1.0, auto_rearm=True)
    schedule.decide(view(Mode.STAND, finished=True))
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=200))) is Mode.STAND
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.on_fault(Reason.TILT, view(Mode.WALK, ticks=40))
    schedule.decide(view(Mode.STAND, finished=True))
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=200))) is Mode.STAND
    schedule.decide(view(Mode.STAND, finished=True))
    assert schedule.decide(view(Mode.WALK, ticks=49)) is None
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=50))) is Mode.STAND
    assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT


def test_an_episode_lasts_whole_policy_steps(view: Any) -> None:
    schedule = make_schedule(episode_s=0.0301, episodes=1)  # one and a half steps: two
    schedule.decide(view(Mode.STAND, finished=True))
    assert schedule.decide(view(Mode.WALK, ticks=19)) is None
    assert schedule.decide(view(Mode.WALK, ticks=20)) is not None


def test_it_does_not_stand_up_while_the_state_is_unfit_and_gives_up(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=1, rearm_timeout_s=3.0)
    unfit = int(Reason.TILT)
    assert schedule.decide(view(Mode.DAMP, time_s=0.0, state_faults=unfit)) is None
    assert schedule.decide(view(Mode.DAMP, time_s=3.0, state_faults=unfit)) is None
    assert not schedule.done
    schedule.decide(view(Mode.DAMP, time_s=3.01, state_faults=unfit))
    assert schedule.done
    assert "tilt" in schedule.stop_reason


def test_after_a_fall_the_session_ends_unless_told_otherwise(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=3)
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.on_fault(Reason.TILT, view(Mode.WALK, ticks=5))
    assert schedule.done
    assert schedule.stop_reason == "tilt"


def test_a_fall_in_the_last_episode_is_no_early_stop(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=1, auto_rearm=True)
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.on_fault(Reason.TILT, view(Mode.WALK, ticks=5))
    assert (schedule.done, schedule.stop_reason) == (True, "")


def test_the_stop_key_ends_the_session_whatever_the_settings(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=3, auto_rearm=True)
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.on_fault(Reason.STOP_KEY, view(Mode.WALK, ticks=5))
    assert (schedule.done, schedule.stop_reason) == (True, "stop_key")


def fallen(view: Any, **settings: Any) -> EpisodeSchedule:
    schedule = make_schedule(episode_s=1.0, episodes=3, auto_rearm=True, rest_s=0.5, **settings)
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.on_fault(Reason.TILT, view(Mode.WALK, ticks=5, time_s=10.0))
    assert not schedule.done
    return schedule


def test_it_rearms_after_lying_still_for_half_a_second(view: Any) -> None:
    schedule = fallen(view)
    assert schedule.decide(view(Mode.FAULT, time_s=11.0)) is None
    assert schedule.decide(view(Mode.FAULT, time_s=11.499)) is None
    assert mode_of(schedule.decide(view(Mode.FAULT, time_s=11.501))) is Mode.DAMP
    assert mode_of(schedule.decide(view(Mode.DAMP, time_s=11.503))) is Mode.STAND


def test_any_motion_or_fault_restarts_the_wait(view: Any, make_state: Any) -> None:
    turning = make_state(angular_velocity_trunk_in_trunk=np.array([0.0, 0.51, 0.0], np.float32))
    swinging = make_state(joint_velocity=np.full(12, -2.01, np.float32))
    for disturbance in ({"state": turning}, {"state": swinging}, {"state_faults": int(Reason.TILT)}, {"state": None}):
        schedule = fallen(view)
        assert schedule.decide(view(Mode.FAULT, time_s=11.0)) is None
        assert schedule.decide(view(Mode.FAULT, time_s=11.4, **disturbance)) is None
        assert schedule.decide(view(Mode.FAULT, time_s=11.402)) is None
        assert schedule.decide(view(Mode.FAULT, time_s=11.9)) is None
        assert mode_of(schedule.decide(view(Mode.FAULT, time_s=11.903))) is Mode.DAMP


def test_every_fall_needs_a_rest_of_its_own(view: Any) -> None:
    schedule = fallen(view)
    schedule.decide(view(Mode.FAULT, time_s=11.0))
    assert mode_of(schedule.decide(view(Mode.FAULT, time_s=11.6))) is Mode.DAMP
    schedule.on_fault(Reason.TILT, view(Mode.STAND, time_s=12.0))
    assert schedule.decide(view(Mode.FAULT, time_s=12.1)) is None
    assert mode_of(schedule.decide(view(Mode.FAULT, time_s=12.7))) is Mode.DAMP


def test_it_gives_up_on_a_robot_that_stays_down(view: Any) -> None:
    schedule = fallen(view, rearm_timeout_s=4.0)
    tipped = {"state_faults": int(Reason.TILT)}
    schedule.decide(view(Mode.FAULT, time_s=14.0, **tipped))
    assert not schedule.done
    schedule.decide(view(Mode.FAULT, time_s=14.01, **tipped))
    assert schedule.done
    assert "4.0 s" in schedule.stop_reason


def test_it_gives_up_on_a_robot_that_cannot_stand_up(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=3, auto_rearm=True, maximum_failed_stands=2)
    for _ in range(2):
        schedule.on_fault(Reason.TILT, view(Mode.STAND))
        assert not schedule.done
    schedule.on_fault(Reason.TILT, view(Mode.STAND))
    assert schedule.done
    assert "3 faults in a row" in schedule.stop_reason


def test_a_success_forgives_earlier_failures(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=30, auto_rearm=True, maximum_failed_stands=1)
    for _ in range(5):
        schedule.on_fault(Reason.TILT, view(Mode.STAND))
        schedule.decide(view(Mode.STAND, finished=True))
    assert not schedule.done


def test_a_fault_on_the_way_to_the_seat_ends_the_session(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=1, auto_rearm=True)
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.decide(view(Mode.WALK, ticks=500))
    schedule.on_fault(Reason.TILT, view(Mode.STAND))
    assert (schedule.done, schedule.stop_reason) == (True, "")


@pytest.mark.parametrize(
    ("chord", "mode"), [(SIT_CHORD, Mode.STAND), (STAND_CHORD, Mode.STAND), (DAMP_CHORD, Mode.DAMP)]
)
def test_a_person_can_take_over_with_the_remote(view: Any, chord: frozenset[Key], mode: Mode) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=3, auto_rearm=True)
    schedule.decide(view(Mode.STAND, finished=True))
    change = schedule.decide(view(Mode.WALK, ticks=7, keys=chord))
    assert change is not None
    assert (change.mode, change.ending) == (mode, Ending.INTERVENTION)
    if mode is Mode.STAND:
        assert schedule.decide(view(Mode.STAND)) is None
        assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT
    schedule.decide(view(Mode.DAMP))
    assert schedule.done
    assert "remote" in schedule.stop_reason


@pytest.mark.parametrize(
    "settings",
    [
        {"episode_s": 1.0},
        {"episode_s": 0.0, "episodes": 1},
        {"episode_s": math.inf, "episodes": 1},
        {"episode_s": math.nan, "episodes": 1},
        {"episode_s": 1.0, "episodes": 0},
        {"episode_s": 1.0, "walk_s": -1.0},
    ],
)
def test_impossible_sessions_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        SessionSettings(**settings)


def test_the_remote_drives_the_modes(view: Any) -> None:
    schedule = RemoteSchedule(walk_s=None, link_hz=500)
    start = frozenset({Key.START})
    assert schedule.decide(view(Mode.DAMP)) is None
    assert schedule.decide(view(Mode.DAMP, keys=start)) is None  # not from lying
    assert schedule.decide(view(Mode.DAMP, keys=STAND_CHORD, state_faults=int(Reason.TILT))) is None
    assert mode_of(schedule.decide(view(Mode.DAMP, keys=STAND_CHORD))) is Mode.STAND
    assert schedule.decide(view(Mode.STAND, keys=start)) is None  # not before it stands
    assert mode_of(schedule.decide(view(Mode.STAND, keys=start, finished=True))) is Mode.WALK
    change = schedule.decide(view(Mode.WALK, ticks=70, keys=SIT_CHORD))
    assert change is not None
    assert (change.mode, change.ending) == (Mode.STAND, Ending.INTERVENTION)
    assert schedule.decide(view(Mode.STAND, keys=SIT_CHORD)) is None, "the chord is still held"
    assert schedule.decide(view(Mode.STAND)) is None
    assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT
    assert mode_of(schedule.decide(view(Mode.SIT, finished=True))) is Mode.DAMP
    schedule.on_fault(Reason.STOP_KEY, view(Mode.DAMP))
    assert schedule.decide(view(Mode.FAULT, keys=STAND_CHORD)) is None
    assert mode_of(schedule.decide(view(Mode.FAULT, keys=DAMP_CHORD))) is Mode.DAMP
    assert not schedule.done


def test_a_remote_session_ends_after_its_walking_time(view: Any) -> None:
    schedule = RemoteSchedule(walk_s=1.0, link_hz=500)
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=300, keys=STAND_CHORD))) is Mode.STAND
    assert schedule.decide(view(Mode.WALK, ticks=199)) is None
    assert schedule.decide(view(Mode.WALK, ticks=200)) == Change(Mode.STAND, Ending.TRUNCATED, "planned time over")
    for keys in (frozenset(), STAND_CHORD, frozenset({Key.START})):
        assert schedule.decide(view(Mode.STAND, keys=keys)) is None
    assert schedule.decide(view(Mode.STAND, keys=frozenset({Key.START}), finished=True)) is None
    assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT
    assert mode_of(schedule.decide(view(Mode.SIT, finished=True))) is Mode.DAMP
    schedule.decide(view(Mode.DAMP))
    assert schedule.done


@pytest.mark.parametrize(("chord", "mode"), [(STAND_CHORD, None), (DAMP_CHORD, Mode.DAMP)])
def test_on_the_way_to_the_seat_a_person_may_think_better_of_it(
    view: Any, chord: frozenset[Key], mode: Optional[Mode]
) -> None:
    schedule = RemoteSchedule(walk_s=None, link_hz=500)
    schedule.decide(view(Mode.WALK, ticks=70, keys=SIT_CHORD))
    assert mode_of(schedule.decide(view(Mode.STAND, keys=chord))) is mode
    assert schedule.decide(view(mode or Mode.STAND, finished=mode is None)) is None


def test_a_fault_on_the_way_makes_the_remote_forget_the_seat(view: Any) -> None:
    schedule = RemoteSchedule(walk_s=None, link_hz=500)
    schedule.decide(view(Mode.WALK, ticks=70, keys=SIT_CHORD))
    schedule.on_fault(Reason.TILT, view(Mode.STAND))
    assert schedule.decide(view(Mode.STAND, finished=True)) is None
