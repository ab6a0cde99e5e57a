"""A person drives: modes by wishes, and what happens when they are gone, tick by tick."""

from __future__ import annotations

from typing import Any, Optional

import pytest

from deploy.onboard.landing import STILL_S
from deploy.onboard.operator_input import DeviceReading, Operator, Wish
from deploy.onboard.operator_schedule import OPERATOR_LOST, SIT_AFTER_LOSS_S, OperatorSchedule
from deploy.onboard.reasons import Reason
from deploy.onboard.remote import Key
from deploy.onboard.target import Mode
from offline_data.log_schema import Ending
from tests.deploy.onboard.operator_bench import Desk, Person
from tests.deploy.onboard.schedule_views import DAMP_CHORD, STAND_CHORD, mode_of


def schedule_of(person: Person, desk: Optional[Desk] = None) -> OperatorSchedule:
    return OperatorSchedule(Operator([person], speed=1.0), (desk or Desk()).switch)


def test_nothing_happens_by_itself(view: Any) -> None:
    schedule = schedule_of(Person({}))
    for mode in (Mode.DAMP, Mode.STAND, Mode.WALK, Mode.FAULT):
        assert schedule.decide(view(mode, time_s=100.0, finished=True)) is None
    assert not schedule.done


@pytest.mark.parametrize(
    ("mode", "wish", "expected", "ending"),
    [
        (Mode.DAMP, Wish.STAND, Mode.STAND, Ending.NONE),
        (Mode.STAND, Wish.WALK, Mode.WALK, Ending.NONE),
        (Mode.STAND, Wish.SIT, Mode.SIT, Ending.NONE),
        (Mode.WALK, Wish.LET_GO, Mode.DAMP, Ending.INTERVENTION),
        (Mode.WALK, Wish.STOP, Mode.DAMP, Ending.INTERVENTION),
        (Mode.STAND, Wish.STOP, Mode.DAMP, Ending.NONE),
        (Mode.SIT, Wish.STAND, Mode.STAND, Ending.NONE),
        (Mode.SIT, Wish.STOP, Mode.DAMP, Ending.NONE),
        (Mode.FAULT, Wish.LET_GO, Mode.DAMP, Ending.NONE),
    ],
)
def test_a_wish_is_a_change_in_the_same_tick(view: Any, mode: Mode, wish: Wish, expected: Mode, ending: Ending) -> None:
    finished = mode is Mode.STAND
    change = schedule_of(Person({0.0: wish})).decide(view(mode, finished=finished))
    assert change is not None
    assert (change.mode, change.ending) == (expected, ending)
    assert change.reason


@pytest.mark.parametrize(("mode", "wish"), [(Mode.DAMP, Wish.WALK), (Mode.FAULT, Wish.STAND), (Mode.SIT, Wish.WALK)])
def test_what_cannot_follow_is_refused_with_a_notice(view: Any, mode: Mode, wish: Wish) -> None:
    schedule = schedule_of(Person({0.0: wish}))
    assert schedule.decide(view(mode)) is None
    assert "cannot follow" in schedule.notice
    # And it is not remembered for later.
    assert schedule.decide(view(Mode.STAND, time_s=1.0, finished=True)) is None


def test_walking_waits_for_the_stand_to_be_finished(view: Any) -> None:
    schedule = schedule_of(Person({0.0: Wish.WALK}))
    assert schedule.decide(view(Mode.STAND)) is None
    assert schedule.decide(view(Mode.STAND, time_s=1.0)) is None
    assert mode_of(schedule.decide(view(Mode.STAND, time_s=1.5, finished=True))) is Mode.WALK


@pytest.mark.parametrize("wish", [Wish.STAND, Wish.SIT, Wish.QUIT])
def test_a_walking_robot_comes_to_rest_and_stands_first(view: Any, wish: Wish) -> None:
    schedule = schedule_of(Person({0.0: wish}))
    change = schedule.decide(view(Mode.WALK))
    assert change is not None and (change.mode, change.ending) == (Mode.HALT, Ending.INTERVENTION)
    for time_s in (0.002, 0.4, STILL_S):
        assert schedule.decide(view(Mode.HALT, time_s=time_s)) is None
    assert mode_of(schedule.decide(view(Mode.HALT, time_s=0.003 + STILL_S))) is Mode.STAND
    assert schedule.decide(view(Mode.STAND, time_s=2.0)) is None
    after = mode_of(schedule.decide(view(Mode.STAND, time_s=3.0, finished=True)))
    assert after is (None if wish is Wish.STAND else Mode.SIT)


@pytest.mark.parametrize(("wish", "after"), [(Wish.STAND, None), (Wish.SIT, Mode.SIT), (Wish.WALK, Mode.WALK)])
def test_while_it_comes_to_rest_or_stands_up_a_person_may_think_of_something_else(
    view: Any, wish: Wish, after: Optional[Mode]
) -> None:
    """WALK may only be wished for in STAND; whichever comes last counts."""
    first = Wish.SIT if wish is Wish.STAND else Wish.STAND
    schedule = schedule_of(Person({0.0: first, 2.8 if wish is Wish.WALK else 0.5: wish}))
    schedule.decide(view(Mode.WALK))
    assert schedule.decide(view(Mode.HALT, time_s=0.5)) is None
    assert mode_of(schedule.decide(view(Mode.HALT, time_s=2.6))) is Mode.STAND
    assert schedule.decide(view(Mode.STAND, time_s=2.8)) is None
    assert mode_of(schedule.decide(view(Mode.STAND, time_s=3.0, finished=True))) is after


def test_a_seat_that_is_wished_for_twice_still_waits_for_the_stand(view: Any) -> None:
    schedule = schedule_of(Person({0.0: Wish.SIT, 2.8: Wish.SIT}))
    schedule.decide(view(Mode.WALK))
    assert mode_of(schedule.decide(view(Mode.HALT, time_s=2.6))) is Mode.STAND
    assert schedule.decide(view(Mode.STAND, time_s=2.8)) is None
    assert mode_of(schedule.decide(view(Mode.STAND, time_s=3.0, finished=True))) is Mode.SIT


def test_a_person_who_stops_does_not_wait_for_rest(view: Any) -> None:
    for wish in (Wish.STOP, Wish.LET_GO):
        schedule = schedule_of(Person({0.0: Wish.STAND, 0.2: wish}))
        schedule.decide(view(Mode.WALK))
        change = schedule.decide(view(Mode.HALT, time_s=0.2))
        assert change is not None and (change.mode, change.ending) == (Mode.DAMP, Ending.NONE)


def test_a_stop_forgets_what_was_waited_for(view: Any) -> None:
    schedule = schedule_of(Person({0.0: Wish.WALK, 0.5: Wish.STOP}))
    schedule.decide(view(Mode.STAND))
    assert mode_of(schedule.decide(view(Mode.STAND, time_s=0.5))) is Mode.DAMP
    assert schedule.decide(view(Mode.STAND, time_s=9.0, finished=True)) is None


def test_an_unfit_robot_does_not_stand_up(view: Any) -> None:
    schedule = schedule_of(Person({0.0: Wish.STAND}))
    assert schedule.decide(view(Mode.DAMP, state_faults=int(Reason.MOTOR_HOT))) is None
    assert "motor_hot" in schedule.notice
    assert schedule.decide(view(Mode.DAMP, time_s=60.0)) is None, "it must be asked again"


def test_an_unfit_robot_is_not_rearmed(view: Any) -> None:
    schedule = schedule_of(Person({0.0: Wish.LET_GO}))
    assert schedule.decide(view(Mode.FAULT, state_faults=int(Reason.TILT))) is None
    assert "tilt" in schedule.notice


def test_the_robots_own_remote_has_its_say(view: Any) -> None:
    schedule = schedule_of(Person({}))
    assert schedule.decide(view(Mode.DAMP, keys=STAND_CHORD)) is None, "what asks for motion has to be held"
    assert mode_of(schedule.decide(view(Mode.DAMP, time_s=0.101, keys=STAND_CHORD))) is Mode.STAND
    assert mode_of(schedule.decide(view(Mode.WALK, keys=DAMP_CHORD))) is Mode.DAMP
    assert schedule.decide(view(Mode.FAULT, time_s=1.0, keys=DAMP_CHORD)) is None
    assert mode_of(schedule.decide(view(Mode.FAULT, time_s=1.101, keys=DAMP_CHORD))) is Mode.DAMP


def test_recording_and_marks_reach_the_desk_with_their_mode(view: Any) -> None:
    desk, person = Desk(), Person({0.0: Wish.RECORDING})
    schedule = schedule_of(person, desk)
    schedule.decide(view(Mode.WALK))
    assert desk.toggles == [Mode.WALK]
    person.read = lambda time_s: DeviceReading(marks=("wet grass",))  # type: ignore[method-assign]
    schedule.decide(view(Mode.STAND, time_s=1.0))
    assert desk.marks == [(Mode.STAND, "wet grass")]


def test_quitting_sits_down_first(view: Any) -> None:
    schedule = schedule_of(Person({0.0: Wish.QUIT}))
    assert mode_of(schedule.decide(view(Mode.STAND, finished=True))) is Mode.SIT
    assert mode_of(schedule.decide(view(Mode.SIT, time_s=2.0, finished=True))) is Mode.DAMP
    assert schedule.decide(view(Mode.DAMP, time_s=2.002)) is None
    assert (schedule.done, schedule.stop_reason) == (True, "")


@pytest.mark.parametrize("mode", [Mode.DAMP, Mode.FAULT])
def test_quitting_a_robot_that_lies_ends_at_once(view: Any, mode: Mode) -> None:
    schedule = schedule_of(Person({0.0: Wish.QUIT}))
    schedule.decide(view(mode))
    assert (schedule.done, schedule.stop_reason) == (True, "")


def test_without_its_operator_a_lying_robot_ends_the_session_too(view: Any) -> None:
    schedule = schedule_of(Person({}, leaves_s=1.0))
    for time_s in (0.0, 1.0, 1.0 + 0.99 * SIT_AFTER_LOSS_S):
        assert schedule.decide(view(Mode.DAMP, time_s=time_s)) is None
        assert not schedule.done
    schedule.decide(view(Mode.DAMP, time_s=1.0 + SIT_AFTER_LOSS_S))
    assert (schedule.done, schedule.stop_reason) == (True, OPERATOR_LOST)


def test_without_its_operator_a_standing_robot_is_not_sent_walking_by_the_remote(view: Any) -> None:
    schedule = schedule_of(Person({}, leaves_s=0.0))
    assert schedule.decide(view(Mode.STAND, finished=True, keys=frozenset({Key.START}))) is None


def test_a_wish_for_the_mode_it_is_in_changes_nothing(view: Any) -> None:
    schedule = schedule_of(Person({0.0: Wish.STAND}))
    assert schedule.decide(view(Mode.STAND, finished=True)) is None
    assert schedule.notice == ""


@pytest.mark.parametrize("mode", [Mode.DAMP, Mode.FAULT])
def test_a_stop_of_a_robot_that_lies_damped_leaves_it_there(view: Any, mode: Mode) -> None:
    schedule = schedule_of(Person({0.0: Wish.STOP}))
    assert schedule.decide(view(mode)) is None
    assert "stopped" in schedule.notice


def test_a_seated_person_who_quits_does_not_ask_for_the_seat_again(view: Any) -> None:
    schedule = schedule_of(Person({0.0: Wish.QUIT}))
    assert schedule.decide(view(Mode.SIT)) is None
    assert mode_of(schedule.decide(view(Mode.SIT, time_s=1.0, finished=True))) is Mode.DAMP


@pytest.mark.parametrize(
    ("mode", "lost_s", "expected"),
    [
        (Mode.WALK, 0.298, None),
        (Mode.WALK, 0.3, Mode.HALT),
        (Mode.WALK, 0.5, Mode.HALT),
        (Mode.STAND, 0.5, None),
        (Mode.STAND, 1.998, None),
        (Mode.STAND, 2.0, Mode.SIT),
        (Mode.STAND, 2.5, Mode.SIT),
    ],
)
def test_what_a_lost_operator_leads_to(view: Any, mode: Mode, lost_s: float, expected: Optional[Mode]) -> None:
    schedule = schedule_of(Person({}, leaves_s=0.0))
    assert schedule.decide(view(mode, time_s=0.0, finished=True)) is None
    change = schedule.decide(view(mode, time_s=lost_s, finished=True))
    assert mode_of(change) is expected
    assert change is None or change.reason == OPERATOR_LOST
    assert schedule.notice == OPERATOR_LOST


def test_who_is_there_is_the_reason(view: Any) -> None:
    change = schedule_of(Person({0.0: Wish.STAND})).decide(view(Mode.DAMP))
    assert change is not None and change.reason == "operator"


@pytest.mark.parametrize("wish", [Wish.WALK, Wish.SIT])
def test_a_fault_makes_it_forget_what_was_wished_for(view: Any, wish: Wish) -> None:
    """A walk that waits for the stand, and a seat on the way to which the robot already is."""
    schedule = schedule_of(Person({0.0: wish}))
    schedule.decide(view(Mode.STAND if wish is Wish.WALK else Mode.WALK))
    schedule.on_fault(Reason.TILT, view(Mode.STAND))
    assert schedule.notice == "fault: tilt; let go (0) re-arms"
    assert schedule.decide(view(Mode.STAND, time_s=9.0, finished=True)) is None
