"""`isaacgym.gymutil`: command line and configuration files of Isaac Gym's programs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from sim.isaacgym_shim.enumerations import SimType, UpAxis
from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError, refuse_name
from sim.isaacgym_shim.parameters import SimParams
from sim.isaacgym_shim.value_types import Vec3


def parse_device_str(device_str: str) -> tuple[str, int]:
    """Kind and number: "cpu" is ("cpu", 0), "cuda:1" is ("cuda", 1)."""
    kind, _, number = device_str.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdecimal())):
        raise IsaacGymShimError("cpu, cuda or cuda:NUMBER", repr(device_str), "Name a device like that.")
    return kind, int(number or 0)


def parse_arguments(
    description: str = "Isaac Gym Example",
    headless: bool = False,
    no_graphics: bool = False,
    custom_parameters: Sequence[Mapping[str, Any]] = (),
) -> argparse.Namespace:
    """Isaac Gym's own arguments and a program's; the defaults say CPU, for there is nothing else here.

    Args:
        custom_parameters: each with `name` and `type` or `action`, and perhaps `default` and `help`.
    """
    parser = argparse.ArgumentParser(description=description)
    if headless:
        parser.add_argument("--headless", action="store_true", help="open no window")
    if no_graphics:
        parser.add_argument("--nographics", action="store_true", help="no rendering at all")
    parser.add_argument("--sim_device", default="cpu", help="where physics is computed [%(default)s]")
    parser.add_argument(
        "--pipeline", choices=["cpu", "gpu"], default="cpu", help="where state tensors are [%(default)s]"
    )
    parser.add_argument("--graphics_device_id", type=int, default=0, help="of the renderer [%(default)s]")
    engine = parser.add_mutually_exclusive_group()
    engine.add_argument("--flex", action="store_true", help="FleX for physics")
    engine.add_argument("--physx", action="store_true", help="PhysX for physics (the default)")
    parser.add_argument("--num_threads", type=int, default=0, help="threads that step; 0: all cores [%(default)s]")
    parser.add_argument("--subscenes", type=int, default=0, help="of PhysX [%(default)s]")
    parser.add_argument("--slices", type=int, help="of environments")
    for parameter in custom_parameters:
        known = {key: parameter[key] for key in ("type", "action", "default", "help", "choices") if key in parameter}
        if "name" not in parameter or not {"type", "action"} & set(known):
            raise IsaacGymShimError("a name with a type or an action", f"{dict(parameter)}", "Complete the parameter.")
        parser.add_argument(parameter["name"], **known)
    options = parser.parse_args()
    options.sim_device_type, options.compute_device_id = parse_device_str(options.sim_device)
    options.use_gpu = options.sim_device_type == "cuda"
    options.use_gpu_pipeline = options.use_gpu and options.pipeline == "gpu"
    options.physics_engine = SimType.SIM_FLEX if options.flex else SimType.SIM_PHYSX
    if options.slices is None:
        options.slices = options.subscenes
    return options


def parse_sim_config(config: Mapping[str, Any], sim_params: SimParams) -> None:
    """Set simulation parameters from a nested mapping; an unknown name is an error."""
    for name, value in config.items():
        if name == "physx":
            for inner, setting in value.items():
                setattr(sim_params.physx, inner, setting)
        elif name == "flex":
            raise UnsupportedCallError("settings of FleX", "Leave them out: the shim has PhysX's interface only.")
        elif name == "gravity":
            sim_params.gravity = Vec3(*value)
        elif name == "up_axis":
            sim_params.up_axis = UpAxis(value)
        else:
            setattr(sim_params, name, value)


def __getattr__(name: str) -> NoReturn:
    refuse_name("gymutil", name)
