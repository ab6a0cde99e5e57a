"""MuJoCo Warp and Warp: whether they are installed, and whether the device is there."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import NamedTuple

import torch

from robot_configs.errors import Go1Error


class MujocoWarpError(Go1Error):
    """MuJoCo Warp can not do what was asked."""


class MujocoWarpModules(NamedTuple):
    """The two modules that the engine calls."""

    mujoco_warp: ModuleType
    warp: ModuleType


def import_mujoco_warp(device: str) -> MujocoWarpModules:
    """MuJoCo Warp and Warp, for a device that both Warp and torch have.

    Raises:
        MujocoWarpError: they are not installed, or the device is not there.
    """
    try:
        # By name: they are an extra, and the type checker should pass without them.
        modules = MujocoWarpModules(importlib.import_module("mujoco_warp"), importlib.import_module("warp"))
    except ModuleNotFoundError as error:
        if error.name not in ("mujoco_warp", "warp"):
            raise
        raise MujocoWarpError(
            "the packages mujoco-warp and warp-lang",
            f"no module {error.name} in this Python",
            "Install them: pip install --constraint constraints.txt '.[warp]'.",
        ) from error
    _require(device, modules.warp)
    if device == "cpu":
        _compile_soon(modules.warp)
    return modules


def _compile_soon(warp: ModuleType) -> None:
    """Less optimised than Warp's default for CPUs, with which compiling takes several times as long as our tests."""
    warp.config.optimization_level = 1
    warp.config.cpu_compiler_flags = "-march=native"


def _require(device: str, warp: ModuleType) -> None:
    there = ["cpu"] + [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    for_warp = {str(one) for one in warp.get_devices()}
    both = [name for name in there if name in for_warp]
    if device not in both:
        raise MujocoWarpError(
            f"a device that Warp and torch both compute on: {', '.join(both)}",
            device,
            "Name one of them; a GPU needs NVIDIA's driver and a torch build with CUDA.",
        )
