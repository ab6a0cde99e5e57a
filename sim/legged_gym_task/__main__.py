"""Runs one of legged_gym's scripts with the Go1's task in its registry.

python -m sim.legged_gym_task legged_gym/scripts/train.py --task go1_velocity --headless
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from robot_configs.errors import Go1Error
from sim.engines.isaacgym_modules import import_isaacgym


def main() -> None:
    if len(sys.argv) < 2:
        raise Go1Error("a script of legged_gym", "none", "python -m sim.legged_gym_task SCRIPT.py --task go1_velocity")
    import_isaacgym()  # before torch, which the registration imports
    from sim.legged_gym_task.registration import register_with_legged_gym

    register_with_legged_gym()
    script = sys.argv[1]
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(script).resolve().parent))
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
