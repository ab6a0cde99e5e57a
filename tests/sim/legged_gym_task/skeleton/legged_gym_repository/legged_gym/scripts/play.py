"""Plays the last checkpoint of a task, exports it and logs one robot's states and everybody's rewards."""

import os

import isaacgym  # noqa: F401
import numpy as np
import torch
from legged_gym import LEGGED_GYM_ROOT_DIR
from legged_gym.envs import *  # noqa: F403
from legged_gym.utils import Logger, export_policy_as_jit, get_args, task_registry

ROBOT, JOINT, STATES_LOGGED = 0, 1, 100


def states(env, actions):
    return {
        "dof_pos_target": actions[ROBOT, JOINT].item() * env.cfg.control.action_scale,
        "dof_pos": env.dof_pos[ROBOT, JOINT].item(),
        "dof_vel": env.dof_vel[ROBOT, JOINT].item(),
        "dof_torque": env.torques[ROBOT, JOINT].item(),
        "command_x": env.commands[ROBOT, 0].item(),
        "command_yaw": env.commands[ROBOT, 2].item(),
        "base_vel_x": env.base_lin_vel[ROBOT, 0].item(),
        "base_vel_yaw": env.base_ang_vel[ROBOT, 2].item(),
        "contact_forces_z": env.contact_forces[ROBOT, env.feet_indices, 2].cpu().numpy(),
    }


def play(args):
    env_cfg, train_cfg = task_registry.get_cfgs(name=args.task)
    env_cfg.env.num_envs = min(env_cfg.env.num_envs, 50)
    env_cfg.terrain.num_rows = env_cfg.terrain.num_cols = 5
    env_cfg.terrain.curriculum = False
    env_cfg.noise.add_noise = False
    env_cfg.domain_rand.randomize_friction = False
    env_cfg.domain_rand.push_robots = False
    env, _ = task_registry.make_env(name=args.task, args=args, env_cfg=env_cfg)
    observation = env.get_observations()
    train_cfg.runner.resume = True
    runner, train_cfg = task_registry.make_alg_runner(env=env, name=args.task, args=args, train_cfg=train_cfg)
    policy = runner.get_inference_policy(device=env.device)
    exported = os.path.join(LEGGED_GYM_ROOT_DIR, "logs", train_cfg.runner.experiment_name, "exported", "policies")
    export_policy_as_jit(runner.alg.actor_critic, exported)
    logger = Logger(env.dt)
    rewards_logged = env.max_episode_length + 1
    assert np.isfinite(np.array(env_cfg.viewer.lookat) - np.array(env_cfg.viewer.pos)).all()
    for i in range(10 * int(env.max_episode_length)):
        actions = policy(observation.detach())
        observation, _, _, _, infos = env.step(actions.detach())
        if i < STATES_LOGGED:
            logger.log_states(states(env, actions))
        elif i == STATES_LOGGED:
            logger.plot_states()
        if 0 < i < rewards_logged:
            if infos["episode"]:
                num_episodes = torch.sum(env.reset_buf).item()
                if num_episodes > 0:
                    logger.log_rewards(infos["episode"], num_episodes)
        elif i == rewards_logged:
            logger.print_rewards()


if __name__ == "__main__":
    play(get_args())
