"""The base of all tasks."""

from isaacgym import gymapi, gymtorch, gymutil  # noqa: F401 - upstream imports them here
from isaacgym.torch_utils import *  # noqa: F403

from legged_gym import envs  # noqa: F401 - half imported at this moment, as upstream
from legged_gym.utils.helpers import class_to_dict  # noqa: F401
from legged_gym.utils.terrain import Terrain  # noqa: F401


class LeggedRobot:
    """Never made here."""
