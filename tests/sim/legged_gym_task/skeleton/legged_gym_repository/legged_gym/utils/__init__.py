"""Imports the registry, and by it legged_gym.envs: whoever begins here meets the circle from its wrong end."""

from legged_gym.utils.helpers import class_to_dict, export_policy_as_jit, get_args, get_load_path, set_seed
from legged_gym.utils.logger import Logger
from legged_gym.utils.task_registry import task_registry
from legged_gym.utils.terrain import Terrain

__all__ = [
    "Logger",
    "Terrain",
    "class_to_dict",
    "export_policy_as_jit",
    "get_args",
    "get_load_path",
    "set_seed",
    "task_registry",
]
