"""The planned session: which mode comes when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deploy.onboard.episode_schedule import EpisodeSchedule
from deploy.onboard.landing import STILL_S
from deploy.onboard.reasons import Reason
from deploy.onboard.remote import Key
from deploy.onboard.schedule import Change, SessionSettings
from deploy.onboard.target import Mode
from offline_data.log_schema import Ending
from tests.deploy.onboard.schedule_views import DAMP_CHORD, SIT_CHORD, STAND_CHORD, mode_of


def make_schedule(**settings: Any) -> EpisodeSchedule:
    return EpisodeSchedule(SessionSettings(**settings), link_hz=500, ticks_per_step=10)


def come_to_rest(schedule: EpisodeSchedule, view: Any) -> None:
    """A robot that is still from the first look on."""
    assert schedule.decide(view(Mode.HALT, time_s=0.0)) is None
    assert schedule.decide(view(Mode.HALT, time_s=STILL_S)) == Change(Mode.STAND)


def test_a_session_of_two_episodes(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=2)
    assert mode_of(schedule.decide(view(Mode.DAMP))) is Mode.STAND
    for _ in range(2):
        assert schedule.decide(view(Mode.STAND)) is None
        assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.WALK
        assert schedule.decide(view(Mode.WALK, ticks=499)) is None
        assert schedule.decide(view(Mode.WALK, ticks=500)) == Change(Mode.HALT, Ending.TRUNCATED, "planned time over")
        come_to_rest(schedule, view)
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
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=200))) is Mode.HALT
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.on_fault(Reason.TILT, view(Mode.WALK, ticks=40))
    schedule.decide(view(Mode.STAND, finished=True))
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=200))) is Mode.HALT
    schedule.decide(view(Mode.STAND, finished=True))
    assert schedule.decide(view(Mode.WALK, ticks=49)) is None
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=50))) is Mode.HALT
    assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT


def test_an_episode_lasts_whole_policy_steps(view: Any) -> None:
    schedule = make_schedule(episode_s=0.0301, episodes=1)  # one and a half steps: two
    schedule.decide(view(Mode.STAND, finished=True))
    assert schedule.decide(view(Mode.WALK, ticks=19)) is None
    assert schedule.decide(view(Mode.WALK, ticks=20)) is not None


def test_an_episode_lasts_one_step_at_least(view: Any) -> None:
    schedule = make_schedule(episode_s=0.001, episodes=1)
    schedule.decide(view(Mode.STAND, finished=True))
    assert schedule.decide(view(Mode.WALK, ticks=9)) is None
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=10))) is Mode.HALT


def test_ticks_that_were_missed_do_not_make_an_episode_endless(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=2)
    schedule.decide(view(Mode.STAND, finished=True))
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=507))) is Mode.HALT


@pytest.mark.parametrize(("fault_ticks", "left_ticks"), [(39, 160), (40, 150), (49, 150), (50, 140)])
def test_a_step_that_a_fault_broke_off_counts(view: Any, fault_ticks: int, left_ticks: int) -> None:
    """Of 20 steps: the tick of the fault was carried out too, and a step counts from its first tick on."""
    schedule = make_schedule(episode_s=10.0, walk_s=0.4, auto_rearm=True)
    assert mode_of(schedule.decide(view(Mode.DAMP))) is Mode.STAND
    schedule.on_fault(Reason.TILT, view(Mode.WALK, ticks=fault_ticks))
    assert schedule.decide(view(Mode.WALK, ticks=left_ticks - 1)) is None
    assert mode_of(schedule.decide(view(Mode.WALK, ticks=left_ticks))) is Mode.HALT


def test_a_plan_that_is_more_than_done_is_done(view: Any) -> None:
    """By a fault in the last tick of all, which takes a step more than was planned; or by an episode too many."""
    schedule = make_schedule(episode_s=10.0, walk_s=0.4, auto_rearm=True)
    schedule.on_fault(Reason.TILT, view(Mode.WALK, ticks=200))
    assert (schedule.done, schedule.stop_reason) == (True, "")
    schedule = make_schedule(episode_s=1.0, episodes=1)
    for _ in range(2):
        schedule.decide(view(Mode.STAND, finished=True))
    assert schedule.decide(view(Mode.DAMP)) is None
    assert schedule.done


def test_a_fault_that_it_was_not_told_of_is_not_waited_out(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=1, auto_rearm=True)
    assert schedule.decide(view(Mode.FAULT, time_s=0.0)) is None
    assert schedule.done


def test_it_does_not_stand_up_while_the_state_is_unfit_and_gives_up(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=1, rearm_timeout_s=3.0)
    unfit = int(Reason.TILT)
    for time_s in (100.0, 101.0, 103.0):
        assert schedule.decide(view(Mode.DAMP, time_s=time_s, state_faults=unfit)) is None
        assert not schedule.done
    schedule.decide(view(Mode.DAMP, time_s=103.01, state_faults=unfit))
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
    for done in (False, True):
        schedule.on_fault(Reason.TILT, view(Mode.STAND))
        assert schedule.done is done


@pytest.mark.parametrize("mode", [Mode.HALT, Mode.STAND])
def test_a_fault_on_the_way_to_the_seat_ends_the_session(view: Any, mode: Mode) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=1, auto_rearm=True)
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.decide(view(Mode.WALK, ticks=500))
    schedule.on_fault(Reason.TILT, view(mode))
    assert (schedule.done, schedule.stop_reason) == (True, "")


def test_a_fault_on_the_way_to_rest_is_no_failed_stand(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=30, auto_rearm=True, maximum_failed_stands=0)
    schedule.decide(view(Mode.WALK, ticks=500))
    schedule.on_fault(Reason.TILT, view(Mode.HALT))
    assert not schedule.done
    schedule.on_fault(Reason.TILT, view(Mode.STAND))
    assert "1 faults in a row" in schedule.stop_reason


def test_every_walk_has_a_rest_of_its_own(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=3)
    for began_s in (10.0, 20.0):
        schedule.decide(view(Mode.WALK, ticks=500, time_s=began_s))
        assert schedule.decide(view(Mode.HALT, time_s=began_s)) is None
        assert schedule.decide(view(Mode.HALT, time_s=began_s + 0.9 * STILL_S)) is None


@pytest.mark.parametrize("chord", [SIT_CHORD, STAND_CHORD])
def test_a_person_can_take_over_while_it_comes_to_rest(view: Any, chord: frozenset[Key]) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=3)
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.decide(view(Mode.WALK, ticks=500))
    assert schedule.decide(view(Mode.HALT, keys=chord)) is None
    come_to_rest(schedule, view)
    assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT
    schedule.decide(view(Mode.DAMP))
    assert schedule.done
    assert "remote" in schedule.stop_reason


def test_a_person_who_lets_go_while_it_comes_to_rest_does_not_wait(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=3)
    schedule.decide(view(Mode.WALK, ticks=500))
    assert mode_of(schedule.decide(view(Mode.HALT, keys=DAMP_CHORD))) is Mode.DAMP
    schedule.decide(view(Mode.DAMP))
    assert (schedule.done, schedule.stop_reason) == (True, "the remote asked for DAMP")


def test_after_the_last_episode_there_is_nothing_to_take_over(view: Any) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=1)
    schedule.decide(view(Mode.STAND, finished=True))
    schedule.decide(view(Mode.WALK, ticks=500))
    schedule.decide(view(Mode.HALT, keys=SIT_CHORD))
    assert schedule.stop_reason == ""


@pytest.mark.parametrize(("chord", "mode"), [(SIT_CHORD, Mode.HALT), (STAND_CHORD, Mode.HALT), (DAMP_CHORD, Mode.DAMP)])
def test_a_person_can_take_over_with_the_remote(view: Any, chord: frozenset[Key], mode: Mode) -> None:
    schedule = make_schedule(episode_s=1.0, episodes=3, auto_rearm=True)
    schedule.decide(view(Mode.STAND, finished=True))
    change = schedule.decide(view(Mode.WALK, ticks=7, keys=chord))
    assert change is not None
    assert (change.mode, change.ending) == (mode, Ending.INTERVENTION)
    if mode is Mode.HALT:
        come_to_rest(schedule, view)
        assert schedule.decide(view(Mode.STAND)) is None
        assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT
    schedule.decide(view(Mode.DAMP))
    assert schedule.done
    assert "remote" in schedule.stop_reason
