"""The logged mirror loss is rsl_rl's own, and costs no second run of the actor."""

from pathlib import Path

import pytest
import torch
from rsl_rl.extensions import Symmetry

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.engines.mujoco import MujocoEngine
from sim.mirror import Mirror
from sim.ppo_runner import PpoRunner
from sim.pretrain_settings import PretrainSettings
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import VelocityTask

torch.set_num_threads(1)

EPOCHS, MINIBATCHES, STEPS, ROBOTS = 2, 2, 4, 4


@pytest.fixture
def runner(tmp_path: Path) -> PpoRunner:
    robot = load_robot()
    contract = velocity_contract(robot).without_slew()
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (), 1.0)).requires_grad_(False)
    task_settings = VelocityTaskSettings(num_envs=ROBOTS)
    settings = PretrainSettings(
        steps=STEPS * ROBOTS,
        steps_per_iteration=STEPS,
        actor_hidden=(8,),
        critic_hidden=(8,),
        epochs=EPOCHS,
        minibatches=MINIBATCHES,
        mirror=True,
        task=task_settings,
    )
    torch.manual_seed(0)
    task = VelocityTask(task_settings, robot, graph, MujocoEngine(robot, ROBOTS, 1))
    return PpoRunner(task, settings, tmp_path, None)


def test_the_actor_runs_once_a_step_and_once_a_minibatch(runner):
    runs = []
    runner.alg.actor.register_forward_hook(lambda *_: runs.append(1))
    runner.learn(1)
    assert len(runs) == STEPS + EPOCHS * MINIBATCHES


def test_the_loss_is_that_of_rsl_rl(runner):
    mirror = Mirror(runner._task.contract, load_robot())
    theirs = Symmetry(runner._task, mirror.augment, use_data_augmentation=True)
    alg = runner.alg
    with torch.inference_mode():
        observations = runner._task.get_observations()
        for _ in range(STEPS):
            alg.act(observations)
            observations, rewards, done, extras = runner._task.step(alg.transition.actions)
            alg.process_env_step(observations, rewards, done, extras)
        alg.compute_returns(observations)
    for batch in alg.storage.mini_batch_generator(MINIBATCHES, 1):
        size = len(batch.actions)
        alg.symmetry.augment_batch(batch, size)
        alg.actor(batch.observations, stochastic_output=True)
        own = alg.symmetry.compute_loss(alg.actor, batch, size)
        assert torch.equal(own, theirs.compute_loss(alg.actor, batch, size))
        assert own > 0.0
        assert not own.requires_grad
