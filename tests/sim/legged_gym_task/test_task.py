"""The registered task: made as legged_gym makes tasks, run as rsl_rl v1.0.2's runner runs them."""

import dataclasses

import pytest
import torch

from policy.rewards import REWARD_TERMS
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.engines.choice import EngineChoice
from sim.isaacgym_shim import gymapi, gymutil
from sim.legged_gym_task import configuration
from sim.legged_gym_task.configuration import LeggedGymTaskError, task_settings
from sim.presets import preset
from sim.pretrain_settings import PretrainSettings
from sim.privileged import PRIVILEGED_WIDTH
from sim.randomization import Randomization
from sim.shaping import SHAPING_TERMS
from sim.terrain.settings import TerrainSettings

torch.set_num_threads(1)
ROBOTS, STEPS = 6, 12


def simulation(cfg) -> gymapi.SimParams:
    """legged_gym turns the configuration's nested classes into a mapping, and that into SimParams."""
    params = gymapi.SimParams()
    physx = {"num_threads": cfg.sim.physx.num_threads, "solver_type": cfg.sim.physx.solver_type}
    config = {name: getattr(cfg.sim, name) for name in ("dt", "substeps", "gravity", "up_axis")}
    gymutil.parse_sim_config({**config, "physx": physx}, params)
    return params


@pytest.fixture
def make(registered):
    def build(**changed):
        cfg = registered.env_cfg
        cfg.env.num_envs = ROBOTS
        for name, value in changed.items():
            setattr(cfg.env, name, value)
        return registered.task_class(
            cfg=cfg,
            sim_params=simulation(cfg),
            physics_engine=gymapi.SIM_PHYSX,
            sim_device="cpu",
            headless=True,
        )

    return build


def test_configurations_are_made_from_our_settings(registered):
    robot, settings = load_robot(), PretrainSettings()
    contract = velocity_contract(robot)
    env, train = registered.env_cfg, registered.train_cfg
    assert (env.env.num_envs, env.env.num_observations, env.env.num_actions) == (1024, contract.observation_dim, 12)
    assert env.env.num_privileged_obs == contract.observation_dim + PRIVILEGED_WIDTH
    assert env.env.env_spacing == 3.0, "what is not ours stays legged_gym's"
    assert (env.sim.dt, env.control.decimation, env.control.action_scale) == (0.004, 5, 0.35)
    assert env.control.stiffness["FR_hip"] == 30.0
    assert train.policy.actor_hidden_dims == [128, 128]
    assert (train.algorithm.entropy_coef, train.algorithm.max_grad_norm) == (settings.entropy_weight, 1.0)
    assert (train.runner.experiment_name, train.runner.max_iterations) == ("go1_velocity", settings.iterations)
    assert env.seed == train.seed == settings.task.seed


def test_a_runner_of_v1_0_2_collects_its_rollout(make):
    """The calls of `OnPolicyRunner.learn` in its order: reset, spread episode lengths, steps, means of episodes."""
    task = make(episode_length_s=0.2)
    assert task.num_privileged_obs is not None
    observation, critic = task.reset()
    task.episode_length_buf = torch.randint_like(task.episode_length_buf, high=int(task.max_episode_length))
    observation, critic = task.get_observations(), task.get_privileged_observations()
    assert observation.shape == (ROBOTS, task.num_obs)
    assert critic.shape == (ROBOTS, task.num_privileged_obs)
    torch.testing.assert_close(critic[:, : task.num_obs], observation)
    episodes, ended = [], torch.zeros(ROBOTS, dtype=torch.long)
    generator = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        actions = torch.randn(ROBOTS, task.num_actions, generator=generator) * 0.3
        observation, critic, reward, done, infos = task.step(actions)
        assert observation.shape == (ROBOTS, task.num_obs)
        assert reward.shape == done.shape == infos["time_outs"].shape == (ROBOTS,)
        assert torch.isfinite(observation).all()
        assert torch.isfinite(reward).all()
        assert (done[infos["time_outs"]] == 1).all(), "a time-out ends an episode"
        ended += done
        episodes.append(infos["episode"])
    # 0.2 s are 10 steps: everyone has ended at least once, and the first ends were spread by the runner.
    assert ended.min() >= 1
    assert {frozenset(episode) for episode in episodes} == {frozenset(episodes[0])}, "the runner takes the first's keys"
    for key in episodes[0]:
        mean = torch.stack([torch.as_tensor(entry[key]).float() for entry in episodes]).mean()
        assert torch.isfinite(mean), key
    assert "error_linear_m_s" in episodes[0]


def test_the_first_ends_are_spread_by_the_runner(make):
    task = make(episode_length_s=0.2)
    task.episode_length_buf = torch.tensor([9, 8, 0, 0, 0, 0])
    done = [task.step(torch.zeros(ROBOTS, 12))[3].tolist() for _ in range(2)]
    assert done == [[1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]]


def test_the_last_ended_episodes_stay_in_the_extras(make):
    """legged_gym's play script reads `infos["episode"]` in every step, whether an episode has ended or not."""
    task = make(episode_length_s=0.2)
    task.episode_length_buf = torch.tensor([7, 0, 0, 0, 0, 0])
    entries = [task.step(torch.zeros(ROBOTS, 12))[4]["episode"] for _ in range(5)]
    rewards = [name for name in entries[0] if name.startswith("reward_")]
    assert {name.replace("reward_", "") for name in rewards} == {*REWARD_TERMS, *SHAPING_TERMS}
    paths = {name: [float(entry[name]) for entry in entries] for name in entries[0]}
    for name in rewards:
        assert paths[name][:2] == [0.0, 0.0], "none has ended yet"
        assert len(set(paths[name][2:])) == 1, "kept until others end"
    assert paths["reward_track_linear_velocity"][2] > 0.0
    assert len(set(paths["error_linear_m_s"])) == 5, "of all robots, now"


def test_what_the_runner_does_to_an_entry_stays_there(make):
    """rsl_rl v1.0.2 gives the numbers of the entries that it averages a dimension, in place."""
    task = make()
    entry = task.step(torch.zeros(ROBOTS, 12))[4]["episode"]
    for name in entry:
        entry[name] = entry[name].unsqueeze(0)
    assert {value.dim() for value in task.step(torch.zeros(ROBOTS, 12))[4]["episode"].values()} == {0}


def test_what_the_play_script_plots(make):
    task = make()
    task.reset()
    for _ in range(40):
        task.step(torch.zeros(ROBOTS, 12))
    assert task.dt == pytest.approx(0.02)
    assert task.dof_pos.shape == task.dof_vel.shape == task.torques.shape == (ROBOTS, 12)
    assert task.base_lin_vel.shape == task.base_ang_vel.shape == task.commands.shape == (ROBOTS, 3)
    weights = task.contact_forces[:, task.feet_indices, 2].sum(dim=1)
    assert (weights > 60.0).all(), "robots that stand press on their feet"
    stand = torch.tensor(load_robot().stand_position, dtype=torch.float32)
    assert (task.dof_pos - stand).abs().max() < 0.5


def test_the_same_seed_is_the_same_task(make):
    one, two = make(), make()
    for _ in range(3):
        first, second = (task.step(torch.full((ROBOTS, 12), 0.1)) for task in (one, two))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[2], second[2])


def test_scripts_switch_randomness_off(registered):
    cfg = registered.env_cfg
    cfg.noise.add_noise = cfg.domain_rand.push_robots = False
    cfg.domain_rand.randomize_friction = cfg.domain_rand.randomize_base_mass = False
    found = task_settings(cfg).randomization
    expected = dataclasses.replace(
        Randomization(),
        gravity_noise=0.0,
        angular_velocity_noise_rad_s=0.0,
        joint_position_noise_rad=0.0,
        joint_velocity_noise_rad_s=0.0,
        push_speed_m_s=0.0,
        payload_kg=(0.0, 0.0),
        friction=(0.825, 0.825),
    )
    assert found == expected
    assert task_settings(type(cfg)()).randomization == Randomization()


def test_a_viewer_and_other_ground_are_refused(registered):
    cfg = registered.env_cfg
    with pytest.raises(LeggedGymTaskError, match="--headless"):
        registered.task_class(cfg, simulation(cfg), gymapi.SIM_PHYSX, "cpu", False)
    cfg.terrain.mesh_type = "heightfield"
    with pytest.raises(LeggedGymTaskError, match="'plane' or 'trimesh'; found 'heightfield'.*Take the mesh"):
        registered.task_class(cfg, simulation(cfg), gymapi.SIM_PHYSX, "cpu", True)


def test_the_rough_task_is_robust_on_firm_ground(registered_rough, registered):
    env, train = registered_rough.env_cfg, registered_rough.train_cfg
    settings = preset("robust", 1, EngineChoice("isaacgym"), firm_ground=True)
    assert (env.terrain.mesh_type, env.terrain.curriculum) == ("trimesh", True)
    assert (train.runner.experiment_name, train.runner.max_iterations) == ("go1_velocity_rough", settings.iterations)
    assert task_settings(env) == settings.task
    env.terrain.mesh_type = "plane"
    assert task_settings(env).terrain is None
    assert registered.env_cfg.terrain.mesh_type == "plane"
    registered.env_cfg.terrain.mesh_type = "trimesh"
    assert task_settings(registered.env_cfg).terrain == TerrainSettings()


def test_the_rough_task_walks_on_its_terrain(registered_rough, monkeypatch):
    """On a few small tiles of it: robots of all kinds of ground start on them, and levels go to the log."""
    whole = configuration.settings_of_preset("robust")
    assert whole.task.terrain is not None
    terrain = dataclasses.replace(whole.task.terrain, levels=2, tile_m=3.0, border_m=1.0)
    small = dataclasses.replace(whole, task=dataclasses.replace(whole.task, terrain=terrain))
    monkeypatch.setattr(configuration, "settings_of_preset", lambda name: small)
    cfg = registered_rough.env_cfg
    cfg.env.num_envs = ROBOTS
    task = registered_rough.task_class(cfg, simulation(cfg), gymapi.SIM_PHYSX, "cpu", True)
    assert task._engine.state().position_trunk_in_world[:, 1].unique().numel() == ROBOTS, "a kind of ground each"
    for _ in range(3):
        observation, critic, reward, _, infos = task.step(torch.zeros(ROBOTS, 12))
    assert torch.isfinite(observation).all() and torch.isfinite(critic).all() and torch.isfinite(reward).all()
    assert {name for name in infos["episode"] if name.startswith("level_")} == {
        "level_flat",
        *("level_rough", "level_slope_up", "level_slope_down", "level_steps_up"),
    }
