"""Which engine a run uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional

from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel
from sim.engines.protocol import Engine
from sim.terrain.height_field import HeightField

EngineName = Literal["mujoco", "mujoco_warp", "isaacgym"]


class EngineChoiceError(Go1Error):
    """An engine that can not do what the task needs."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine and where it computes.

    Attributes:
        name: `mujoco` on all cores, `mujoco_warp` or `isaacgym`.
        device: of the last two, cpu or cuda:0; MuJoCo has only the CPU.
        python: the Python that Isaac Gym is installed in, where that is not the trainer's own.
    """

    name: EngineName = "mujoco"
    device: str = "cpu"
    python: Optional[str] = None


def make_engine(
    choice: EngineChoice, robot: RobotModel, num_envs: int, terrain: Optional[HeightField] = None
) -> Engine:
    """The chosen engine; only its own libraries are imported."""
    if choice.name == "mujoco":
        from sim.engines.mujoco import MujocoEngine

        return MujocoEngine(robot, num_envs, terrain=terrain)
    if choice.name == "mujoco_warp":
        from sim.engines.mujoco_warp import MujocoWarpEngine

        return MujocoWarpEngine(robot, num_envs, choice.device, terrain)
    if choice.python is not None:
        from sim.engines.process_engine import ProcessEngine

        return ProcessEngine(choice.python, num_envs, choice.device, terrain)
    from sim.engines.isaacgym import IsaacGymEngine

    return IsaacGymEngine(robot, num_envs, choice.device, terrain=terrain)
