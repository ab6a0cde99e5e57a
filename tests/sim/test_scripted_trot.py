"""The scripted trot: feet where kinematics says, a trunk that is carried, and an actor that does the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from policy.contract import PolicyContract
from policy.gait_contract import DEFAULT_TRUNK_HEIGHT_M, gait_contract
from policy.graph import PHASE, PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import GAIT_FREQUENCY_HZ, velocity_contract
from robot_configs.kinematics import foot_jacobian_in_trunk, foot_position_in_trunk
from robot_configs.robot import GRAVITY_M_S2, RobotModel, load_robot
from sim.scripted_trot import APEX_M, imitate_trot, trot_targets


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return load_robot()


@pytest.fixture(scope="module")
def contract(robot: RobotModel) -> PolicyContract:
    return velocity_contract(robot)


@pytest.fixture(scope="module")
def unloaded(contract: PolicyContract) -> PolicyContract:
    """With motors so stiff that a target is where the joint goes."""
    return replace(contract, stiffness=(1e9,) * 12)


def _feet(robot: RobotModel, contract: PolicyContract, command: list[float], phase: float) -> np.ndarray:
    targets = trot_targets(robot, contract, np.array([command]), np.array([phase]), np.array([GAIT_FREQUENCY_HZ]))
    return foot_position_in_trunk(robot, targets)[0]


def test_a_foot_on_the_ground_moves_against_the_trunk_above_it(robot: RobotModel, unloaded: PolicyContract) -> None:
    vx, vy, yaw_rate, phase, moment = 0.6, -0.2, 0.5, 0.2, 0.01
    # At this phase FR and RL swing; FL and RR are on the ground.
    for foot in (robot.foot_names.index("FL"), robot.foot_names.index("RR")):
        before, after = (
            _feet(robot, unloaded, [vx, vy, yaw_rate], phase + sign * moment * GAIT_FREQUENCY_HZ)[foot]
            for sign in (-1.0, 1.0)
        )
        x, y, _ = foot_position_in_trunk(robot, np.array(unloaded.default_position))[foot]
        expected = [-(vx - yaw_rate * y), -(vy + yaw_rate * x), 0.0]
        assert (after - before) / (2.0 * moment) == pytest.approx(expected, abs=0.01)


def test_the_swinging_diagonal_is_at_its_apex_over_its_place_a_quarter_into_the_clock(
    robot: RobotModel, unloaded: PolicyContract
) -> None:
    default = foot_position_in_trunk(robot, np.array(unloaded.default_position))
    raised = _feet(robot, unloaded, [0.5, 0.0, 0.0], 0.25) - default
    assert dict(zip(robot.foot_names, raised[:, 2], strict=True)) == pytest.approx(
        {"FR": APEX_M, "FL": 0.0, "RR": 0.0, "RL": APEX_M}, abs=1e-3
    )
    assert raised[:, :2] == pytest.approx(0.0, abs=1e-3)
    other_half = _feet(robot, unloaded, [0.5, 0.0, 0.0], 0.75) - default
    assert dict(zip(robot.foot_names, other_half[:, 2], strict=True)) == pytest.approx(
        {"FR": 0.0, "FL": APEX_M, "RR": APEX_M, "RL": 0.0}, abs=1e-3
    )


def test_a_swing_begins_where_the_stride_ended_and_ends_where_it_begins(
    robot: RobotModel, unloaded: PolicyContract
) -> None:
    step = 0.8 * 0.5 / GAIT_FREQUENCY_HZ  # at 0.8 m/s, the trunk's way in half a clock
    front_right = robot.foot_names.index("FR")
    x = foot_position_in_trunk(robot, np.array(unloaded.default_position))[front_right, 0]
    assert _feet(robot, unloaded, [0.8, 0.0, 0.0], 1e-6)[front_right, 0] == pytest.approx(x - step / 2, abs=2e-3)
    assert _feet(robot, unloaded, [0.8, 0.0, 0.0], 0.5 - 1e-6)[front_right, 0] == pytest.approx(x + step / 2, abs=2e-3)


def test_standing_stays_in_the_default_pose_whatever_the_clock_says(
    robot: RobotModel, unloaded: PolicyContract
) -> None:
    default = foot_position_in_trunk(robot, np.array(unloaded.default_position))
    for phase in (0.0, 0.25, 0.8):
        assert _feet(robot, unloaded, [0.05, 0.0, 0.0], phase) == pytest.approx(default, abs=1e-6)


def test_the_lead_of_the_targets_carries_the_robots_weight(robot: RobotModel, contract: PolicyContract) -> None:
    standing = np.zeros((1, 3))
    targets = trot_targets(robot, contract, standing, np.zeros(1), np.array([GAIT_FREQUENCY_HZ]))
    default = np.array(contract.default_position)
    torque = (np.array(contract.stiffness) * (targets[0] - default)).reshape(4, 3)
    jacobian = foot_jacobian_in_trunk(robot, default)
    # What a leg's torques press the ground with: J^-T tau.
    force = np.stack([np.linalg.solve(jacobian[leg].T, torque[leg]) for leg in range(4)])
    assert force[:, 2] == pytest.approx(-0.25 * robot.total_mass_kg * GRAVITY_M_S2, rel=1e-3)
    assert force[:, :2] == pytest.approx(0.0, abs=1e-3)


def test_a_commanded_gait_sets_the_apex_and_the_trunks_height(robot: RobotModel) -> None:
    unloaded = replace(gait_contract(robot), stiffness=(1e9,) * 12)
    default = foot_position_in_trunk(robot, np.array(unloaded.default_position))
    command = [0.2, 0.0, 0.0, 2.0, 0.11, DEFAULT_TRUNK_HEIGHT_M - 0.03]
    raised = _feet(robot, unloaded, command, 0.25) - default
    # A trunk 3 cm lower has its feet 3 cm higher, those in the air by their apex more.
    assert dict(zip(robot.foot_names, raised[:, 2], strict=True)) == pytest.approx(
        {"FR": 0.14, "FL": 0.03, "RR": 0.03, "RL": 0.14}, abs=1e-3
    )


def test_targets_stay_inside_the_contract_at_every_command(robot: RobotModel, contract: PolicyContract) -> None:
    random = np.random.default_rng(0)
    command = random.uniform(-3.0, 3.0, (500, 3))
    targets = trot_targets(robot, contract, command, random.random(500), np.full(500, GAIT_FREQUENCY_HZ))
    assert np.isfinite(targets).all()
    assert (targets >= contract.target_lower).all() and (targets <= contract.target_upper).all()


def test_the_actor_learns_the_trot_and_not_what_the_robot_senses(robot: RobotModel, contract: PolicyContract) -> None:
    torch.manual_seed(0)
    actor = GaussianActor(contract.observation_dim, contract.action_dim, (64, 64), 0.6)
    graph = PolicyGraph(contract.without_slew(), actor).requires_grad_(False)
    before = torch.get_rng_state()
    left = imitate_trot(graph, robot, seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    command = torch.tensor([[0.6, 0.0, 0.3], [0.0, 0.0, 0.0], [-0.8, 0.4, 0.0]])
    phase = torch.tensor([0.1, 0.4, 0.7])
    memory = torch.zeros(3, contract.memory_dim)[:, : graph.contract.memory_dim]
    memory[:, PHASE] = phase
    level, still = torch.tensor([[0.0, 0.0, -1.0]]).repeat(3, 1), torch.zeros(3, 3)
    position = graph.default_position.repeat(3, 1)
    observation = graph.observe(level, still, position, torch.zeros(3, 12), command, memory)
    frequency = np.full(3, GAIT_FREQUENCY_HZ)
    wanted = trot_targets(robot, contract, command.numpy(), phase.numpy(), frequency)
    found = graph.joint_target(actor(observation)[0]).numpy()
    variation = float(np.var(wanted - np.array(contract.default_position))) / 0.35**2
    assert left < 0.2 * variation
    assert np.sqrt(np.square(found - wanted).mean()) < 0.05
