"""One robot state, put by hand into the layout of every stack that a preset describes.

Every number on the right-hand side was worked out with pencil and paper from the tables in docs/import.md.
"""

import math

import pytest
import torch

from policy.contract import PolicyContract
from policy.graph import LAST_ACTION, PHASE, STARTED, PolicyGraph, projected_gravity
from policy.networks import GaussianActor
from policy.presets import isaac_lab_contract, walk_these_ways_contract, walk_these_ways_release_contract
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

ROBOT = load_robot()

# Nose down by 30 degrees about the trunk's y axis.
ORIENTATION = [math.cos(math.pi / 12), 0.0, math.sin(math.pi / 12), 0.0]
GRAVITY = [0.5, 0.0, -0.8660254]
ANGULAR_VELOCITY = [0.4, -0.8, 1.2]
# Wire order: FR, FL, RR, RL. The default pose plus 0.01, 0.02, ... 0.12.
JOINT_POSITION = [-0.09, 0.82, -1.47, 0.14, 0.85, -1.44, -0.03, 1.08, -1.41, 0.2, 1.11, -1.38]
JOINT_VELOCITY = [float(number) for number in range(1, 13)]
# The policy's own order.
LAST = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2]
BEFORE_LAST = [-0.1, -0.2, -0.3, -0.4, -0.5, -0.6, -0.7, -0.8, -0.9, -1.0, -1.1, -1.2]

GAIT_COMMAND = [0.5, -0.2, 0.4, 0.1, 3.0, 0.5, 0.25, 1.0, 0.5, 0.08, 0.2, 0.1, 0.3, 0.4, 0.7]
GAIT_COMMAND_SCALED = [1.0, -0.4, 0.1, 0.2, 3.0, 0.5, 0.25, 1.0, 0.5, 0.012, 0.06, 0.03, 0.3, 0.4, 0.7]
# FL FR RL RR
POSITION_BY_LEG = [0.04, 0.05, 0.06, 0.01, 0.02, 0.03, 0.10, 0.11, 0.12, 0.07, 0.08, 0.09]
VELOCITY_BY_LEG_SCALED = [0.2, 0.25, 0.3, 0.05, 0.1, 0.15, 0.5, 0.55, 0.6, 0.35, 0.4, 0.45]
# At phase 0.25: 0.25 + 0.5 + 0.25 + 1 = 2, 0.25 + 0.25 = 0.5, 0.25 + 1 = 1.25, 0.25 + 0.5 = 0.75 cycles.
CLOCKS = [0.0, 0.0, 1.0, -1.0]


def graph_of(contract: PolicyContract) -> PolicyGraph:
    return PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (4,), 0.1))


def memory_of(contract: PolicyContract, actions: list[float], phase: float = 0.25) -> torch.Tensor:
    memory = torch.zeros(1, contract.memory_dim)
    memory[0, STARTED], memory[0, PHASE] = 1.0, phase
    memory[0, LAST_ACTION : LAST_ACTION + len(actions)] = torch.tensor(actions)
    return memory


def observe(graph: PolicyGraph, command: list[float], memory: torch.Tensor) -> torch.Tensor:
    observation = graph.observe(
        projected_gravity(torch.tensor([ORIENTATION])),
        torch.tensor([ANGULAR_VELOCITY]),
        torch.tensor([JOINT_POSITION]),
        torch.tensor([JOINT_VELOCITY]),
        torch.tensor([command]),
        memory,
    )
    return observation[0]


def assert_equal(found: torch.Tensor, expected: list[float]) -> None:
    torch.testing.assert_close(found, torch.tensor(expected), atol=2e-6, rtol=0.0)


def test_walk_these_ways_release() -> None:
    contract = walk_these_ways_release_contract(ROBOT)
    assert (contract.frame_dim, contract.observation_dim, contract.command_dim) == (70, 2100, 15)
    frame = observe(graph_of(contract), GAIT_COMMAND, memory_of(contract, LAST + BEFORE_LAST))[-70:]
    expected = GRAVITY + GAIT_COMMAND_SCALED + POSITION_BY_LEG + VELOCITY_BY_LEG_SCALED + LAST + BEFORE_LAST + CLOCKS
    assert_equal(frame, expected)


def test_the_release_starts_with_an_empty_history_and_shifts_it() -> None:
    contract = walk_these_ways_release_contract(ROBOT)
    graph = graph_of(contract)
    memory = torch.zeros(1, contract.memory_dim)
    first = observe(graph, GAIT_COMMAND, memory)
    assert first[: 29 * 70].abs().max() == 0.0
    assert_equal(first[29 * 70 :][:18], GRAVITY + GAIT_COMMAND_SCALED)
    memory = graph.remember(memory, first[None], torch.tensor([LAST]), torch.tensor([GAIT_COMMAND]))
    second = observe(graph, GAIT_COMMAND, memory)
    assert second[: 28 * 70].abs().max() == 0.0
    torch.testing.assert_close(second[28 * 70 : 29 * 70], first[29 * 70 :])
    newest = second[29 * 70 :]
    assert_equal(newest[42:66], LAST + [0.0] * 12)
    # 3 Hz at 50 Hz is 0.06 cycles a step: clocks at 0.06 + 1.75, 0.06 + 0.25, 0.06 + 1 and 0.06 + 0.5.
    assert_equal(newest[66:], [-0.9297765, 0.9297765, 0.3681246, -0.3681246])
    memory = graph.remember(memory, second[None], torch.zeros(1, 12), torch.tensor([GAIT_COMMAND]))
    assert_equal(observe(graph, GAIT_COMMAND, memory)[29 * 70 :][42:66], [0.0] * 12 + LAST)


def test_uni_o4() -> None:
    contract = walk_these_ways_contract(ROBOT)
    assert (contract.frame_dim, contract.observation_dim) == (58, 290)
    frame = observe(graph_of(contract), GAIT_COMMAND, memory_of(contract, LAST))[-58:]
    assert_equal(frame, GRAVITY + GAIT_COMMAND_SCALED + POSITION_BY_LEG + VELOCITY_BY_LEG_SCALED + LAST + CLOCKS)


def test_isaac_lab() -> None:
    contract = isaac_lab_contract(ROBOT)
    assert contract.observation_dim == 45
    observation = observe(graph_of(contract), [0.5, -0.2, 0.4], memory_of(contract, LAST))
    by_kind = [0.04, 0.01, 0.10, 0.07, 0.05, 0.02, 0.11, 0.08, 0.06, 0.03, 0.12, 0.09]
    velocity = [4.0, 1.0, 10.0, 7.0, 5.0, 2.0, 11.0, 8.0, 6.0, 3.0, 12.0, 9.0]
    assert_equal(observation, ANGULAR_VELOCITY + GRAVITY + [0.5, -0.2, 0.4] + by_kind + velocity + LAST)


def test_go1_velocity() -> None:
    contract = velocity_contract(ROBOT)
    command = [0.5, -0.2, 0.4]
    memory = memory_of(contract, LAST + command)  # the command has been followed for long enough to be there
    observation = observe(graph_of(contract), command, memory)
    from_stand = [found - stand for found, stand in zip(JOINT_POSITION, contract.default_position, strict=True)]
    scaled_velocity = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6]
    half_action = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6]
    assert_equal(
        observation, GRAVITY + [0.1, -0.2, 0.3] + command + from_stand + scaled_velocity + half_action + [1.0, 0.0]
    )


@pytest.mark.parametrize("preset", [walk_these_ways_contract, walk_these_ways_release_contract])
def test_an_action_by_leg_becomes_targets_in_wire_order(preset: object) -> None:
    graph = graph_of(preset(ROBOT))  # type: ignore[operator]
    # 0.25 rad a unit, hips half of it.
    expected = [-0.05, 0.925, -1.35, 0.1125, 0.85, -1.425, 0.025, 1.275, -1.2, 0.1875, 1.2, -1.275]
    assert_equal(graph.joint_target(torch.tensor([LAST]))[0], expected)


def test_an_action_by_kind_becomes_targets_in_wire_order() -> None:
    graph = graph_of(isaac_lab_contract(ROBOT))
    expected = [-0.05, 0.95, -1.25, 0.125, 0.925, -1.275, 0.0, 1.2, -1.2, 0.175, 1.175, -1.225]
    assert_equal(graph.joint_target(torch.tensor([LAST]))[0], expected)
