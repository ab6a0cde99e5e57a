"""legged_gym's two configuration objects for the Go1, made from our own settings: no number is written here again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Tuple

from policy.contract import PolicyContract
from sim.engines.isaacgym_scene import PHYSICS_DT_S
from sim.pretrain_settings import PretrainSettings
from sim.privileged import PRIVILEGED_WIDTH
from sim.randomization import Randomization
from sim.velocity_settings import VelocityTaskSettings

TASK_NAME = "go1_velocity"


def make_configurations(
    base: Any, train_base: Any, contract: PolicyContract, settings: PretrainSettings
) -> Tuple[Any, Any]:
    """Instances of subclasses of legged_gym's LeggedRobotCfg and LeggedRobotCfgPPO.

    legged_gym's scripts read and change nested classes of them; those that our task does not know, such as rewards,
    stay as they are and have no effect.
    """
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
            mesh_type = "plane"
            curriculum = False
            measure_heights = False

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

    return Go1VelocityCfg(), _training(train_base, settings)


def _training(train_base: Any, settings: PretrainSettings) -> Any:
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
            experiment_name = TASK_NAME

    return Go1VelocityCfgPPO()


def task_settings(configuration: Any) -> VelocityTaskSettings:
    """Our settings for a configuration that a script may have changed: robots, seed, length, what is switched off."""
    randomization = Randomization()
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
    return VelocityTaskSettings(
        num_envs=int(configuration.env.num_envs),
        seed=int(configuration.seed),
        episode_s=float(configuration.env.episode_length_s),
        randomization=randomization,
    )
