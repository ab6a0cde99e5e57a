"""Reward, shaping and the log of the velocity task, every figure by hand."""

import dataclasses
import math

import pytest
import torch

from policy.graph import PHASE
from policy.rewards import REWARD_TERMS
from robot_configs.kinematics import foot_position_in_trunk
from sim.shaping import SHAPING_TERMS, ShapingWeights
from tests.sim.velocity_task.bench import NO_ACTION, ROBOTS, make_task

torch.set_num_threads(1)


def test_reward_and_shaping_by_hand(robot, graph, engine):
    task = make_task(robot, graph, engine)
    task.command[:] = torch.tensor([1.0, 0.0, 0.5])
    task.memory[:, PHASE] = 0.125  # FR and RL are at sin(45 deg)^2 of their swing, FL and RR on the ground
    feet = engine.now.foot_position_in_world.clone()
    apex = 0.09 * 0.5
    feet[:, 0, 2] += apex  # FR where it should be; RL is 0.1 m too high
    feet[:, 3, 2] += apex + 0.1
    feet[:, 0, 0] += 0.05  # FR swings forward, which is free; FL slides 1 cm in 20 ms: 0.5 m/s
    feet[:, 1, 0] += 0.01
    joints = engine.now.joint_position.clone()
    joints[:, 3] += 0.1  # a hip
    joints[:, 4] += 0.5  # a thigh: no matter
    torque = 0.5 * torch.tensor(robot.torque_limit, dtype=torch.float32).repeat(ROBOTS, 1)
    engine.change(
        position_trunk_in_world=torch.tensor([0.0, 0.0, 0.31]).repeat(ROBOTS, 1),
        linear_velocity_trunk_in_trunk=torch.tensor([0.5, 0.0, 0.1]).repeat(ROBOTS, 1),
        angular_velocity_trunk_in_trunk=torch.tensor([0.2, -0.1, 0.0]).repeat(ROBOTS, 1),
        joint_position=joints,
        joint_velocity=torch.ones(ROBOTS, 12),
        joint_torque=torque,
        foot_position_in_world=feet,
    )
    _, reward, _, _ = task.step(torch.full((ROBOTS, 12), 0.1))
    expected = {
        "track_linear_velocity": math.exp(-1.0),  # error 0.5 m/s, width 0.5
        "track_yaw_rate": 0.5 * math.exp(-1.0),
        "tilt": 0.0,
        "vertical_velocity": -0.5 * 0.01,
        "roll_pitch_rate": -0.02 * 0.05,
        "torque": -0.03 * 12 * 0.25,
        "action_change": -0.005 * 12 * 0.01,
        "standing_motion": 0.0,  # it is told to walk
        "fall": 0.0,
        "swing": 0.5 * math.exp(-1.0),  # one foot 0.1 m off, width^2 = 0.01 m^2
        "slip": -0.08 * 0.25,
        "posture": -0.15 * 0.01,
        "height": -8.0 * 0.02**2,
        "far": -0.4 * (0.5 + 0.5 * 0.5),
        "stance": 0.0,  # it is told to walk
        "stillness": 0.0,  # likewise
    }
    assert tuple(expected) == (*REWARD_TERMS, *SHAPING_TERMS)
    torch.testing.assert_close(task.episode_terms[0], torch.tensor(list(expected.values())), atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(reward, torch.full((ROBOTS,), sum(expected.values())), atol=1e-4, rtol=0)


def test_a_standing_robot_keeps_all_feet_down(task, engine):
    """Where standing is commanded no foot swings, whatever the clock says: a lifted foot costs."""
    task.command[:] = 0.0
    task.memory[:, PHASE] = 0.125
    feet = engine.now.foot_position_in_world.clone()
    apex = 0.09 * 0.5
    feet[1, 0, 2] += apex
    feet[1, 0, 0] += 0.01  # it steps: only feet on the ground slip
    feet[2, 0, 0] += 0.01
    engine.change(foot_position_in_world=feet)
    task.step(NO_ACTION)
    swing = task.episode_terms[:, len(REWARD_TERMS) + SHAPING_TERMS.index("swing")]
    slip = task.episode_terms[:, len(REWARD_TERMS) + SHAPING_TERMS.index("slip")]
    assert swing.tolist() == pytest.approx([0.5, 0.5 * math.exp(-(apex**2) / 0.01), 0.5, 0.5], rel=1e-4)
    assert slip.tolist() == pytest.approx([0.0, 0.0, -0.08 * 0.25, 0.0], abs=1e-5)


def test_a_standing_robots_feet_belong_under_it_however_it_is_turned(robot, graph, engine):
    task = make_task(robot, graph, engine)
    task.settings = dataclasses.replace(task.settings, shaping=ShapingWeights(stance=-10.0))
    task.command[:] = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    feet = torch.tensor(foot_position_in_trunk(robot, robot.stand_position), dtype=torch.float32).repeat(ROBOTS, 1, 1)
    feet[1, 0, 0] += 0.1  # one foot 10 cm ahead, another 20 cm to the side
    feet[1, 2, 1] -= 0.2
    feet[1, 3, 2] += 0.3  # its height is another term's
    feet[3] = feet[1]
    trunk = torch.tensor([5.0, -2.0, 0.29])
    # The third robot has turned left by a right angle on its feet: (x, y) -> (-y, x).
    feet[2] = torch.stack([-feet[2, :, 1], feet[2, :, 0], feet[2, :, 2]], dim=1)
    orientation = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(ROBOTS, 1)
    orientation[2] = torch.tensor([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)])
    engine.change(
        position_trunk_in_world=trunk.repeat(ROBOTS, 1),
        orientation_trunk_in_world=orientation,
        foot_position_in_world=feet + trunk,
    )
    task.step(NO_ACTION)
    stance = task.episode_terms[:, len(REWARD_TERMS) + SHAPING_TERMS.index("stance")]
    assert stance.tolist() == pytest.approx([0.0, -10.0 * (0.01 + 0.04), 0.0, 0.0], abs=1e-5)


def test_what_moving_costs_while_standing_is_bounded(robot, graph, engine):
    task = make_task(robot, graph, engine)
    task.settings = dataclasses.replace(task.settings, shaping=ShapingWeights(stillness=-0.1))
    task.command[:] = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    speed = torch.zeros(ROBOTS, 12)
    speed[1] = 0.5  # rad/s, each joint: 3 rad^2/s^2
    speed[2:] = -8.0
    engine.change(joint_velocity=speed)
    task.step(NO_ACTION)
    stillness = task.episode_terms[:, len(REWARD_TERMS) + SHAPING_TERMS.index("stillness")]
    assert stillness.tolist() == pytest.approx([0.0, -0.1 * (1.0 - math.exp(-0.3)), -0.1, 0.0], abs=1e-5)


def test_the_log_holds_every_term_of_ended_episodes_a_step(robot, graph, engine):
    task = make_task(robot, graph, engine, episode_s=0.06)
    task.command[:] = torch.tensor([0.3, 0.4, -0.2])
    logs = [task.step(NO_ACTION)[3]["log"] for _ in range(3)]
    always = {"/error/linear_m_s", "/error/yaw_rad_s", "/falls_per_minute"}
    assert set(logs[0]) == set(logs[1]) == always
    assert set(logs[2]) == always | {f"/reward/{name}" for name in (*REWARD_TERMS, *SHAPING_TERMS)}
    assert float(logs[0]["/error/linear_m_s"]) == pytest.approx(0.5)
    assert float(logs[0]["/error/yaw_rad_s"]) == pytest.approx(0.2)
    # All three steps were alike, so a step's mean is any step's value.
    assert float(logs[2]["/reward/track_linear_velocity"]) == pytest.approx(math.exp(-1.0), abs=1e-5)
    assert float(logs[2]["/reward/track_yaw_rate"]) == pytest.approx(0.5 * math.exp(-0.16), abs=1e-5)
    assert task.episode_terms.abs().max() == 0
