"""A person drives: whole sessions through gate, modes and pilot, on a fake clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy.onboard.clock import VirtualClock
from deploy.onboard.control_loop import ControlLoop, LoopSettings
from deploy.onboard.landing import STILL_S
from deploy.onboard.operator_input import Operator, OperatorCommands, Wish
from deploy.onboard.operator_schedule import OPERATOR_LOST, SIT_AFTER_LOSS_S, STAND_AFTER_LOSS_S, OperatorSchedule
from deploy.onboard.pilot import Pilot, PilotStep
from deploy.onboard.pilot_seat import PilotAtHand
from deploy.onboard.recorder import NoRecorder
from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.schedule import TickView
from deploy.onboard.summary import EpisodeSummary, RunSummary
from deploy.onboard.target import Mode
from tests.deploy.onboard.operator_bench import Desk, Person


class Diary:
    """Commands of the pilot and endings of episodes, with their times."""

    def __init__(self) -> None:
        self.commands: list[tuple[float, float]] = []
        self.ends: list[EpisodeSummary] = []
        self.modes: list[tuple[float, Mode]] = []

    def on_policy_step(self, step: PilotStep) -> None:
        self.commands.append((step.time_s, float(step.command[0])))

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        self.ends.append(summary)

    def see(self, view: TickView) -> None:
        if not self.modes or self.modes[-1][1] is not view.mode:
            self.modes.append((view.time_s, view.mode))

    def entered(self, mode: Mode) -> float:
        return next(time_s for time_s, entered in reversed(self.modes) if entered is mode)


Drive = Callable[[Person], tuple[RunSummary, Diary]]


@pytest.fixture
def drive(robot: Any, contract: Any, policy: Any, folded_link: Any) -> Drive:
    def run(person: Person) -> tuple[RunSummary, Diary]:
        operator, diary, recorder = Operator([person], speed=1.0), Diary(), NoRecorder()
        schedule = OperatorSchedule(operator, Desk().switch, diary.see)
        pilot = Pilot(policy, contract, robot, OperatorCommands(contract.commands, operator), 0.0, 0)
        loop = ControlLoop(
            robot,
            contract,
            folded_link,
            VirtualClock(),
            PilotAtHand(pilot, recorder, [diary]),
            schedule,
            recorder,
            LoopSettings(receive_timeout_s=0.0),
            [diary],
        )
        return loop.run(), diary

    return run


WALK_AT_S, LOST_AT_S = 2.2, 3.0
UP_AND_AWAY = {0.1: Wish.STAND, WALK_AT_S: Wish.WALK}


def test_a_lost_operator_walking_standing_sitting_damped(drive: Drive, folded_link: Any) -> None:
    """The promise: no command after 0.3 s, standing; after 2 s it sits down and lets go."""
    summary, diary = drive(Person(UP_AND_AWAY, leaves_s=LOST_AT_S))
    before = [value for time_s, value in diary.commands if LOST_AT_S - 0.1 < time_s < LOST_AT_S]
    assert min(before) == 1.5, "it must have been walking at full speed, or this shows nothing"
    after = [value for time_s, value in diary.commands if time_s >= LOST_AT_S + 0.16]
    assert len(after) >= 5 and not any(after), "half of the 0.3 s is enough where the device is known to be gone"
    tick_s = 0.002
    assert diary.entered(Mode.HALT) == pytest.approx(LOST_AT_S + STAND_AFTER_LOSS_S, abs=4 * tick_s)
    assert diary.entered(Mode.STAND) == pytest.approx(LOST_AT_S + STAND_AFTER_LOSS_S + STILL_S, abs=6 * tick_s)
    assert diary.entered(Mode.SIT) == pytest.approx(LOST_AT_S + SIT_AFTER_LOSS_S, abs=4 * tick_s)
    assert diary.modes[-1][1] is Mode.DAMP
    assert summary.stop_reason == OPERATOR_LOST
    assert [(end.ending, end.reason) for end in diary.ends] == [("intervention", OPERATOR_LOST)]
    assert np.all(folded_link.sent[-1].stiffness == 0.0)


def test_stop_damps_in_the_very_tick(drive: Drive, folded_link: Any) -> None:
    summary, diary = drive(Person({**UP_AND_AWAY, 3.0: Wish.STOP, 3.5: Wish.QUIT}))
    assert diary.entered(Mode.DAMP) == pytest.approx(3.002, abs=0.003)
    assert np.all(folded_link.sent[round(3.004 / 0.002)].stiffness == 0.0)
    assert np.all(folded_link.sent[round(2.99 / 0.002)].stiffness > 0.0)
    assert [(end.ending, end.reason) for end in diary.ends] == [("intervention", "operator stop")]
    assert summary.stop_reason == ""


def test_the_stop_key_of_the_remote_latches_and_letting_go_rearms(drive: Drive, folded_link: Any) -> None:
    def press(number: int, state: Any) -> Any:
        pressed = 1250 <= number < 1300
        return type(state)(**{**state.__dict__, "remote": encode_remote({Key.B})}) if pressed else state

    folded_link.tamper = press
    wishes = {0.1: Wish.STAND, 2.2: Wish.WALK, 2.7: Wish.STAND, 3.0: Wish.LET_GO, 3.1: Wish.STAND, 3.3: Wish.QUIT}
    summary, diary = drive(Person(wishes))
    assert summary.faults == ("stop_key",)
    assert [mode for _, mode in diary.modes] == [
        Mode.DAMP,
        Mode.STAND,
        Mode.WALK,
        Mode.FAULT,
        Mode.DAMP,
        Mode.STAND,
        Mode.SIT,
        Mode.DAMP,
    ]
    assert [end.ending for end in diary.ends] == ["intervention"]
