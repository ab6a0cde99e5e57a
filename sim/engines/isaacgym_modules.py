"""Which Isaac Gym there is. No torch here: NVIDIA's package refuses to be imported after it."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import NamedTuple

from robot_configs.errors import Go1Error
from sim import isaacgym_shim


class IsaacGymModules(NamedTuple):
    """The two modules that the engine calls."""

    gymapi: ModuleType
    gymtorch: ModuleType


def import_isaacgym() -> IsaacGymModules:
    """NVIDIA's Isaac Gym, or the MuJoCo shim where GO1_ISAACGYM_SHIM=1 asks for it.

    Raises:
        Go1Error: neither is there.
    """
    if isaacgym_shim.is_asked_for():
        isaacgym_shim.install()
    try:
        # By name: what a type checker would find is a package of stubs that is no valid Python.
        gymapi = importlib.import_module("isaacgym.gymapi")
        gymtorch = importlib.import_module("isaacgym.gymtorch")
    except ModuleNotFoundError as error:
        if error.name != "isaacgym":
            raise
        raise Go1Error(
            "NVIDIA's Isaac Gym Preview 4 (Python package isaacgym, for Python 3.6 to 3.8)",
            "no such package in this Python",
            "Install it as docs/isaac_gym.md says, or run its API on MuJoCo: "
            f"set {isaacgym_shim.ENVIRONMENT_VARIABLE}=1.",
        ) from error
    return IsaacGymModules(gymapi, gymtorch)
