"""Puts the tasks into legged_gym's registry."""

from __future__ import annotations

import importlib
from typing import Any

from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.legged_gym_task.configuration import PRESETS_OF_TASKS, make_configurations
from sim.legged_gym_task.task import Go1VelocityTask


def register(registry: Any, base: type, train_base: type) -> None:
    """Register `go1_velocity` and `go1_velocity_rough`, configured on legged_gym's base classes."""
    contract = velocity_contract(load_robot())
    for name in PRESETS_OF_TASKS:
        configuration, training = make_configurations(base, train_base, contract, name)
        registry.register(name, Go1VelocityTask, configuration, training)


def register_with_legged_gym() -> None:
    """The same with the legged_gym that is installed; to be called after `import isaacgym`."""
    # First: legged_gym.utils imports legged_gym.envs, which imports its registry back and finds it half made.
    importlib.import_module("legged_gym.envs")
    utils = importlib.import_module("legged_gym.utils")
    base = importlib.import_module("legged_gym.envs.base.legged_robot_config")
    register(utils.task_registry, base.LeggedRobotCfg, base.LeggedRobotCfgPPO)
