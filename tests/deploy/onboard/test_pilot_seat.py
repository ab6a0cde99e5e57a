"""A pilot at hand: it steps when a step is due on a state, and only a walk is recorded, looked at and counted."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest

from deploy.onboard.commands import ConstantCommands
from deploy.onboard.pilot import Pilot, PilotStep
from deploy.onboard.pilot_seat import Moment, PilotAtHand
from deploy.onboard.recorder import NoRecorder
from deploy.onboard.summary import EpisodeSummary
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import RobotState
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel


class Witness(NoRecorder):
    """Recorder and observer: what was recorded, with the lateness, and what was shown."""

    def __init__(self) -> None:
        self.recorded: list[tuple[int, float]] = []
        self.seen: list[int] = []

    def policy_tick(self, step: PilotStep, lateness_s: float) -> None:
        self.recorded.append((step.tick, lateness_s))

    def on_policy_step(self, step: PilotStep) -> None:
        self.seen.append(step.tick)

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        raise AssertionError("the loop's to tell")


class Seat:
    """A pilot at hand whose command is 0.5 m/s forwards, with a witness who is asked for and one who looks on."""

    def __init__(self, policy: Any, contract: PolicyContract, robot: RobotModel) -> None:
        commands = ConstantCommands(np.array([0.5, 0.0, 0.0], np.float32))
        self.policy, self.witness, self.onlooker = policy, Witness(), Witness()
        pilot = Pilot(policy, contract, robot, commands, exploration=0.0, seed=0)
        self.seat = PilotAtHand(pilot, self.witness, (self.witness, self.onlooker))

    def tick(self, state: Optional[RobotState], step_due: bool, mode: Mode = Mode.WALK) -> Optional[JointTarget]:
        return self.seat.attend(Moment(10.5, 0.0005, 5250, mode, 0, step_due, state, 10.25))


@pytest.fixture
def at_hand(policy: Any, contract: PolicyContract, robot: RobotModel) -> Seat:
    return Seat(policy, contract, robot)


def test_it_never_stops_the_session_and_has_made_no_step_before_the_first(at_hand: Seat) -> None:
    assert (at_hand.seat.stop_reason, at_hand.seat.steps, at_hand.seat.inference.total) == ("", 0, 0)


def test_no_step_is_made_that_is_not_due_or_has_no_state(at_hand: Seat, make_state: Any) -> None:
    at_hand.seat.begin_episode(0, None)
    assert at_hand.tick(make_state(), step_due=False) is None
    assert at_hand.tick(None, step_due=True) is None
    assert at_hand.policy.calls == []
    assert (at_hand.seat.steps, at_hand.seat.inference.total) == (0, 0)


def test_a_step_gives_the_target_until_the_next(at_hand: Seat, make_state: Any) -> None:
    at_hand.seat.begin_episode(0, None)
    first = at_hand.tick(make_state(), step_due=True)
    assert first is not None
    assert first.valid_until_s == pytest.approx(10.25 + 0.040), "it is as old as the state"
    assert at_hand.tick(make_state(), step_due=False) is first
    assert at_hand.tick(make_state(), step_due=True) is not first
    assert (at_hand.seat.steps, at_hand.seat.inference.total) == (2, 2)
    assert at_hand.witness.recorded == [(0, 0.0005), (1, 0.0005)]
    assert at_hand.witness.seen == at_hand.onlooker.seen == [0, 1]


def test_a_halting_step_drives_and_leaves_no_trace(at_hand: Seat, make_state: Any) -> None:
    at_hand.seat.begin_episode(0, None)
    walking = at_hand.tick(make_state(), step_due=True)
    halting = at_hand.tick(make_state(), step_due=True, mode=Mode.HALT)
    assert halting is not None and halting is not walking
    assert [call[4].tolist() for call in at_hand.policy.calls] == [[0.5, 0.0, 0.0], [0.0, 0.0, 0.0]]
    assert at_hand.seat.inference.total == 2
    assert (at_hand.seat.steps, at_hand.witness.recorded) == (1, [(0, 0.0005)])
    assert at_hand.witness.seen == at_hand.onlooker.seen == [0]


def test_a_new_episode_begins_with_nothing_of_the_old(at_hand: Seat, make_state: Any) -> None:
    at_hand.seat.begin_episode(0, None)
    standing = at_hand.tick(make_state(), step_due=True)
    at_hand.seat.begin_episode(1, standing)
    assert at_hand.tick(make_state(), step_due=False) is None, "nothing needs bridging: its step comes in the same tick"
    assert (at_hand.seat.steps, at_hand.policy.resets) == (0, 2)
