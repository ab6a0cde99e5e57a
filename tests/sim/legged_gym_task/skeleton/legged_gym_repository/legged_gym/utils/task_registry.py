"""Makes environments and runners by a task's name."""

import os
from datetime import datetime

from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner

from legged_gym import LEGGED_GYM_ROOT_DIR
from legged_gym.envs.base.legged_robot_config import LeggedRobotCfg, LeggedRobotCfgPPO
from legged_gym.utils.helpers import class_to_dict, get_load_path, parse_sim_params, set_seed, update_cfg_from_args


class TaskRegistry:
    def __init__(self):
        self.task_classes, self.env_cfgs, self.train_cfgs = {}, {}, {}

    def register(self, name: str, task_class: VecEnv, env_cfg: LeggedRobotCfg, train_cfg: LeggedRobotCfgPPO):
        self.task_classes[name], self.env_cfgs[name], self.train_cfgs[name] = task_class, env_cfg, train_cfg

    def get_cfgs(self, name):
        self.env_cfgs[name].seed = self.train_cfgs[name].seed
        return self.env_cfgs[name], self.train_cfgs[name]

    def make_env(self, name, args, env_cfg=None):
        if env_cfg is None:
            env_cfg, _ = self.get_cfgs(name)
        env_cfg, _ = update_cfg_from_args(env_cfg, None, args)
        set_seed(env_cfg.seed)
        env = self.task_classes[name](
            cfg=env_cfg,
            sim_params=parse_sim_params(args, {"sim": class_to_dict(env_cfg.sim)}),
            physics_engine=args.physics_engine,
            sim_device=args.sim_device,
            headless=args.headless,
        )
        return env, env_cfg

    def make_alg_runner(self, env, name, args, train_cfg=None):
        if train_cfg is None:
            _, train_cfg = self.get_cfgs(name)
        _, train_cfg = update_cfg_from_args(None, train_cfg, args)
        log_root = os.path.join(LEGGED_GYM_ROOT_DIR, "logs", train_cfg.runner.experiment_name)
        log_dir = os.path.join(log_root, datetime.now().strftime("%b%d_%H-%M-%S") + "_" + train_cfg.runner.run_name)
        runner = OnPolicyRunner(env, class_to_dict(train_cfg), log_dir, device=args.rl_device)
        if train_cfg.runner.resume:
            runner.load(get_load_path(log_root))
        return runner, train_cfg


task_registry = TaskRegistry()
