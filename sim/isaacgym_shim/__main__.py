"""Runs a program that imports isaacgym, with MuJoCo in its place.

GO1_ISAACGYM_SHIM=1 python -m sim.isaacgym_shim PROGRAM.py [ARGUMENT ...]
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from robot_configs.errors import Go1Error
from sim.isaacgym_shim import install


def main() -> None:
    if len(sys.argv) < 2:
        raise Go1Error("a program to run", "none", "python -m sim.isaacgym_shim PROGRAM.py [ARGUMENT ...]")
    install()
    program = sys.argv[1]
    sys.argv = sys.argv[1:]
    sys.path.insert(0, str(Path(program).resolve().parent))
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
