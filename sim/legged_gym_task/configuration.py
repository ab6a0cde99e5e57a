"""legged_gym's two configuration objects for the Go1, made from our own settings: no number is written here again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional, Tuple

from policy.contract import PolicyContract
from robot_configs.errors import Go1Error
from sim.engines.choice import EngineChoice
from sim.engines.isaacgym_scene import PHYSICS_DT_S
from sim.presets import preset
from sim.pretrain_settings import PretrainSettings
from sim.privileged import PRIVILEGED_WIDTH
from sim.terrain.settings import TerrainSettings
from sim.velocity_settings import VelocityTaskSettings

# What legged_gym registers, and the preset that each is made of.
PRESETS_OF_TASKS = {"go1_velocity": "standard", "go1_velocity_rough": "robust"}
PLANE, MESH = "plane", "trimesh"  # legged_gym's words


class LeggedGymTaskError(Go1Error):
    """A configuration that this task does not run."""


def settings_of_preset(name: str) -> PretrainSettings:
    """A preset as Isaac Gym can have it: on firm ground."""
    return preset(name, PretrainSettings().task.seed, EngineChoice("isaacgym"), firm_ground=True)


def make_configurations(base: Any, train_base: Any, contract: PolicyContract, task_name: str) -> Tuple[Any, Any]:
    """Instances of subclasses of legged_gym's LeggedRobotCfg and LeggedRobotCfgPPO for one of `PRESETS_OF_TASKS`.

    legged_gym's scripts read and change nested classes of them; those that our task does not know, such as rewards,
    stay as they are and have no effect.
    """
    preset_name = PRESETS_OF_TASKS[task_name]
    settings = settings_of_preset(preset_name)
    task = settings.task

    class Go1VelocityCfg(base):
        seed = task.seed

        class env(base.env):
            num_envs = task.num_envs
            num_observations = contract.observation_dim
            num_privileged_obs = contract.observation_dim + PRIVILEGED_WIDTH
            num_actions = contract.action_dim
            episode_length_s = task.episode_s

        class terrain(base.terrain):
            mesh_type = PLANE if task.terrain is None else MESH
            curriculum = task.terrain is not None
            measure_heights = False

        class velocity_task:
            preset = preset_name

        class control(base.control):
            control_type = "P"
            stiffness = dict(zip(contract.joint_names, contract.stiffness))  # noqa: B905 - Python 3.8
            damping = dict(zip(contract.joint_names, contract.damping))  # noqa: B905 - Python 3.8
            action_scale = contract.action_scale[0]
            decimation = round(1.0 / contract.control_hz / PHYSICS_DT_S)

        class domain_rand(base.domain_rand):
            randomize_friction = True
            randomize_base_mass = True
            push_robots = True

        class noise(base.noise):
            add_noise = True

        class sim(base.sim):
            dt = PHYSICS_DT_S
            substeps = 1

    return Go1VelocityCfg(), _training(train_base, settings, task_name)


def _training(train_base: Any, settings: PretrainSettings, task_name: str) -> Any:
    class Go1VelocityCfgPPO(train_base):
        seed = settings.task.seed
        runner_class_name = "OnPolicyRunner"

        class policy(train_base.policy):
            init_noise_std = settings.initial_std
            actor_hidden_dims = list(settings.actor_hidden)
            critic_hidden_dims = list(settings.critic_hidden)
            activation = "elu"

        class algorithm(train_base.algorithm):
            clip_param = settings.clip
            entropy_coef = settings.entropy_weight
            num_learning_epochs = settings.epochs
            num_mini_batches = settings.minibatches
            learning_rate = settings.learning_rate
            schedule = "adaptive"
            gamma = settings.gamma
            lam = settings.gae_lambda
            desired_kl = settings.desired_kl

        class runner(train_base.runner):
            policy_class_name = "ActorCritic"
            algorithm_class_name = "PPO"
            num_steps_per_env = settings.steps_per_iteration
            max_iterations = settings.iterations
            save_interval = settings.save_every
            experiment_name = task_name

    return Go1VelocityCfgPPO()


def task_settings(configuration: Any) -> VelocityTaskSettings:
    """Our settings for a configuration that a script may have changed: robots, seed, length, what is switched off.

    Raises:
        LeggedGymTaskError: ground that this task does not have.
    """
    settings = settings_of_preset(configuration.velocity_task.preset).task
    randomization = settings.randomization
    if not configuration.noise.add_noise:
        randomization = replace(
            randomization,
            gravity_noise=0.0,
            angular_velocity_noise_rad_s=0.0,
            joint_position_noise_rad=0.0,
            joint_velocity_noise_rad_s=0.0,
        )
    if not configuration.domain_rand.push_robots:
        randomization = replace(randomization, push_speed_m_s=0.0)
    if not configuration.domain_rand.randomize_friction:
        middle = sum(randomization.friction) / 2.0
        randomization = replace(randomization, friction=(middle, middle))
    if not configuration.domain_rand.randomize_base_mass:
        randomization = replace(randomization, payload_kg=(0.0, 0.0))
    return replace(
        settings,
        num_envs=int(configuration.env.num_envs),
        seed=int(configuration.seed),
        episode_s=float(configuration.env.episode_length_s),
        randomization=randomization,
        terrain=_terrain(configuration.terrain.mesh_type, settings.terrain),
    )


def _terrain(mesh_type: str, own: Optional[TerrainSettings]) -> Optional[TerrainSettings]:
    """The terrain of a task's preset, that of all kinds where its preset has none, or a plane."""
    if mesh_type == PLANE:
        return None
    if mesh_type == MESH:
        return own if own is not None else TerrainSettings()
    raise LeggedGymTaskError(
        f"terrain.mesh_type = {PLANE!r} or {MESH!r}",
        repr(mesh_type),
        "Take the mesh: Isaac Gym's height field rounds heights, and its triangles are not those of the task.",
    )
