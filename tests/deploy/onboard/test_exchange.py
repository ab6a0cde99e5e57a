"""What the processes tell each other arrives as it was said: every field, once where once is enough, and not before."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator

import numpy as np
import pytest

from deploy.onboard.exchange import (
    NO_STEP,
    ORDER,
    PULSE,
    REPORT,
    Answer,
    AnswerReader,
    AnswerWriter,
    OrderWriter,
    PulseWriter,
    Report,
    ReportWriter,
    Slots,
    read_order,
    read_report,
)
from deploy.onboard.shared_slot import SlotReader
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import RobotState
from tests.deploy.onboard.wire_packets import random_state

FIRST = Report(
    time_s=12.5,
    tick=2**40,
    mode=Mode.HALT,
    latched=2**31 + 5,
    episode=3,
    step=41,
    step_deadline_s=12.25,
    state=None,
    state_time_s=12.375,
)


@pytest.fixture
def slots() -> Iterator[Slots]:
    made = Slots.create()
    yield made
    made.close()


def same(after: RobotState, before: RobotState) -> bool:
    """To the precision in which a state is passed on."""
    for field in dataclasses.fields(RobotState):
        sent, found = getattr(before, field.name), getattr(after, field.name)
        if isinstance(sent, np.ndarray):
            sent, found = sent.astype(found.dtype).tolist(), found.tolist()
        if found != sent:
            return False
    return True


def test_nothing_is_heard_before_it_was_said(slots: Slots) -> None:
    assert read_report(SlotReader(slots.report, REPORT)) is None
    assert AnswerReader(slots.answer).read() is None
    assert read_order(SlotReader(slots.order, ORDER)) is None


def test_every_field_of_a_report_arrives(slots: Slots) -> None:
    sent = FIRST._replace(state=random_state(1))
    ReportWriter(slots.report).write(sent)
    found = read_report(SlotReader(slots.report, REPORT))
    assert found is not None and found.state is not None and sent.state is not None
    assert found._replace(state=None) == FIRST
    assert type(found.mode) is Mode
    assert same(found.state, sent.state)
    assert isinstance(found.state.remote, bytes) and type(found.state.tick_ms) is int


def test_a_report_holds_the_newest_state_that_came(slots: Slots) -> None:
    writer, reader = ReportWriter(slots.report), SlotReader(slots.report, REPORT)
    first, second = random_state(1), random_state(2)
    for tick, (came, known) in enumerate(
        [(None, None), (first, first), (first, first), (second, second), (None, second)]
    ):
        writer.write(FIRST._replace(tick=tick, state=came))
        found = read_report(reader)
        assert found is not None and found.tick == tick
        if known is None:
            assert found.state is None
        else:
            assert found.state is not None and same(found.state, known)


def test_no_step_is_the_last_number_that_a_step_can_have() -> None:
    assert NO_STEP == 4_294_967_295
    assert np.iinfo(REPORT["step"]).max == NO_STEP


def answer(step: int) -> Answer:
    position = (0.125 * np.arange(12) + step).astype(np.float32)
    target = JointTarget(position, 20.1 + np.arange(12.0), 0.3 + np.arange(12.0), 10.04 + step)
    return Answer(2**40, 7, step, target, inference_s=0.00123)


def test_every_field_of_an_answer_arrives_once(slots: Slots) -> None:
    writer, reader = AnswerWriter(slots.answer), AnswerReader(slots.answer)
    for step in (1, 2, NO_STEP):
        sent = answer(step)
        writer.write(sent)
        found = reader.read()
        assert found is not None
        assert (found.epoch, found.episode, found.step) == (2**40, 7, step)
        assert (found.target.valid_until_s, found.inference_s) == (10.04 + step, 0.00123)
        for name in ("position", "stiffness", "damping"):
            assert np.array_equal(getattr(found.target, name), getattr(sent.target, name)), name
        assert reader.read() is None


def test_of_several_answers_the_newest_is_heard_and_no_number_is_made_of_none(slots: Slots) -> None:
    writer, reader = AnswerWriter(slots.answer), AnswerReader(slots.answer)
    writer.write(answer(1))
    nonsense = answer(2).target._replace(valid_until_s=math.nan, position=np.full(12, np.nan, np.float32))
    writer.write(answer(2)._replace(target=nonsense))
    found = reader.read()
    assert found is not None
    assert found.step == 2 and math.isnan(found.target.valid_until_s) and np.isnan(found.target.position).all()
    assert reader.read() is None


def test_an_order_to_end_the_session_stays_one(slots: Slots) -> None:
    writer, reader = OrderWriter(slots.order), SlotReader(slots.order, ORDER)
    said = []
    for time_s, reason in ((1.5, ""), (2.5, "Ctrl-C"), (3.5, ""), (4.5, "the gate was killed by SIGKILL")):
        writer.write(time_s, reason)
        order = read_order(reader)
        assert order is not None
        said.append((order.time_s, order.stop_reason))
    assert said == [(1.5, ""), (2.5, "Ctrl-C"), (3.5, "Ctrl-C"), (4.5, "the gate was killed by SIGKILL")]


@pytest.mark.parametrize("damping", [True, False])
def test_a_pulse_says_how_many_commands_have_left_and_of_what_kind_the_last_was(slots: Slots, damping: bool) -> None:
    writer, reader = PulseWriter(slots.pulse), SlotReader(slots.pulse, PULSE)
    writer.write(1, not damping)
    writer.write(2**40, damping)
    found = reader.read()
    assert found is not None
    assert (found.record["sent"], bool(found.record["damping"])) == (2**40, damping)


def test_closed_slots_are_closed_all_of_them() -> None:
    slots = Slots.create()
    assert len(set(slots)) == 4
    slots.close()
    for descriptor in slots:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)
