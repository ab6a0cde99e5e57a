"""Registers the tasks; imports the registry only after the base classes, which need legged_gym.utils themselves."""

from legged_gym import LEGGED_GYM_ENVS_DIR, LEGGED_GYM_ROOT_DIR
from legged_gym.envs.base.legged_robot import LeggedRobot
from legged_gym.envs.base.legged_robot_config import LeggedRobotCfg, LeggedRobotCfgPPO
from legged_gym.utils.task_registry import task_registry

task_registry.register("legged_robot", LeggedRobot, LeggedRobotCfg(), LeggedRobotCfgPPO())

__all__ = ["LEGGED_GYM_ENVS_DIR", "LEGGED_GYM_ROOT_DIR", "LeggedRobot", "task_registry"]
