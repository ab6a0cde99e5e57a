"""The pilot: what the policy is given, and what becomes of its answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deploy.onboard.commands import parse_commands
from deploy.onboard.pilot import Pilot, PilotError
from policy.contract import ContractError, PolicyContract
from robot_configs.robot import RobotModel


@pytest.fixture
def make_pilot(policy: Any, contract: PolicyContract, robot: RobotModel) -> Any:
    def make(exploration: float = 0.0, seed: int = 1, commands: str = "vx=0.5,vy=0,yaw=0") -> Pilot:
        source = parse_commands(commands, contract.commands)
        return Pilot(policy, contract, robot, source, exploration, seed)

    return make


def test_the_policy_gets_the_raw_signals_and_its_answer_becomes_a_target(
    make_pilot: Any, make_state: Any, policy: Any, contract: PolicyContract, robot: RobotModel
) -> None:
    state = make_state(
        orientation_trunk_in_world=np.array([0.5, 0.5, 0.5, 0.5], np.float32),
        angular_velocity_trunk_in_trunk=np.array([1, 2, 3], np.float32),
        joint_position=np.arange(12, dtype=np.float32),
        joint_velocity=-np.arange(12, dtype=np.float32),
    )
    step = make_pilot().step(state, state_time_s=9.998, time_s=10.0)
    given = [signal.tolist() for signal in policy.calls[0]]
    assert given == [[0.5] * 4, [1, 2, 3], list(range(12)), [-n for n in range(12)], [0.5, 0, 0], [0] * 12]
    assert step.target.position == pytest.approx(robot.stand_position)
    assert tuple(step.target.stiffness) == contract.stiffness
    assert tuple(step.target.damping) == contract.damping
    assert step.target.valid_until_s == 9.998 + robot.safety.target_age_limit_s
    assert (step.state_time_s, step.time_s, step.episode, step.tick) == (9.998, 10.0, 0, 0)


def test_time_in_the_episode_counts_steps_not_the_clock(make_pilot: Any, make_state: Any) -> None:
    """A jittering clock must not change which command the policy sees."""
    pilot = make_pilot(commands="random:seed=1,hold_s=0.04,stand_fraction=0")
    pilot.begin_episode(2)
    commands = [pilot.step(make_state(), 0.0, time_s).command for time_s in (0.0, 0.031, 0.033, 5.0)]
    assert np.array_equal(commands[0], commands[1])
    assert np.array_equal(commands[2], commands[3])
    assert not np.array_equal(commands[1], commands[2])


def test_without_exploration_there_is_no_noise(make_pilot: Any, make_state: Any) -> None:
    assert not np.any(make_pilot(exploration=0.0).step(make_state(), 0.0, 0.0).noise)


def noises(pilot: Pilot, state: Any, episode: int, steps: int) -> np.ndarray:
    pilot.begin_episode(episode)
    return np.stack([pilot.step(state, 0.0, 0.0).noise for _ in range(steps)])


def test_the_noise_is_standard_normal_times_exploration(make_pilot: Any, make_state: Any) -> None:
    noise = noises(make_pilot(exploration=0.5), make_state(), episode=0, steps=500)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 4 * 0.5 / noise.size**0.5
    assert noise.std() == pytest.approx(0.5, rel=0.04)
    assert abs(np.corrcoef(noise[1:].ravel(), noise[:-1].ravel())[0, 1]) < 0.06  # fresh at every step


def test_the_noise_depends_on_seed_and_episode_only(make_pilot: Any, make_state: Any) -> None:
    pilot, state = make_pilot(exploration=1.0, seed=7), make_state()
    first = noises(pilot, state, episode=3, steps=4)
    noises(pilot, state, episode=0, steps=9)
    assert np.array_equal(noises(pilot, state, episode=3, steps=4), first)
    assert np.array_equal(noises(make_pilot(exploration=1.0, seed=7), state, episode=3, steps=4), first)
    assert not np.array_equal(noises(pilot, state, episode=4, steps=4), first)
    assert not np.array_equal(noises(make_pilot(exploration=1.0, seed=8), state, episode=3, steps=4), first)


def test_an_episode_starts_with_an_empty_memory(make_pilot: Any, make_state: Any, policy: Any) -> None:
    pilot = make_pilot()
    pilot.begin_episode(1)
    pilot.step(make_state(), 0.0, 0.0)
    pilot.begin_episode(2)
    step = pilot.step(make_state(), 0.0, 0.0)
    assert policy.resets == 2
    assert (step.episode, step.tick) == (2, 0)


@pytest.mark.parametrize("exploration", [-0.1, float("nan"), float("inf")])
def test_impossible_exploration_is_refused(make_pilot: Any, exploration: float) -> None:
    with pytest.raises(PilotError, match="exploration"):
        make_pilot(exploration=exploration)


def test_a_policy_for_another_rate_is_refused(policy: Any, contract: PolicyContract, robot: RobotModel) -> None:
    other = replace(contract, control_hz=100)
    with pytest.raises(ContractError, match="control_hz"):
        Pilot(policy, other, robot, parse_commands("vx=0,vy=0,yaw=0", contract.commands), 0.0, 0)
