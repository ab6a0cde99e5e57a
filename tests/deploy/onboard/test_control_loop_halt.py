"""HALT: the policy brings the robot to rest after an episode, and leaves no trace in what is learned from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deploy.onboard.commands import ConstantCommands
from deploy.onboard.landing import HALT_LIMIT_S, STILL_S
from deploy.onboard.pilot import PilotStep
from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.summary import EpisodeSummary
from deploy.onboard.target import Mode
from deploy.onboard.wire import RobotState
from offline_data.log_schema import Ending, EventKind
from tests.deploy.onboard.control_bench import TIPPED, Bench, ends_damped

FIRST_HALT = 250 + 200
"""Number of the first state of HALT: the ramp to the stand takes 0.5 s, an episode 0.4 s."""
IN_HALT = FIRST_HALT + 57


@pytest.fixture
def walking_bench(bench: Bench) -> Bench:
    """Its command is 0.5 m/s forwards."""
    bench.commands = ConstantCommands(np.array([0.5, 0.0, 0.0], np.float32))
    return bench


def ticks_in(bench: Bench, mode: Mode) -> int:
    return sum(entered is mode for _, entered, _ in bench.notes.commands)


def test_the_policy_goes_on_without_a_break_and_is_told_to_stand_still(walking_bench: Bench) -> None:
    walking_bench.loop(episode_s=0.4, episodes=1).run()
    commands = [call[4] for call in walking_bench.policy.calls]
    halting_steps = -(-ticks_in(walking_bench, Mode.HALT) // 10)
    assert len(commands) == 20 + halting_steps and halting_steps >= 25
    assert all(command[0] == np.float32(0.5) for command in commands[:20])
    assert not np.any(commands[20:])
    assert walking_bench.policy.resets == 1, "its memory is that of the walk"


def test_nothing_of_it_is_logged_scored_or_counted(walking_bench: Bench) -> None:
    class Observer:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_policy_step(self, step: PilotStep) -> None:
            self.seen.append(step.tick)

        def on_episode_end(self, summary: EpisodeSummary) -> None:
            self.seen.append(summary)

    observer = Observer()
    walking_bench.observers = (observer,)
    summary = walking_bench.loop(episode_s=0.4, episodes=1).run()
    assert observer.seen == [*range(20), summary.episodes[0]]
    assert [step.tick for step in walking_bench.notes.steps] == list(range(20))
    assert summary.steps == 20
    assert summary.episodes[0].duration_s == pytest.approx(0.4)
    changes = [(kind, mode) for kind, mode, _, _ in walking_bench.notes.events]
    ended = changes.index((EventKind.EPISODE_END, Mode.WALK))
    assert changes[ended + 1] == (EventKind.MODE_CHANGE, Mode.HALT)


def test_a_robot_that_is_still_stands_after_half_a_second(walking_bench: Bench) -> None:
    walking_bench.loop(episode_s=0.4, episodes=1).run()
    # The first tick begins to count; 0.5 s later is a matter of rounding.
    assert ticks_in(walking_bench, Mode.HALT) - round(500 * STILL_S) in (1, 2)


def test_a_robot_that_does_not_come_to_rest_is_not_waited_for_for_ever(walking_bench: Bench) -> None:
    def swing(number: int, state: RobotState) -> RobotState:
        turning = np.array([0.6 + 1e-4 * (number % 3), 0.0, 0.0], np.float32)
        return replace(state, angular_velocity_trunk_in_trunk=turning) if number >= FIRST_HALT else state

    walking_bench.link.tamper = swing
    walking_bench.robot = without_plausibility(walking_bench)
    summary = walking_bench.loop(episode_s=0.4, episodes=1).run()
    assert summary.faults == ()
    assert ticks_in(walking_bench, Mode.HALT) - round(500 * HALT_LIMIT_S) in (0, 1)


def without_plausibility(bench: Bench) -> Any:
    """A robot that may turn about itself without its attitude telling of it."""
    plausibility = replace(bench.robot.plausibility, rotation_mismatch_limit_rad=1e9)
    return replace(bench.robot, plausibility=plausibility)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"orientation_trunk_in_world": TIPPED}, "tilt"),
        ({"remote": encode_remote({Key.B})}, "stop_key"),
        ({"joint_velocity": np.full(12, np.nan, np.float32)}, "state_not_finite"),
    ],
)
def test_a_fault_damps_in_the_same_tick_and_changes_nothing_of_the_episode(
    walking_bench: Bench, changes: dict[str, Any], reason: str
) -> None:
    walking_bench.link.tamper = lambda number, state: state if number < IN_HALT else replace(state, **changes)
    summary = walking_bench.loop(episode_s=0.4, episodes=3).run()
    assert [(episode.ending, episode.steps) for episode in summary.episodes] == [("truncated", 20)]
    assert (summary.faults, summary.stop_reason) == ((reason,), reason)
    assert ticks_in(walking_bench, Mode.HALT) == 58  # the last of them has found the fault
    assert ends_damped(walking_bench)
    endings = [end for kind, _, _, end in walking_bench.notes.events if kind is EventKind.EPISODE_END]
    assert endings == [Ending.TRUNCATED]


def test_nonsense_of_the_policy_damps_in_it_as_well(walking_bench: Bench) -> None:
    walking_bench.policy.tamper = lambda number, target: target * np.nan if number == 23 else target
    summary = walking_bench.loop(episode_s=0.4, episodes=1).run()
    assert summary.faults == ("target_not_finite",)
    assert [episode.ending for episode in summary.episodes] == ["truncated"]
    assert ends_damped(walking_bench)


def test_letting_go_does_not_wait(walking_bench: Bench) -> None:
    chord = {"remote": encode_remote({Key.L2, Key.Y})}
    walking_bench.link.tamper = lambda number, state: state if number < IN_HALT else replace(state, **chord)
    summary = walking_bench.loop(episode_s=0.4, episodes=3).run()
    assert ticks_in(walking_bench, Mode.HALT) == 57
    assert summary.stop_reason == "the remote asked for DAMP"
    assert [episode.ending for episode in summary.episodes] == ["truncated"]
