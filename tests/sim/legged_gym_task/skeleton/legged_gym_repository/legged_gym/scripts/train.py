"""Trains a task."""

import isaacgym  # noqa: F401
from legged_gym.envs import *  # noqa: F403
from legged_gym.utils import get_args, task_registry


def train(args):
    env, _ = task_registry.make_env(name=args.task, args=args)
    runner, train_cfg = task_registry.make_alg_runner(env=env, name=args.task, args=args)
    runner.learn(num_learning_iterations=train_cfg.runner.max_iterations, init_at_random_ep_len=True)


if __name__ == "__main__":
    train(get_args())
