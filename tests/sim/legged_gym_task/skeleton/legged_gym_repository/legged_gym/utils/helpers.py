"""Arguments, configurations as mappings, parameters of the simulation, where checkpoints are."""

import copy
from pathlib import Path

import numpy as np
import torch
from isaacgym import gymapi, gymutil

OVERRIDES = ("max_iterations", "resume", "experiment_name", "run_name", "load_run", "checkpoint")


def class_to_dict(value):
    if not hasattr(value, "__dict__"):
        return value
    names = [name for name in dir(value) if not name.startswith("_")]
    return {name: class_to_dict(getattr(value, name)) for name in names}


def set_seed(seed):
    np.random.seed(seed)  # noqa: NPY002 - the generator that upstream's terrain draws from
    torch.manual_seed(seed)


def get_args():
    parameters = [
        {"name": "--task", "type": str, "default": "legged_robot"},
        {"name": "--resume", "action": "store_true", "default": False},
        {"name": "--experiment_name", "type": str},
        {"name": "--run_name", "type": str},
        {"name": "--load_run", "type": str},
        {"name": "--checkpoint", "type": int},
        {"name": "--headless", "action": "store_true", "default": False},
        {"name": "--horovod", "action": "store_true", "default": False},
        {"name": "--rl_device", "type": str, "default": "cuda:0"},
        {"name": "--num_envs", "type": int},
        {"name": "--seed", "type": int},
        {"name": "--max_iterations", "type": int},
    ]
    args = gymutil.parse_arguments(description="RL Policy", custom_parameters=parameters)
    args.sim_device_id, args.sim_device = args.compute_device_id, args.sim_device_type
    if args.sim_device == "cuda":
        args.sim_device += f":{args.sim_device_id}"
    return args


def parse_sim_params(args, config):
    params = gymapi.SimParams()
    if args.physics_engine == gymapi.SIM_PHYSX:
        params.physx.use_gpu = args.use_gpu
        params.physx.num_subscenes = args.subscenes
    params.use_gpu_pipeline = args.use_gpu_pipeline
    gymutil.parse_sim_config(config["sim"], params)
    if args.physics_engine == gymapi.SIM_PHYSX and args.num_threads > 0:
        params.physx.num_threads = args.num_threads
    return params


def update_cfg_from_args(env_cfg, train_cfg, args):
    if env_cfg is not None and args.num_envs is not None:
        env_cfg.env.num_envs = args.num_envs
    if train_cfg is not None:
        if args.seed is not None:
            train_cfg.seed = args.seed
        for name in OVERRIDES:
            if getattr(args, name):
                setattr(train_cfg.runner, name, getattr(args, name))
    return env_cfg, train_cfg


def get_load_path(root):
    last_run = sorted(path for path in Path(root).iterdir() if path.name != "exported")[-1]
    return str(max(last_run.glob("model_*.pt"), key=lambda path: int(path.stem.split("_")[1])))


def export_policy_as_jit(actor_critic, path):
    Path(path).mkdir(parents=True, exist_ok=True)
    torch.jit.script(copy.deepcopy(actor_critic.actor).to("cpu")).save(str(Path(path) / "policy_1.pt"))
