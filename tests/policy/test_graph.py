"""The graph against observations computed by hand, term by term."""

import dataclasses
import math

import numpy as np
import pytest
import torch

from policy.contract import ContractError, GaitClock, ObservationTerm, PolicyContract
from policy.graph import PHASE, PolicyGraph, projected_gravity
from policy.networks import GaussianActor, gaussian_log_prob
from policy.velocity_contract import GAIT_FREQUENCY_HZ, velocity_contract
from robot_configs.robot import load_robot

torch.set_num_threads(1)


def make_graph(contract):
    torch.manual_seed(0)
    return PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (16,), 0.5)).requires_grad_(False)


@pytest.fixture(scope="module")
def contract():
    return velocity_contract(load_robot()).without_slew()


@pytest.fixture(scope="module")
def slewing():
    return velocity_contract(load_robot())


def signals(contract, count=3, command=(0.5, 0.0, 0.2)):
    generator = torch.Generator().manual_seed(3)
    return {
        "gravity_in_trunk": torch.tensor([[0.0, 0.0, -1.0]]).repeat(count, 1),
        "angular_velocity": torch.randn(count, 3, generator=generator),
        "joint_position": torch.tensor(contract.default_position) + 0.1 * torch.randn(count, 12, generator=generator),
        "joint_velocity": torch.randn(count, 12, generator=generator),
        "command": torch.tensor([command]).repeat(count, 1),
    }


def test_every_term_stands_at_its_place_with_its_scale(contract):
    graph, given = make_graph(contract), signals(contract)
    memory = torch.zeros(3, contract.memory_dim)
    memory[:, 0], memory[:, PHASE], memory[:, 2:14] = 1.0, 0.25, 0.8
    observation = graph.observe(**given, memory=memory)
    by_hand = torch.cat(
        [
            given["gravity_in_trunk"],
            0.25 * given["angular_velocity"],
            given["command"],
            given["joint_position"] - torch.tensor(contract.default_position),
            0.05 * given["joint_velocity"],
            torch.full((3, 12), 0.4),
            torch.tensor([[1.0, 0.0]]).repeat(3, 1),
        ],
        dim=1,
    )
    torch.testing.assert_close(observation, by_hand, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("roll", "pitch", "expected"),
    [
        (0.0, 0.0, (0.0, 0.0, -1.0)),
        (math.pi / 2, 0.0, (0.0, -1.0, 0.0)),  # lying on the right side... of a left-hand roll: +x turn sends y up
        (0.0, math.pi / 2, (1.0, 0.0, 0.0)),  # nose down: gravity points forward
    ],
)
def test_gravity_in_the_trunk_frame(roll, pitch, expected):
    quaternion = torch.tensor(
        [[math.cos(roll / 2) * math.cos(pitch / 2), math.sin(roll / 2), math.sin(pitch / 2), 0.0]]
    )
    torch.testing.assert_close(projected_gravity(3.0 * quaternion), torch.tensor([expected]), atol=1e-6, rtol=0)


def test_gravity_does_not_depend_on_yaw():
    yaw = torch.tensor([[math.cos(0.7), 0.0, 0.0, math.sin(0.7)]])
    torch.testing.assert_close(projected_gravity(yaw), torch.tensor([[0.0, 0.0, -1.0]]), atol=1e-6, rtol=0)


def test_phase_advances_by_frequency_and_wraps(contract):
    graph, given = make_graph(contract), signals(contract)
    memory = torch.zeros(3, contract.memory_dim)
    for step in range(1, 41):
        observation = graph.observe(**given, memory=memory)
        memory = graph.remember(memory, observation, torch.zeros(3, 12), given["command"])
        turns = step * GAIT_FREQUENCY_HZ / contract.control_hz
        distance = (memory[0, PHASE].item() - turns) % 1.0
        assert min(distance, 1.0 - distance) < 1e-4


def test_clock_is_silent_while_standing_is_commanded(contract):
    graph = make_graph(contract)
    memory = torch.zeros(3, contract.memory_dim)
    standing = graph.observe(**signals(contract, command=(0.05, 0.0, 0.0)), memory=memory)
    walking = graph.observe(**signals(contract, command=(0.2, 0.0, 0.0)), memory=memory)
    assert torch.all(standing[:, -2:] == 0.0) and torch.all(walking[:, -1] == 1.0)


def test_target_is_default_plus_scaled_action_and_stays_inside(contract):
    graph = make_graph(contract)
    action = torch.zeros(1, 12)
    action[0, 1] = 1.0
    target = graph.joint_target(action)
    assert target[0, 1].item() == pytest.approx(0.9 + 0.35)
    wild = graph.joint_target(torch.full((1, 12), 100.0))
    torch.testing.assert_close(wild[0], torch.tensor(contract.target_upper))


def test_log_prob_and_sampling_by_hand(contract):
    graph, given = make_graph(contract), signals(contract)
    noise = torch.ones(3, 12)
    orientation = torch.tensor([[1.0, 0.0, 0.0, 0.0]]).repeat(3, 1)
    memory = torch.zeros(3, contract.memory_dim)
    _, action, mean, std, log_prob, observation, _ = graph(
        orientation, given["angular_velocity"], given["joint_position"], given["joint_velocity"], given["command"],
        noise, memory,
    )  # fmt: skip
    torch.testing.assert_close(action, mean + std)
    expected = 12 * (-0.5 - math.log(0.5) - 0.5 * math.log(2 * math.pi))
    assert log_prob[0].item() == pytest.approx(expected, abs=1e-4)
    normal = torch.distributions.Normal(mean, std)
    torch.testing.assert_close(log_prob, normal.log_prob(action).sum(1))
    torch.testing.assert_close(gaussian_log_prob(action, mean, std), graph.actor.log_prob(observation, action))


def with_history(contract, length):
    return dataclasses.replace(contract, history_length=length)


def test_mistake_10_history_is_the_same_offline_and_online(contract):
    """First step: filled with the current frame, never zeros; later: oldest first, the current frame last."""
    graph = make_graph(with_history(contract, 3))
    frame_dim = graph.contract.frame_dim
    memory = torch.zeros(3, graph.contract.memory_dim)
    frames = []
    for step in range(4):
        given = signals(graph.contract)
        given["joint_velocity"] = given["joint_velocity"] + step
        observation = graph.observe(**given, memory=memory)
        frames.append(observation[:, -frame_dim:])
        stacked = torch.cat([frames[max(0, step - 2 + i)] for i in range(3)], dim=1)
        torch.testing.assert_close(observation, stacked)
        assert observation.abs().sum() > 0
        memory = graph.remember(memory, observation, torch.zeros(3, 12), given["command"])


def test_other_joint_order_is_permuted_by_name(contract):
    legs = ("FL", "FR", "RL", "RR")
    order = tuple(f"{leg}_{joint}" for leg in legs for joint in ("hip", "thigh", "calf"))
    graph = make_graph(dataclasses.replace(contract, policy_joint_names=order))
    given = signals(contract, count=1)
    given["joint_position"] = torch.tensor(contract.default_position)[None].clone()
    given["joint_position"][0, 3] += 0.5  # FL_hip on the wire
    observation = graph.observe(**given, memory=torch.zeros(1, contract.memory_dim))
    assert observation[0, 9].item() == pytest.approx(0.5)  # first joint of the policy's order
    action = torch.zeros(1, 12)
    action[0, 0] = 1.0
    moved = graph.joint_target(action)[0] - torch.tensor(contract.default_position)
    assert moved[3].item() == pytest.approx(0.35) and moved.abs().sum().item() == pytest.approx(0.35)


def test_commanded_gait_clock(contract):
    names = [*contract.commands, *(dataclasses.replace(contract.commands[0], name=n) for n in ("frequency", "phase"))]
    clock = GaitClock("frequency", (("phase",), ()), "sin", 0.0)
    terms = tuple(term for term in contract.terms if term.name != "command")
    graph = make_graph(dataclasses.replace(contract, commands=tuple(names), gait_clock=clock, terms=terms))
    given = signals(contract, count=1, command=(0.0, 0.0, 0.0, 3.0, 0.5))
    memory = torch.zeros(1, graph.contract.memory_dim)
    memory[:, PHASE] = 0.25
    observation = graph.observe(**given, memory=memory)
    torch.testing.assert_close(observation[0, -2:], torch.tensor([-1.0, 1.0]), atol=1e-5, rtol=0)
    memory = graph.remember(memory, observation, torch.zeros(1, 12), given["command"])
    assert memory[0, PHASE].item() == pytest.approx(0.25 + 3.0 / 50)


def test_contract_round_trip_and_strictness(contract):
    text = contract.to_json()
    assert PolicyContract.from_json(text) == contract and PolicyContract.from_json(text).to_json() == text
    with pytest.raises(ContractError, match="stiffness"):
        PolicyContract.from_json(text.replace('"stiffness"', '"stifness"'))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"stiffness": (30.0,) * 11}, "stiffness"),
        ({"damping": (-1.0,) * 12}, "gains"),
        ({"history_length": 0}, "history"),
        ({"policy_joint_names": ("FR_hip",) * 12}, "permutation"),
        ({"terms": (ObservationTerm("base_velocity", (1.0,)),)}, "base_velocity"),
        ({"observation_std": (0.0,) * 47}, "observation_std"),
        ({"link_hz": 490}, "divisible"),
        ({"gait_clock": None}, "gait_clock"),
        ({"target_upper": (float("nan"),) * 12}, "target_upper"),
    ],
)
def test_contradictions_are_refused_with_the_field_named(contract, change, named):
    with pytest.raises(ContractError, match=named):
        dataclasses.replace(contract, **change)


def test_numbers_are_the_robots(contract):
    robot = load_robot()
    np.testing.assert_array_equal(contract.target_lower, robot.joint_lower)
    contract.check_robot(robot)
    with pytest.raises(ContractError, match="joint_names"):
        other = tuple(reversed(contract.joint_names))
        dataclasses.replace(contract, joint_names=other, policy_joint_names=other).check_robot(robot)


def follow(graph, contract, commands):
    """Commands that the policy acts on while those given come one a step."""
    memory, followed = torch.zeros(1, contract.memory_dim), []
    still = signals(contract, count=1)
    for command in commands:
        given = {**still, "command": torch.tensor([command])}
        observation = graph.observe(**given, memory=memory)
        memory = graph.remember(memory, observation, torch.zeros(1, 12), given["command"])
        followed.append(observation[0, 6:9])
    return torch.stack(followed)


def test_commands_are_approached_from_zero_by_their_slew(slewing):
    """4 m/s^2 and 8 rad/s^2 at 50 Hz are 0.08 m/s and 0.16 rad/s a step."""
    followed = follow(make_graph(slewing), slewing, [(0.15, -0.8, 0.2)] * 3)
    expected = torch.tensor([[0.08, -0.08, 0.16], [0.15, -0.16, 0.2], [0.15, -0.24, 0.2]])
    torch.testing.assert_close(followed, expected, atol=1e-6, rtol=0)


def test_a_stop_is_approached_as_well_and_the_clock_runs_until_it_is_there(slewing):
    graph = make_graph(slewing)
    commands = [(1.5, 0.0, 0.0)] * 25 + [(0.0, 0.0, 0.0)] * 25
    followed = follow(graph, slewing, commands)
    assert followed[24, 0] == pytest.approx(1.5, abs=1e-5)
    assert followed[25, 0] == pytest.approx(1.42, abs=1e-5)
    assert followed[-1, 0] == pytest.approx(0.0, abs=1e-5)
    memory = torch.zeros(1, slewing.memory_dim)
    memory[:, 0], memory[:, PHASE], memory[:, 14] = 1.0, 0.25, 1.5  # at full speed
    observation = graph.observe(**signals(slewing, count=1, command=(0.0, 0.0, 0.0)), memory=memory)
    torch.testing.assert_close(observation[:, -2:], torch.tensor([[1.0, 0.0]]), atol=1e-6, rtol=0)


def test_older_frames_stay_behind_the_followed_commands(slewing):
    contract = dataclasses.replace(slewing, history_length=2)
    assert contract.memory_dim == 2 + 12 + 3 + 1 + contract.frame_dim
    graph = make_graph(contract)
    memory, frames = torch.zeros(1, contract.memory_dim), []
    for step in range(2):
        given = signals(contract, count=1, command=(1.0, 0.0, 0.0))
        observation = graph.observe(**given, memory=memory)
        memory = graph.remember(memory, observation, torch.full((1, 12), float(step)), given["command"])
        frames.append(observation[:, -contract.frame_dim :])
        if step:
            torch.testing.assert_close(observation[:, : contract.frame_dim], frames[0])


def test_the_clock_goes_on_for_a_while_after_the_last_command_to_walk(contract):
    """Three steps at 50 Hz; a robot that has just been reset stands, and who walks again has them again."""
    clock = dataclasses.replace(contract.gait_clock, settle_s=0.06)
    contract = dataclasses.replace(contract.without_slew(), gait_clock=clock)
    assert contract.settle_steps == 3
    graph, memory, shown, stepping = make_graph(contract), torch.zeros(1, contract.memory_dim), [], []
    for walking in (0, 1, 0, 0, 1, 0, 0, 0, 0, 0):
        given = signals(contract, count=1, command=(0.3 * walking, 0.0, 0.0))
        stepping.append(int(graph.is_stepping(given["command"], memory)))
        observation = graph.observe(**given, memory=memory)
        shown.append(int(observation[0, -2:].norm() > 0.5))
        memory = graph.remember(memory, observation, torch.zeros(1, 12), given["command"])
    assert shown == stepping == [0, 1, 1, 1, 1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("settle", [-0.1, 5.1, math.nan])
def test_an_impossible_time_to_settle_is_refused(contract, settle):
    with pytest.raises(ContractError, match="settle_s"):
        dataclasses.replace(contract, gait_clock=dataclasses.replace(contract.gait_clock, settle_s=settle))


def test_a_command_without_a_slew_is_followed_at_once(slewing):
    mixed = (dataclasses.replace(slewing.commands[0], slew_per_s=None), *slewing.commands[1:])
    contract = dataclasses.replace(slewing, commands=mixed)
    followed = follow(make_graph(contract), contract, [(1.5, 0.8, 0.0)])
    torch.testing.assert_close(followed, torch.tensor([[1.5, 0.08, 0.0]]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("slew", [0.0, -1.0, math.inf, math.nan])
def test_an_impossible_slew_is_refused(contract, slew):
    with pytest.raises(ContractError, match="slew_per_s"):
        term = dataclasses.replace(contract.commands[0], slew_per_s=slew)
        dataclasses.replace(contract, commands=(term, *contract.commands[1:]))
