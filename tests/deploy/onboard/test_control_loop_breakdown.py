"""Whatever breaks anywhere in the control loop, the last frames that leave are damping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from deploy.onboard.commands import ConstantCommands
from deploy.onboard.pilot import PilotStep
from deploy.onboard.summary import EpisodeSummary
from deploy.onboard.wire import JointCommand, RobotState
from offline_data.log_schema import Ending, EventKind
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel
from tests.deploy.onboard.control_bench import IN_WALK, Bench, ends_damped


class Broken(Exception):
    """Something nobody has thought of."""


def break_policy(bench: Bench) -> None:
    def tamper(number: int, target: np.ndarray) -> np.ndarray:
        if number == 5:
            raise Broken
        return target

    bench.policy.tamper = tamper


def break_commands(bench: Bench) -> None:
    class Commands(ConstantCommands):
        def command(self, time_s: float, state: RobotState) -> np.ndarray:
            if time_s > 0.1:
                raise Broken
            return super().command(time_s, state)

    bench.commands = Commands(np.zeros(3, np.float32))


def break_receive(bench: Bench) -> None:
    def tamper(number: int, state: RobotState) -> RobotState:
        if number >= IN_WALK:
            raise Broken
        return state

    bench.link.tamper = tamper


def break_one_send(bench: Bench) -> None:
    plain = bench.link.send
    sends = iter(range(10**6))

    def send(command: JointCommand) -> None:
        if next(sends) == IN_WALK:
            raise Broken
        plain(command)

    bench.link.send = send


def break_recorder(name: str) -> Callable[[Bench], None]:
    def break_it(bench: Bench) -> None:
        plain = getattr(bench.notes, name)

        def method(*arguments: Any) -> None:
            plain(*arguments)
            if len(bench.notes.steps) > 3:
                raise Broken

        setattr(bench.notes, name, method)

    return break_it


def break_observer(bench: Bench) -> None:
    class Observer:
        def on_policy_step(self, step: PilotStep) -> None:
            raise Broken

        def on_episode_end(self, summary: EpisodeSummary) -> None:
            raise Broken

    bench.observers = (Observer(),)


@pytest.mark.parametrize(
    "break_it",
    [
        break_policy,
        break_commands,
        break_receive,
        break_one_send,
        break_recorder("low_state"),
        break_recorder("low_cmd"),
        break_recorder("policy_tick"),
        break_recorder("event"),
        break_observer,
    ],
)
def test_whatever_breaks_the_last_frames_are_damping(bench: Bench, break_it: Callable[[Bench], None]) -> None:
    break_it(bench)
    with pytest.raises(Broken):
        bench.loop(episode_s=1.0, episodes=1).run()
    assert ends_damped(bench)
    assert bench.notes.closed == 1
    if break_it is break_policy:
        ending = [(text, end) for kind, _, text, end in bench.notes.events if kind is EventKind.EPISODE_END]
        assert ending == [("the program failed", Ending.STOPPED)]


def test_a_keyboard_interrupt_damps_too(bench: Bench) -> None:
    def tamper(number: int, state: RobotState) -> RobotState:
        if number == IN_WALK:
            raise KeyboardInterrupt
        return state

    bench.link.tamper = tamper
    with pytest.raises(KeyboardInterrupt):
        bench.loop(episode_s=1.0, episodes=1).run()
    assert ends_damped(bench)


def break_sends(bench: Bench, breaks: dict[int, str]) -> None:
    """Let the sends with these numbers fail, each for its reason."""
    plain, numbers = bench.link.send, iter(range(10**6))

    def send(command: JointCommand) -> None:
        number = next(numbers)
        if number in breaks:
            raise Broken(breaks[number])
        plain(command)

    bench.link.send = send


def test_what_fails_while_damping_is_told(
    bench: Bench, make_state: Any, contract: PolicyContract, robot: RobotModel
) -> None:
    """The plan was complete, but two of the last 25 frames do not leave; the others do."""
    links = [type(bench.link)(make_state, robot.stand_position) for _ in range(2)]
    rehearsal = Bench(links[0], bench.policy, contract, robot)
    rehearsal.loop(episode_s=0.1, episodes=1).run()
    frames, bench.link = len(links[0].sent), links[1]
    break_sends(bench, {frames - 20: "the cable", frames - 10: "the plug"})
    summary = bench.loop(episode_s=0.1, episodes=1).run()
    assert (summary.stop_reason, len(links[1].sent)) == ("while damping: the cable", frames - 2)
    assert [episode.ending for episode in summary.episodes] == ["truncated"]
    kind, _, text, _ = bench.notes.events[-1]
    assert (kind, text) == (EventKind.STOP, "while damping: the cable")


def test_what_fails_while_damping_hides_no_other_reason(bench: Bench) -> None:
    break_sends(bench, {5: "the cable"})
    loop = bench.loop(episode_s=0.1, episodes=1)
    loop.request_stop("SIGTERM")
    assert loop.run().stop_reason == "SIGTERM"
