"""The control loop on a weightless robot under a virtual clock: sessions in which nothing goes wrong."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from deploy.onboard.control_loop import LoopSettings
from deploy.onboard.pilot import PilotStep
from deploy.onboard.summary import EpisodeSummary
from deploy.onboard.target import Mode
from offline_data.log_schema import Ending, EventKind
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel
from tests.deploy.onboard.control_bench import FAREWELL, Bench, ends_damped


def test_a_session_from_the_ground_to_the_ground(bench: Bench) -> None:
    summary = bench.loop(episode_s=0.4, episodes=2).run()
    assert [(episode.ending, episode.steps) for episode in summary.episodes] == [("truncated", 20)] * 2
    assert [episode.duration_s for episode in summary.episodes] == pytest.approx([0.4, 0.4])
    assert (summary.stop_reason, summary.faults, summary.steps) == ("", (), 40)
    assert ends_damped(bench)
    modes = [mode for _, mode, _ in bench.notes.commands]
    order = [mode for index, mode in enumerate(modes) if index == 0 or mode is not modes[index - 1]]
    walk = [Mode.STAND, Mode.WALK, Mode.HALT]
    assert order == [*walk, *walk, Mode.STAND, Mode.SIT, Mode.DAMP]
    assert bench.notes.closed == 1
    assert bench.notes.events[-1] == (EventKind.STOP, Mode.DAMP, "plan complete", Ending.NONE)


def test_a_folded_robot_stands_up_smoothly(bench: Bench, robot: RobotModel) -> None:
    """From calves outside the limits to the standing pose: no clamp, no jump, gains from zero."""
    bench.loop(episode_s=0.1, episodes=1).run()
    modes = [mode for _, mode, _ in bench.notes.commands]
    before_walk = bench.notes.commands[: modes.index(Mode.WALK)]
    standing = [decision for decision, mode, _ in before_walk if mode is Mode.STAND]
    positions = np.stack([decision.command.position for decision in standing])
    assert positions[0][2::3] == pytest.approx(-2.78)
    assert positions[-1] == pytest.approx(robot.stand_position)
    assert (
        np.abs(np.diff(positions, axis=0)).max() < 0.02
    )  # peak of the blend: 0.98 rad * 1.875 / 0.3 s * 2 ms = 0.0123
    stiffness = np.stack([decision.command.stiffness for decision in standing])
    assert np.all(stiffness[0] == 0.0)
    assert np.all(np.diff(stiffness, axis=0) >= -1e-9)
    assert np.all(stiffness[-1] == robot.stand.stiffness)
    assert all(decision.reasons == 0 for decision in standing)


def test_out_of_a_walk_the_gains_rise_from_the_policys(
    bench: Bench, robot: RobotModel, contract: PolicyContract
) -> None:
    """From 30 to 60 Nm/rad in 50 ticks: no step above the blend's peak of 30 * 1.875 / 50, and the same for Kd."""
    bench.loop(episode_s=0.4, episodes=1).run()
    modes = [mode for _, mode, _ in bench.notes.commands]
    last_halt = len(modes) - 1 - modes[::-1].index(Mode.HALT)
    commands = [decision.command for decision, _, _ in bench.notes.commands[last_halt : last_halt + 60]]
    for name, first, last in (
        ("stiffness", contract.stiffness[0], robot.stand.stiffness),
        ("damping", contract.damping[0], robot.stand.damping),
    ):
        gains = np.stack([getattr(command, name) for command in commands])
        assert np.all(gains[0] == first) and np.all(gains[-1] == last)
        assert np.abs(np.diff(gains, axis=0)).max() <= (last - first) * 1.875 / 50 + 1e-9


def test_the_pilot_steps_every_tenth_tick(bench: Bench) -> None:
    bench.loop(episode_s=0.4, episodes=1).run()
    times = np.array([step.time_s for step in bench.notes.steps])
    assert np.diff(times) == pytest.approx(0.02)
    assert [step.tick for step in bench.notes.steps] == list(range(20))
    assert all(step.state_time_s == step.time_s for step in bench.notes.steps)


def test_every_tick_receives_and_sends_once(bench: Bench) -> None:
    summary = bench.loop(episode_s=0.4, episodes=1).run()
    ticks = len(bench.notes.commands)
    assert bench.notes.states == ticks
    assert bench.notes.commands[0][2] == pytest.approx(0.002), "the first deadline is one tick after the beginning"
    assert len(bench.link.sent) == 1 + ticks + FAREWELL
    assert summary.ticks == ticks + FAREWELL
    assert np.diff([time_s for _, _, time_s in bench.notes.commands]) == pytest.approx(0.002)


def test_two_runs_are_the_same_to_the_bit(
    bench: Bench, contract: PolicyContract, robot: RobotModel, make_state: Any
) -> None:
    bench.loop(episode_s=0.4, episodes=1).run()
    twin = Bench(
        type(bench.link)(make_state, robot.sit_position), type(bench.policy)(robot.stand_position), contract, robot
    )
    twin.link.position[2::3] = np.float32(-2.78)
    twin.loop(episode_s=0.4, episodes=1).run()
    for mine, other in zip(bench.link.sent, twin.link.sent, strict=True):
        assert np.array_equal(mine.position, other.position)


def test_observers_see_steps_and_endings(bench: Bench) -> None:
    class Observer:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def on_policy_step(self, step: PilotStep) -> None:
            self.seen.append(step.tick)

        def on_episode_end(self, summary: EpisodeSummary) -> None:
            self.seen.append(summary.ending)

    observer = Observer()
    bench.observers = (observer,)
    bench.loop(episode_s=0.06, episodes=2).run()
    assert observer.seen == [0, 1, 2, "truncated", 0, 1, 2, "truncated"]


def test_clamps_are_counted_per_episode(bench: Bench) -> None:
    """One joint asked 10 rad too far for the length of one policy step: ten ticks."""
    far = np.zeros(12, np.float32)
    far[0] = 10.0
    bench.policy.tamper = lambda number, target: target + far if number == 2 else target
    summary = bench.loop(episode_s=0.1, episodes=2).run()
    assert summary.episodes[0].clamped["position"] == 10
    assert summary.episodes[1].clamped == {"position": 0, "rate": 0, "torque": 0}


def test_the_summary_is_plain_data(bench: Bench) -> None:
    summary = bench.loop(episode_s=0.06, episodes=1).run()
    content = json.loads(json.dumps(summary.to_dict()))
    assert content["steps"] == 3
    assert content["episodes"][0]["ending"] == "truncated"
    assert content["link"]["packets_sent"] == len(bench.link.sent)


def test_what_holds_where_nothing_else_is_said() -> None:
    """A robot may be silent for 5 s; the farewell of 25 frames takes 50 ms at 500 Hz."""
    settings = LoopSettings(receive_timeout_s=0.0)
    assert (settings.silence_limit_s, settings.farewell_frames) == (5.0, 25)
    with pytest.raises(FrozenInstanceError):
        settings.farewell_frames = 0  # type: ignore[misc]
