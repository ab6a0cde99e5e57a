"""The first number that is not finite stops a run, is named, and leaves its evidence: each kind of it injected."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from rsl_rl.algorithms import PPO

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.nan_guard import EVIDENCE_FILE, GuardedVelocityTask, NonFiniteError, _listed
from sim.pretrain import pretrain
from sim.pretrain_checkpoint import iterations_done, last_checkpoint
from sim.pretrain_settings import PretrainSettings
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import VelocityTask
from tests.sim.velocity_task.bench import NO_ACTION, QUIET, ROBOTS, ScriptedEngine

NAN, INFINITE = math.nan, math.inf
TINY = PretrainSettings(
    steps=16 * 8 * 3,
    steps_per_iteration=8,
    actor_hidden=(8,),
    critic_hidden=(8,),
    epochs=1,
    minibatches=2,
    threads=1,
    save_every=1,
    task=VelocityTaskSettings(num_envs=16, seed=4),
)


@pytest.fixture
def task() -> GuardedVelocityTask:
    robot = load_robot()
    contract = velocity_contract(robot).without_slew()
    actor = GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.1)
    graph = PolicyGraph(contract, actor).requires_grad_(False)
    settings = VelocityTaskSettings(num_envs=ROBOTS, seed=3, randomization=QUIET)
    return GuardedVelocityTask(settings, robot, graph, ScriptedEngine(robot))


def refusal_of(task: GuardedVelocityTask, actions: torch.Tensor = NO_ACTION) -> NonFiniteError:
    with pytest.raises(NonFiniteError) as caught:
        task.step(actions)
    return caught.value


def test_finite_numbers_pass(task):
    observations, reward, _, _ = task.step(NO_ACTION)
    assert torch.isfinite(observations["observation"]).all() and torch.isfinite(reward).all()


def test_an_action_is_refused_before_the_engine_hears_of_it(task):
    actions = NO_ACTION.clone()
    actions[2, 4] = NAN
    given = len(task.engine.targets)
    error = refusal_of(task, actions)
    assert f"action '{task.contract.policy_joint_names[4]}' of robot 2" in str(error)
    assert len(task.engine.targets) == given
    assert math.isnan(error.evidence["action"][0, 4])


def test_a_state_is_named_by_its_quantity(task):
    velocity = torch.zeros(ROBOTS, 12)
    velocity[1, 3], velocity[3, 0] = INFINITE, NAN
    task.engine.change(joint_velocity=velocity)
    assert "state 'joint_velocity' of robots 1, 3" in str(refusal_of(task))


def test_a_reward_is_named_by_its_term(task):
    task.command[3, 0] = NAN
    assert "reward 'track_linear_velocity' of robot 3" in str(refusal_of(task))


def test_an_observation_is_named_by_its_term(task):
    task.encoder_offset[0, 11] = INFINITE
    assert "observation 'joint_position' of robot 0" in str(refusal_of(task))


def test_the_first_of_several_terms_and_all_of_its_robots_are_named(task):
    task.encoder_offset[0, 0] = NAN
    task.gyro_bias[1, 2] = NAN
    task.gyro_bias[2, 0] = NAN
    assert "observation 'angular_velocity' of robots 1, 2." in str(refusal_of(task))


def test_the_critics_own_view_is_guarded_too(task):
    friction = task.physics.friction.clone()
    friction[1] = NAN
    task.physics = dataclasses.replace(task.physics, friction=friction)
    assert "observation 'privileged friction' of robot 1" in str(refusal_of(task))


def test_the_evidence_is_of_the_robots_concerned(task):
    task.command[:, 1] = torch.arange(ROBOTS) / 10.0
    task.gyro_bias[1, 2] = NAN
    task.gyro_bias[3, 2] = NAN
    evidence = refusal_of(task).evidence
    assert evidence["robots"].tolist() == [1, 3]
    assert evidence["command"][:, 1].tolist() == pytest.approx([0.1, 0.3])
    for name in ("action", "memory", "state.joint_position", "state.orientation_trunk_in_world", "physics.friction"):
        assert len(evidence[name]) == 2, name
    assert np.isnan(evidence["gyro_bias"][:, 2]).all()


def test_a_long_list_of_robots_is_cut():
    assert _listed(torch.tensor([7])) == "robot 7"
    assert _listed(torch.arange(8)).endswith("6, 7")
    assert _listed(torch.arange(20)) == "robots 0, 1, 2, 3, 4, 5, 6, 7 and 12 more"


def test_a_loss_stops_the_run_and_the_last_checkpoint_stays(tmp_path, monkeypatch):
    update, calls = PPO.update, []

    def third_is_broken(algorithm):
        calls.append(1)
        losses = update(algorithm)
        return losses if len(calls) < 3 else {**losses, "surrogate": NAN}

    monkeypatch.setattr(PPO, "update", third_is_broken)
    with pytest.raises(NonFiniteError, match="loss 'surrogate'"):
        pretrain(TINY, tmp_path)
    assert iterations_done(last_checkpoint(TINY, tmp_path)) == 2
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == 3  # its header and the rows of two iterations
    with np.load(tmp_path / EVIDENCE_FILE) as evidence:
        assert evidence["observation"].shape[:2] == evidence["advantages"].shape[:2] == (8, 16)
    monkeypatch.undo()
    pretrain(TINY, tmp_path)
    assert iterations_done(last_checkpoint(TINY, tmp_path)) == 3


def test_a_weight_that_an_update_spoils_is_named(tmp_path, monkeypatch):
    # The loss that is reported has no entropy weight in it: with one step an update, only the weights tell.
    update = PPO.update

    def without_an_entropy_weight(algorithm):
        algorithm.entropy_coef = NAN
        return update(algorithm)

    monkeypatch.setattr(PPO, "update", without_an_entropy_weight)
    with pytest.raises(NonFiniteError, match="weight 'actor.distribution.log_std_param'"):
        pretrain(dataclasses.replace(TINY, minibatches=1), tmp_path)
    assert not (tmp_path / "trainer.safetensors").exists()


def test_the_engines_state_is_evidence_where_it_can_be_told(tmp_path, monkeypatch):
    observe = VelocityTask._observe

    def spoiled(task: VelocityTask) -> None:
        observe(task)
        if task.steps_walked.max() >= 3.0:
            task.observation[5, 0] = NAN

    monkeypatch.setattr(VelocityTask, "_observe", spoiled)
    with pytest.raises(NonFiniteError, match="observation '.*' of robot 5"):
        pretrain(TINY, tmp_path)
    with np.load(tmp_path / EVIDENCE_FILE) as evidence:
        assert evidence["robots"].tolist() == [5]
        assert evidence["engine.integration_state"].shape[0] == 1
        assert np.isfinite(evidence["engine.integration_state"]).all()
