"""The gate's side of a pilot in another process: which answers count, for how long, and what is said to whom."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from deploy.onboard.child_process import PARENT_DIED, Done
from deploy.onboard.exchange import (
    NO_STEP,
    PULSE,
    REPORT,
    Answer,
    AnswerWriter,
    OrderWriter,
    Slots,
    read_report,
)
from deploy.onboard.gate import Gate
from deploy.onboard.gate_process import SUPERVISOR_SILENCE_LIMIT_S, PilotElsewhere, PulsingLink, run_gate
from deploy.onboard.pilot_seat import Moment
from deploy.onboard.reasons import Reason
from deploy.onboard.recorder import NoRecorder
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.session import RunSettings
from deploy.onboard.shared_slot import SlotReader
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import JointCommand
from robot_configs.robot import RobotModel

EPOCH = 17


class Across:
    """A seat, and the other ends of everything it is connected to."""

    def __init__(self, robot: RobotModel, state: Any) -> None:
        self.slots = Slots.create()
        self.wake, writing = os.pipe()
        os.set_blocking(self.wake, False)
        self._writing = writing
        self.seat = PilotElsewhere(self.slots, writing, EPOCH, robot)
        self.pilot, self.supervisor = AnswerWriter(self.slots.answer), OrderWriter(self.slots.order)
        self.reports = SlotReader(self.slots.report, REPORT)
        self._robot, self._state = robot, state
        self.supervisor.write(10.0)
        self.seat.begin_episode(2, None)

    def tick(self, time_s: float, step_due: bool = False, mode: Mode = Mode.WALK) -> Any:
        moment = Moment(time_s, 0.0005, round(500 * time_s), mode, 0, step_due, self._state, time_s - 0.001)
        return self.seat.attend(moment)

    def answer(self, step: int, valid_until_s: float = 10.04, epoch: int = EPOCH, episode: int = 2) -> None:
        position = np.full(12, 0.01 * step, np.float32)
        target = JointTarget(position, np.full(12, 30.0), np.full(12, 0.75), valid_until_s)
        self.pilot.write(Answer(epoch, episode, step, target, inference_s=0.001))

    def woken(self) -> int:
        try:
            return len(os.read(self.wake, 100))
        except BlockingIOError:
            return 0

    def close(self) -> None:
        self.slots.close()
        os.close(self._writing)
        if self.wake >= 0:
            os.close(self.wake)


@pytest.fixture
def across(robot: RobotModel, make_state: Any) -> Iterator[Across]:
    both = Across(robot, make_state(tick_ms=4711))
    yield both
    both.close()


def test_the_pilot_is_woken_for_steps_and_told_everything_at_every_tick(across: Across) -> None:
    across.tick(10.0)
    report = read_report(across.reports)
    assert report is not None
    assert (report.step, report.mode, report.episode, across.woken()) == (NO_STEP, Mode.WALK, 2, 0)
    assert report.step_deadline_s == 0.0, "of no step"
    across.tick(10.002, step_due=True)
    report = read_report(across.reports)
    assert report is not None
    assert report.state is not None
    assert (report.step, report.tick, report.time_s) == (0, 5001, 10.002)
    assert report.state_time_s == pytest.approx(10.001)
    assert report.step_deadline_s == pytest.approx(10.0015)
    assert report.state.tick_ms == 4711
    assert across.woken() == 1
    across.tick(10.004)
    assert across.woken() == 0


def test_an_answer_becomes_the_target_once_and_stays_it(across: Across) -> None:
    assert across.tick(10.0, step_due=True) is None
    across.answer(0)
    target = across.tick(10.002)
    assert target.valid_until_s == 10.04
    assert across.tick(10.004) is target
    assert (across.seat.steps, across.seat.inference.total) == (1, 1)


def test_an_answer_that_does_not_count_changes_nothing(across: Across) -> None:
    across.tick(10.0, step_due=True)
    across.answer(0)
    first = across.tick(10.002)
    for time_s, wrong in (
        (10.004, {"step": 1, "epoch": EPOCH - 1}),
        (10.006, {"step": 1, "episode": 1}),
        (10.008, {"step": 0}),
        (10.010, {"step": 1}),
        (10.012, {"step": 7}),
        (10.014, {"step": 1, "epoch": EPOCH + 1}),
        (10.016, {"step": 1, "episode": 3}),
    ):
        across.answer(**wrong)
        assert across.tick(time_s) is first
    assert across.seat.refused == {"of another epoch": 2, "of another episode": 2, "out of sequence": 3}
    assert across.seat.steps == 1


def test_steps_may_be_skipped_but_not_answered_backwards(across: Across) -> None:
    for time_s in (10.0, 10.02, 10.04):
        across.tick(time_s, step_due=True)
    across.answer(2)
    newest = across.tick(10.042)
    assert newest.position == pytest.approx(0.02)
    across.answer(1)
    assert across.tick(10.044) is newest


def test_answers_in_a_row_are_all_taken(across: Across) -> None:
    assert across.seat.steps == 0
    for step in range(3):
        across.tick(10.0 + 0.02 * step, step_due=True)
        across.answer(step)
        assert across.tick(10.002 + 0.02 * step).position == pytest.approx(0.01 * step)
    assert (across.seat.steps, across.seat.refused) == (3, {})


def test_before_any_episode_no_step_was_made(robot: RobotModel, make_state: Any) -> None:
    slots = Slots.create()
    reading, writing = os.pipe()
    seat = PilotElsewhere(slots, writing, EPOCH, robot)
    assert seat.steps == 0
    seat.attend(Moment(10.0, 0.0, 1, Mode.DAMP, 0, False, make_state(), 10.0))
    report = read_report(SlotReader(slots.report, REPORT))
    assert report is not None
    assert (report.episode, report.step) == (0, NO_STEP)
    slots.close()
    os.close(reading)
    os.close(writing)


def test_a_new_episode_forgets_the_old_ones_target(across: Across) -> None:
    across.tick(10.0, step_due=True)
    across.answer(0)
    assert across.tick(10.002) is not None
    standing = JointTarget(np.zeros(12), np.ones(12), np.ones(12), 10.05)
    across.seat.begin_episode(3, standing)
    across.answer(0)  # too late: it is for episode 2
    assert across.tick(10.004, step_due=True) is standing
    assert across.seat.steps == 0


@pytest.mark.parametrize("date", [11.0, math.inf])
def test_a_pilot_cannot_make_its_target_outlive_the_limit(across: Across, robot: RobotModel, date: float) -> None:
    across.tick(10.0, step_due=True)
    across.answer(0, valid_until_s=date)
    target = across.tick(10.002)
    assert target.valid_until_s == pytest.approx(10.002 + robot.safety.target_age_limit_s)


def test_a_date_that_is_no_number_is_stale(across: Across, robot: RobotModel, make_state: Any) -> None:
    across.tick(10.0, step_due=True)
    across.answer(0, valid_until_s=math.nan)
    target = across.tick(10.002)
    gate = Gate(robot)
    decision = gate.step(make_state(), target, 10.002, Mode.WALK)
    assert decision.reasons == Reason.TARGET_STALE


def test_nonsense_from_the_pilot_is_the_gates_to_refuse(across: Across, robot: RobotModel, make_state: Any) -> None:
    across.tick(10.0, step_due=True)
    position = np.full(12, np.nan, np.float32)
    target = JointTarget(position, np.full(12, 30.0), np.full(12, 0.75), 10.04)
    across.pilot.write(Answer(EPOCH, 2, 0, target, 0.0))
    decision = Gate(robot).step(make_state(), across.tick(10.002), 10.002, Mode.WALK)
    assert decision.reasons == Reason.TARGET_NOT_FINITE
    assert not decision.command.stiffness.any()


def test_a_dead_pilot_costs_the_loop_nothing(across: Across) -> None:
    os.close(across.wake)
    across.wake = -1
    assert across.tick(10.0, step_due=True) is None


def test_a_stopped_pilot_whose_pipe_is_full_costs_the_loop_nothing(across: Across) -> None:
    for _ in range(70_000):
        across.seat._wake()
    assert across.tick(10.0, step_due=True) is None


def test_an_order_ends_the_session(across: Across) -> None:
    across.tick(10.0)
    assert across.seat.stop_reason == ""
    across.supervisor.write(10.01, "the pilot was killed by SIGKILL")
    across.supervisor.write(10.02)
    across.tick(10.03)
    assert across.seat.stop_reason == "the pilot was killed by SIGKILL"


def test_a_silent_supervisor_ends_the_session(across: Across) -> None:
    assert SUPERVISOR_SILENCE_LIMIT_S == 1.0
    across.tick(10.0 + SUPERVISOR_SILENCE_LIMIT_S)
    assert across.seat.stop_reason == ""
    across.tick(10.0 + SUPERVISOR_SILENCE_LIMIT_S + 0.002)
    assert "silent" in across.seat.stop_reason


def test_the_pulse_tells_damping_from_pulling(folded_link: Any, robot: RobotModel) -> None:
    slots = Slots.create()
    link, pulse = PulsingLink(folded_link, slots), SlotReader(slots.pulse, PULSE)
    link.send(JointCommand.damp(robot))
    first = pulse.read()
    link.send(JointCommand.servo(robot.stand_position, 30.0, 0.5))
    second = pulse.read()
    slots.close()
    assert first is not None
    assert second is not None
    assert [(beat.record["sent"], beat.record["damping"]) for beat in (first, second)] == [(1, 1), (2, 0)]
    assert len(folded_link.sent) == 2


def test_a_pulsing_link_is_a_link_otherwise(
    folded_link: Any, robot: RobotModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = Slots.create()
    link, waits, closings = PulsingLink(folded_link, slots), [], []
    monkeypatch.setattr(folded_link, "receive", lambda timeout_s: waits.append(timeout_s))
    monkeypatch.setattr(folded_link, "close", lambda: closings.append(True))
    assert link.receive(0.25) is None
    link.close()
    assert (waits, closings) == ([0.25], [True])
    assert link.statistics == folded_link.statistics
    slots.close()


def test_without_any_order_the_session_goes_on(robot: RobotModel, make_state: Any) -> None:
    """None has been written yet: there is nothing to have been silent since."""
    slots = Slots.create()
    reading, writing = os.pipe()
    seat = PilotElsewhere(slots, writing, EPOCH, robot)
    seat.attend(Moment(1e9, 0.0, 1, Mode.DAMP, 0, False, make_state(), 1e9))
    assert seat.stop_reason == ""
    slots.close()
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGTERM, "SIGTERM"), (PARENT_DIED, "the supervisor has died")])
def test_a_gate_that_is_told_to_end_says_farewell_and_what_it_did(
    folded_link: Any, robot: RobotModel, contract: Any, number: int, reason: str
) -> None:
    """It hears the signal as soon as it is ready."""
    slots = Slots.create()
    reading, writing = os.pipe()
    OrderWriter(slots.order).write(1e12)
    sent: list[Any] = []

    class Ear:
        send = sent.append

        def ready(self) -> None:
            os.kill(os.getpid(), number)

    waits: list[float] = []
    receive = folded_link.receive

    def receive_and_note(timeout_s: float) -> Any:
        waits.append(timeout_s)
        return receive(timeout_s)

    folded_link.receive = receive_and_note
    settings = RunSettings("vx=0,vy=0,yaw=0", SessionSettings(episode_s=1.0, episodes=1))
    before = {other: signal.getsignal(other) for other in (signal.SIGTERM, PARENT_DIED)}
    try:
        run_gate(robot, contract, folded_link, settings, NoRecorder(), slots, writing, EPOCH, Ear())  # type: ignore[arg-type]
    finally:
        for other, handler in before.items():
            signal.signal(other, handler)
        slots.close()
        os.close(reading)
        os.close(writing)
    assert [type(message) for message in sent] == [Done]
    assert sent[0].result.stop_reason == reason
    assert waits and not any(waits), "it waits for nobody, the robot included"
    assert len(folded_link.sent) >= 26 and not any(command.stiffness.any() for command in folded_link.sent)
