"""The pilot's side: it answers the newest step once, with the state of that moment, and nothing outside of WALK."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from deploy.onboard.commands import ConstantCommands
from deploy.onboard.exchange import NO_STEP, AnswerReader, Report, ReportWriter, Slots
from deploy.onboard.pilot import Pilot, PilotStep
from deploy.onboard.pilot_process import PilotLoop, _woken
from deploy.onboard.recorder import NoRecorder
from deploy.onboard.target import Mode
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel

EPOCH = 3


class Steps(NoRecorder):
    """Keeps the steps it is given."""

    def __init__(self) -> None:
        self.steps: list[tuple[PilotStep, float]] = []

    def policy_tick(self, step: PilotStep, lateness_s: float) -> None:
        self.steps.append((step, lateness_s))


class Cockpit:
    """A pilot's loop with the gate's ends of its slots."""

    def __init__(self, policy: Any, contract: PolicyContract, robot: RobotModel, state: Any) -> None:
        self.slots = Slots.create()
        self.gate, self.answers = ReportWriter(self.slots.report), AnswerReader(self.slots.answer)
        self.recorder, self.policy, self._state = Steps(), policy, state
        pilot = Pilot(policy, contract, robot, ConstantCommands(np.zeros(3, np.float32)), 0.0, 0)
        self.loop = PilotLoop(pilot, self.slots, EPOCH, self.recorder)

    def report(self, episode: int, step: int, mode: Mode = Mode.WALK, known: bool = True) -> None:
        now_s = time.monotonic()
        state = self._state if known else None
        self.gate.write(Report(now_s, 1, mode, 0, episode, step, now_s - 0.001, state, now_s - 0.002))
        self.loop.answer_newest()


@pytest.fixture
def cockpit(policy: Any, contract: PolicyContract, robot: RobotModel, make_state: Any) -> Iterator[Cockpit]:
    cockpit = Cockpit(policy, contract, robot, make_state(tick_ms=99))
    yield cockpit
    cockpit.slots.close()


def test_a_step_is_answered_once(cockpit: Cockpit, robot: RobotModel) -> None:
    cockpit.report(0, 0)
    cockpit.report(0, 0)
    answer = cockpit.answers.read()
    assert answer is not None
    assert (answer.epoch, answer.episode, answer.step) == (EPOCH, 0, 0)
    assert answer.target.position == pytest.approx(robot.stand_position)
    assert cockpit.answers.read() is None
    [(step, lateness_s)] = cockpit.recorder.steps
    assert step.state.tick_ms == 99
    assert step.state_time_s < step.time_s
    assert answer.target.valid_until_s == step.state_time_s + robot.safety.target_age_limit_s
    assert lateness_s >= 0.001


def test_steps_that_were_slept_through_are_not_made_up_for(cockpit: Cockpit) -> None:
    cockpit.report(0, 0)
    cockpit.report(0, 7)
    answer = cockpit.answers.read()
    assert answer is not None
    assert answer.step == 7
    assert [step.tick for step, _ in cockpit.recorder.steps] == [0, 1]


def test_a_new_episode_starts_from_nothing(cockpit: Cockpit) -> None:
    cockpit.report(0, 0)
    cockpit.report(1, 0)
    assert cockpit.policy.resets == 2
    assert [(step.episode, step.tick) for step, _ in cockpit.recorder.steps] == [(0, 0), (1, 0)]


@pytest.mark.parametrize(
    "report",
    [
        {"episode": 0, "step": 0, "mode": Mode.STAND},
        {"episode": 0, "step": 0, "mode": Mode.FAULT},
        {"episode": 0, "step": NO_STEP},
        {"episode": 0, "step": 0, "known": False},
    ],
)
def test_without_a_step_to_make_nothing_is_said(cockpit: Cockpit, report: dict[str, Any]) -> None:
    cockpit.report(**report)
    assert cockpit.answers.read() is None
    assert cockpit.policy.calls == []


def test_before_the_gates_first_word_nothing_is_said(cockpit: Cockpit) -> None:
    cockpit.loop.answer_newest()
    assert cockpit.answers.read() is None


def test_many_wakes_are_one_and_the_gates_end_is_the_pilots() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\1" * 500)
    os.close(writing)
    assert _woken(reading)
    assert not _woken(reading)
    os.close(reading)
