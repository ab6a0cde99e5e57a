"""stable-baselines3 on our task: what each network sees, how episodes end, its actor becomes ours.

`make test-race` runs this file; the environment of the other tests has no stable-baselines3.
"""

import dataclasses

import numpy as np
import pytest
import torch

pytest.importorskip("stable_baselines3", reason="needs stable-baselines3: make test-race")

from benchmarks.walk_race.stable_baselines import TaskVecEnv, make_model, make_task, save_actor
from benchmarks.walk_race.task import RaceTask, StableBaselinesSettings
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import load_robot
from sim.scripted_trot import imitate_trot

TASK = RaceTask(
    "stable-baselines3",
    1,
    every=1,
    turn_s=1.0,
    assignments=(("task.num_envs", 8), ("steps_per_iteration", 4), ("actor_hidden", [16, 8]), ("critic_hidden", [12])),
)
SETTINGS = TASK.settings()


@pytest.fixture(scope="module")
def model():
    return make_model(make_task(SETTINGS), SETTINGS, StableBaselinesSettings(), [1e-3])


def test_the_actor_sees_its_own_view_only(model):
    views = torch.randn(5, model.observation_space.shape[0])
    width = make_task(SETTINGS).contract.observation_dim
    hidden = views.clone()
    hidden[:, width:] += 1.0
    policy = model.policy
    assert torch.equal(policy.get_distribution(views).mode(), policy.get_distribution(hidden).mode())
    assert not torch.equal(policy.predict_values(views), policy.predict_values(hidden))
    seen = views.clone()
    seen[:, :width] += 1.0
    assert not torch.equal(policy.get_distribution(views).mode(), policy.get_distribution(seen).mode())


def test_the_settings_are_shared(model):
    assert (model.n_steps, model.batch_size, model.n_epochs) == (4, 8 * 4 // SETTINGS.minibatches, SETTINGS.epochs)
    assert (model.gamma, model.gae_lambda, model.ent_coef) == (
        SETTINGS.gamma,
        SETTINGS.gae_lambda,
        SETTINGS.entropy_weight,
    )
    assert model.policy.log_std.exp().detach().numpy() == pytest.approx(SETTINGS.initial_std)


def test_the_actor_becomes_ours(model, tmp_path):
    with torch.no_grad():
        for parameter in model.policy.action_net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_actor(model.policy, tmp_path / "a.safetensors")
    graph = TASK.policy(tmp_path / "a.safetensors")
    views = torch.randn(6, model.observation_space.shape[0])
    mean, std = graph.actor(views[:, : graph.contract.observation_dim])
    distribution = model.policy.get_distribution(views).distribution
    torch.testing.assert_close(mean, distribution.mean)
    torch.testing.assert_close(std, distribution.stddev)


def test_where_asked_its_actor_begins_with_the_trot_that_ours_begins_with(monkeypatch: pytest.MonkeyPatch):
    """The very weights that `pretrain` would hand to rsl_rl for this seed, and the same deviation as without."""
    monkeypatch.setattr("sim.scripted_trot._UPDATES", 3)
    random, begun = (
        make_model(make_task(SETTINGS), SETTINGS, StableBaselinesSettings(begin_with_trot=trot), [1e-3]).policy
        for trot in (False, True)
    )
    contract = SETTINGS.contract(load_robot()).without_slew()
    torch.manual_seed(SETTINGS.task.seed)
    ours = GaussianActor(contract.observation_dim, contract.action_dim, SETTINGS.actor_hidden, SETTINGS.initial_std)
    imitate_trot(PolicyGraph(contract, ours).requires_grad_(False), load_robot(), SETTINGS.task.seed)
    views = torch.randn(6, begun.observation_space.shape[0])
    mean, std = ours(views[:, : contract.observation_dim])
    distribution = begun.get_distribution(views).distribution
    torch.testing.assert_close(distribution.mean, mean)
    torch.testing.assert_close(distribution.stddev, std)
    assert not torch.allclose(random.get_distribution(views).distribution.mean, mean)
    assert all(parameter.requires_grad for parameter in begun.parameters())


def test_time_outs_are_told_with_the_last_view_and_falls_are_not():
    task = make_task(dataclasses.replace(SETTINGS, task=dataclasses.replace(SETTINGS.task, episode_s=0.06)))
    environment = TaskVecEnv(task)
    before = environment.reset()
    task.episode_length_buf[:4] = 1  # these have two more steps, the others three
    ended = []
    for _ in range(3):
        last = before
        environment.step_async(np.zeros((8, 12), dtype=np.float32))
        before, reward, done, infos = environment.step_wait()
        assert reward.shape == done.shape == (8,) and done.dtype == bool
        ended.append(done.tolist())
        for row, info in enumerate(infos):
            assert ("TimeLimit.truncated" in info) == done[row]
            if done[row]:
                assert np.array_equal(info["terminal_observation"], last[row])
    assert ended == [[False] * 8, [True] * 4 + [False] * 4, [False] * 4 + [True] * 4]
    task._fallen = lambda state: torch.ones(8, dtype=torch.bool)  # type: ignore[method-assign]
    environment.step_async(np.zeros((8, 12), dtype=np.float32))
    _, _, done, infos = environment.step_wait()
    assert done.all() and not any(infos), "a fall has no rest of an episode to value"
