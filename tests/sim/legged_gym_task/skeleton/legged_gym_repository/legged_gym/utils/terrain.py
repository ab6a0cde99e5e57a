"""Terrain, which the tasks import even where the ground is flat."""

from isaacgym import terrain_utils  # noqa: F401

from legged_gym.envs.base.legged_robot_config import LeggedRobotCfg


class Terrain:
    """Never made here."""

    def __init__(self, cfg: LeggedRobotCfg.terrain, num_robots) -> None:
        self.cfg, self.num_robots = cfg, num_robots
