"""What every test shares: one thread a process, repeatable property tests, and a Python such as the robot has."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# Before any numeric library is imported: they read these once. `make test` sets them too; this is for a bare `pytest`.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# No deadline: a loaded machine is no failure. Derandomized: a red test stays red when it is run again.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

# Runs before the code under test. Our own modules may import the standard library, each other and what setup.py asks
# for on the robot; what the robot lacks is missing for everybody, so that a try-import falls into its other branch.
ROBOT_PRELUDE = """
import builtins, sys

OURS = {"go1", "cli", "sim", "deploy", "offline_data", "policy", "robot_configs"}
ON_THE_ROBOT = {"numpy", "onnxruntime", "yaml", "mcap"}
ABSENT = (
    "torch", "mujoco", "mjbatch", "h5py", "tensordict", "safetensors", "rsl_rl", "onnx", "onnxscript", "scipy", "rich",
    "typer", "click", "matplotlib", "PIL", "unitree_legged_sdk",
)
for absent in ABSENT:
    sys.modules[absent] = None
ALLOWED = OURS | ON_THE_ROBOT | set(sys.stdlib_module_names)
original_import = builtins.__import__

def robot_import(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "").split(".")[0]
    top = name.split(".")[0]
    if importer in OURS and level == 0 and top not in ALLOWED:
        raise ModuleNotFoundError(f"No module named {top!r} on the robot", name=top)
    return original_import(name, globals, locals, fromlist, level)

builtins.__import__ = robot_import
"""

# `make test-robot` sets it: a Python 3.8 with the robot's own packages, in which nothing has to be hidden.
ROBOT_PYTHON = "GO1_ROBOT_PYTHON"

RunOnRobot = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_on_robot() -> RunOnRobot:
    """Runs source code in a fresh Python that has only what the robot has."""
    python = os.environ.get(ROBOT_PYTHON)
    interpreter, prelude = (python, "import sys\n") if python else (sys.executable, ROBOT_PRELUDE)

    def run(source: str) -> "subprocess.CompletedProcess[str]":
        command = [interpreter, "-c", prelude + source]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    return run
