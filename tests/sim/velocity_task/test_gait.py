"""The velocity task with a gait among the commands: what is drawn, what is wanted, what is logged."""

import math

import pytest
import torch

from policy.gait_contract import GAIT_COMMANDS, gait_contract
from policy.graph import PHASE, PolicyGraph
from policy.networks import GaussianActor
from policy.rewards import REWARD_TERMS
from robot_configs.robot import load_robot
from sim.randomization import Randomization, draw_commands
from sim.shaping import SHAPING_TERMS, ShapingWeights, wanted_heights
from tests.sim.velocity_task.bench import NO_ACTION, ROBOTS, make_task

torch.set_num_threads(1)
ROBOT = load_robot()
CONTRACT = gait_contract(ROBOT).without_slew()


@pytest.fixture(scope="module")
def gait_graph():
    torch.manual_seed(0)
    return PolicyGraph(CONTRACT, GaussianActor(CONTRACT.observation_dim, 12, (16,), 0.1)).requires_grad_(False)


def shaped(task, name: str) -> torch.Tensor:
    return task.episode_terms[:, len(REWARD_TERMS) + SHAPING_TERMS.index(name)]


def test_each_robot_is_shaped_towards_its_own_gait(robot, gait_graph, engine):
    """Feet of FR and RL at 0.05 m in the middle of their swing, trunk at 0.29 m; four robots, four gaits."""
    task = make_task(robot, gait_graph, engine)
    task.command[:] = torch.tensor(
        [
            [0.5, 0.0, 0.0, 2.0, 0.05, 0.29],
            [0.5, 0.0, 0.0, 3.0, 0.12, 0.29],
            [0.5, 0.0, 0.0, 2.0, 0.05, 0.24],
            [0.0, 0.0, 0.0, 2.0, 0.05, 0.32],  # stands: no swing is wanted, its height is
        ]
    )
    task.memory[:, PHASE] = 0.25
    feet = engine.now.foot_position_in_world.clone()
    feet[:, [0, 3], 2] += 0.05
    engine.change(foot_position_in_world=feet)
    task.step(NO_ACTION)
    errors = torch.tensor([0.0, 2 * 0.07**2, 0.0, 2 * 0.05**2])
    torch.testing.assert_close(shaped(task, "swing"), 0.5 * torch.exp(-errors / 0.01), atol=1e-5, rtol=0)
    sag = torch.tensor([0.0, 0.0, 0.05, 0.03]) ** 2
    torch.testing.assert_close(shaped(task, "height"), -8.0 * sag, atol=1e-5, rtol=0)


def test_each_clock_runs_at_its_own_frequency(robot, gait_graph, engine):
    task = make_task(robot, gait_graph, engine)
    task.command[:, 3] = torch.tensor([1.5, 2.0, 2.5, 3.5])
    task.memory[:, PHASE] = 0.1
    task.step(NO_ACTION)
    assert task.memory[:, PHASE].tolist() == pytest.approx([0.13, 0.14, 0.15, 0.17], abs=1e-6)


def test_velocity_errors_ignore_the_gait(robot, gait_graph, engine):
    task = make_task(robot, gait_graph, engine)
    task.command[:] = torch.tensor([0.3, 0.4, -1.0, 3.5, 0.12, 0.32])
    _, _, _, extras = task.step(NO_ACTION)
    assert float(extras["log"]["/error/linear_m_s"]) == pytest.approx(0.5)
    assert float(extras["log"]["/error/yaw_rad_s"]) == pytest.approx(1.0)
    assert float(extras["log"]["/error/trunk_height_m"]) == pytest.approx(0.03, abs=1e-6)
    assert shaped(task, "far").tolist() == pytest.approx([-0.4 * (0.5 + 0.5)] * ROBOTS)


def test_a_plain_policy_is_shaped_towards_the_fixed_gait_and_logs_no_height(task, contract):
    wanted = wanted_heights(task.command, contract, ShapingWeights())
    assert wanted.swing_m.shape == (ROBOTS, 1)
    assert wanted.swing_m.squeeze(1).tolist() == pytest.approx([0.09] * ROBOTS)
    assert wanted.trunk_m.tolist() == pytest.approx([0.29] * ROBOTS)
    assert "/error/trunk_height_m" not in task.step(NO_ACTION)[3]["log"]


def test_draws_fill_the_ranges_and_who_stands_keeps_the_gait():
    generator = torch.Generator().manual_seed(1)
    draw = draw_commands(Randomization(standing_fraction=0.5), CONTRACT, 4000, generator)
    standing = (draw[:, :3] == 0.0).all(dim=1)
    assert 0.46 < standing.float().mean() < 0.54
    for rows in (standing, ~standing):
        for column, term in enumerate(GAIT_COMMANDS, start=3):
            values, width = draw[rows, column], term.upper - term.lower
            assert term.lower <= float(values.min()) < term.lower + 0.01 * width
            assert term.upper >= float(values.max()) > term.upper - 0.01 * width
            # Uniform: the mean is off by width / sqrt(12 n), 0.006 of the width; five times that.
            assert math.isclose(float(values.mean()), 0.5 * (term.lower + term.upper), abs_tol=0.035 * width)
