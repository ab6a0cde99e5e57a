"""The velocity task on an engine that does what a test says, every figure by hand; and on MuJoCo for the whole."""

import dataclasses
import math

import pytest
import torch

from policy.graph import projected_gravity
from sim.engines.mujoco import MujocoEngine
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import VelocityTask
from tests.sim.velocity_task.bench import NO_ACTION, ROBOTS, make_task, tilted

torch.set_num_threads(1)


def test_the_actor_sees_what_the_deployed_graph_sees(robot, graph):
    """On MuJoCo, in closed loop: without noise, simulation's observation is the one inside the exported pass."""
    task = make_task(robot, graph, MujocoEngine(robot, ROBOTS, 1), delay_substeps=(0, 2))
    memory = torch.zeros(ROBOTS, graph.contract.memory_dim)
    generator = torch.Generator().manual_seed(0)
    seen = []
    for _ in range(12):
        state = task.state
        noise = torch.randn(ROBOTS, 12, generator=generator)
        _, action, _, _, _, observation, memory = graph(
            state.orientation_trunk_in_world,
            state.angular_velocity_trunk_in_trunk,
            state.joint_position,
            state.joint_velocity,
            task.command,
            noise,
            memory,
        )
        torch.testing.assert_close(task.get_observations()["observation"], observation, atol=1e-6, rtol=0)
        seen.append(observation)
        _, _, done, _ = task.step(action)
        assert not done.any()
    assert (seen[0] - seen[-1]).abs().max() > 0.1, "something moved"


def test_noise_stays_within_its_half_widths_and_offsets_stay_for_good(robot, graph, engine):
    quiet = make_task(robot, graph, engine)
    noisy = make_task(robot, graph, engine, joint_position_noise_rad=0.02, encoder_offset_rad=0.05)
    start = 9  # gravity, angular velocity and command come first
    offset = noisy.encoder_offset
    assert offset.abs().max() <= 0.05
    assert offset.abs().max() > 0.02
    draws = []
    for _ in range(50):
        _, _, done, _ = noisy.step(NO_ACTION)
        assert not done.any()
        draws.append(noisy.observation[:, start : start + 12] - quiet.observation[:, start : start + 12] - offset)
    noise = torch.stack(draws)
    assert noise.abs().max() <= 0.02 + 1e-6
    assert noise.abs().max() > 0.019
    assert noise.mean(0).abs().max() < 0.02 / math.sqrt(3 * 50) * 4, "what stays is in the offset"


def test_the_imus_bias_stays_for_good(robot, graph, engine):
    """Gravity is observed as it is, angular velocity at a quarter: the observation differs by that much, each step."""
    quiet = make_task(robot, graph, engine)
    biased = make_task(robot, graph, engine, gravity_bias=0.03, angular_velocity_bias_rad_s=0.1)
    assert 0.02 < biased.gravity_bias.abs().max() <= 0.03
    assert 0.05 < biased.gyro_bias.abs().max() <= 0.1
    for _ in range(3):
        difference = biased.observation[:, :6] - quiet.observation[:, :6]
        expected = torch.cat([biased.gravity_bias, 0.25 * biased.gyro_bias], dim=1)
        torch.testing.assert_close(difference, expected, atol=1e-6, rtol=0)
        biased.step(NO_ACTION)


def test_the_critic_alone_sees_the_truth(robot, graph, engine):
    task = make_task(robot, graph, engine, friction=(0.5, 0.5), payload_kg=(1.0, 1.0), delay_substeps=(2, 2))
    velocity = torch.tensor([0.7, -0.1, 0.2]).repeat(ROBOTS, 1)
    before = task.observation.clone()
    engine.change(linear_velocity_trunk_in_trunk=velocity, position_trunk_in_world=torch.tensor([[5.0, 5.0, 0.31]] * 4))
    task.step(NO_ACTION)
    critic = task.get_observations()["privileged"]
    torch.testing.assert_close(critic[:, :3], velocity)
    torch.testing.assert_close(critic[:, 9], torch.full((ROBOTS,), 0.2), atol=1e-5, rtol=0)  # (0.31 - 0.29) * 10
    torch.testing.assert_close(critic[:, -3:], torch.tensor([[0.5, 0.5, 2.0]] * ROBOTS))
    clock = slice(-2, None)
    torch.testing.assert_close(task.observation[:, : clock.start], before[:, : clock.start])


def test_time_outs_are_not_falls(robot, graph, engine):
    """Robot 0 falls, 1 runs out of time, 2 does both at once: that is a fall; 3 goes on."""
    task = make_task(robot, graph, engine, episode_s=0.2)
    task.episode_length_buf[:] = torch.tensor([3, 9, 9, 3])
    orientation = engine.now.orientation_trunk_in_world.clone()
    orientation[0] = orientation[2] = tilted(1.01)
    orientation[3] = tilted(0.99)
    engine.change(orientation_trunk_in_world=orientation)
    _, _, done, extras = task.step(NO_ACTION)
    assert done.tolist() == [True, True, True, False]
    assert extras["time_outs"].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert engine.reset_rows[-1] == [0, 1, 2]
    assert task.episode_length_buf.tolist() == [0, 0, 0, 4]
    assert extras["log"]["/falls_per_minute"] == pytest.approx(2 / 4 / 0.02 * 60)


def test_a_low_trunk_is_a_fall(robot, graph, engine):
    task = make_task(robot, graph, engine)
    engine.change(position_trunk_in_world=torch.tensor([[0.0, 0.0, z] for z in (0.119, 0.121, 0.0, 0.29)]))
    _, _, done, _ = task.step(NO_ACTION)
    assert done.tolist() == [True, False, True, False]


def test_only_those_that_ended_forget(robot, graph, engine):
    task = make_task(robot, graph, engine)
    task.step(torch.full((ROBOTS, 12), 0.3))
    commands = task.command.clone()
    orientation = engine.now.orientation_trunk_in_world.clone()
    orientation[1] = tilted(1.5)
    engine.change(orientation_trunk_in_world=orientation)
    task.step(torch.full((ROBOTS, 12), 0.4))
    assert task.memory[1].abs().max() == 0
    assert task.last_action[1].abs().max() == 0
    assert task.memory[[0, 2, 3]].abs().min(dim=1).values.max() > 0
    torch.testing.assert_close(task.last_action[[0, 2, 3]], torch.full((3, 12), 0.4))
    torch.testing.assert_close(task.command[[0, 2, 3]], commands[[0, 2, 3]])
    assert not torch.equal(task.command[1], commands[1])


def test_the_observation_after_a_fall_is_that_of_the_new_life(robot, graph):
    """On MuJoCo: what is returned with `done` belongs to the robot that has just been set up again."""
    task = make_task(robot, graph, MujocoEngine(robot, ROBOTS, 1))
    joints = task.state.joint_position[:2]
    on_its_side = tilted(1.5).repeat(2, 1)
    task.engine.reset(torch.tensor([0, 2]), torch.tensor([[0.0, 0.0, 0.5]] * 2), on_its_side, joints)
    observations, reward, done, _ = task.step(NO_ACTION)
    assert done.tolist() == [True, False, True, False]
    gravity = observations["observation"][:, :3]
    torch.testing.assert_close(gravity[[0, 2]], torch.tensor([[0.0, 0.0, -1.0]] * 2), atol=1e-5, rtol=0)
    assert (reward[[1, 3]].min() - reward[[0, 2]].max()) > 5.0, "the fall was paid for before"


def test_equal_seeds_are_equal_worlds(robot, graph):
    settings = VelocityTaskSettings(num_envs=ROBOTS, seed=5)
    one, two = (VelocityTask(settings, robot, graph, MujocoEngine(robot, ROBOTS, 1)) for _ in range(2))
    for _ in range(5):
        (first, reward_first, _, _), (second, reward_second, _, _) = one.step(NO_ACTION), two.step(NO_ACTION)
        assert torch.equal(first["observation"], second["observation"])
        assert torch.equal(reward_first, reward_second)
    other = VelocityTask(dataclasses.replace(settings, seed=6), robot, graph, MujocoEngine(robot, ROBOTS, 1))
    assert not torch.equal(other.physics.friction, one.physics.friction)


def test_tilt_in_these_tests_is_what_it_says():
    torch.testing.assert_close(
        projected_gravity(tilted(math.pi / 2)[None]), torch.tensor([[0.0, -1.0, 0.0]]), atol=1e-6, rtol=0
    )
