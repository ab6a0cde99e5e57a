"""Isaac Gym's Python API on MuJoCo: what our engine and legged_gym's base classes use of it, without a GPU.

`install()` makes these modules importable as `isaacgym`, and does so only where GO1_ISAACGYM_SHIM=1 asks for it: nobody
shall take a run on MuJoCo for one on PhysX. docs/isaac_gym.md says what is executed, what is refused, what differs.
"""

from __future__ import annotations

import os
import sys

from robot_configs.errors import Go1Error

ENVIRONMENT_VARIABLE = "GO1_ISAACGYM_SHIM"


def is_asked_for() -> bool:
    """Whether the environment asks for the shim."""
    return os.environ.get(ENVIRONMENT_VARIABLE) == "1"


def install() -> None:
    """Make `import isaacgym` and `from isaacgym import gymapi, ...` mean this package.

    Raises:
        Go1Error: the environment does not ask for it, or NVIDIA's Isaac Gym is already imported.
    """
    if not is_asked_for():
        found = f"{os.environ.get(ENVIRONMENT_VARIABLE)!r}"
        remedy = "Set it if MuJoCo shall stand in for Isaac Gym; results are then MuJoCo's."
        raise Go1Error(f"{ENVIRONMENT_VARIABLE}=1 in the environment", found, remedy)
    this = sys.modules[__name__]
    if sys.modules.get("isaacgym", this) is not this:
        remedy = "Start a new process: the two can not share one."
        raise Go1Error("no other isaacgym in this process", f"{sys.modules['isaacgym']}", remedy)
    # Late, so that asking `is_asked_for` loads neither torch nor MuJoCo.
    from sim.isaacgym_shim import gymapi, gymtorch, gymutil, terrain_utils, torch_utils

    sys.modules["isaacgym"] = this
    for module in (gymapi, gymtorch, gymutil, terrain_utils, torch_utils):
        sys.modules[f"isaacgym.{module.__name__.rsplit('.', 1)[1]}"] = module
