"""`import isaacgym` finds the shim only where it was asked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(*command: str, shim: str | None) -> "subprocess.CompletedProcess[str]":
    environment = {name: value for name, value in os.environ.items() if name != "GO1_ISAACGYM_SHIM"}
    if shim is not None:
        environment["GO1_ISAACGYM_SHIM"] = shim
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("shim", [None, "", "0", "yes"])
def test_it_is_not_there_unasked(shim):
    result = run("-c", "import sim.isaacgym_shim as shim; shim.install()", shim=shim)
    assert result.returncode != 0
    assert "expected GO1_ISAACGYM_SHIM=1 in the environment" in result.stderr


def test_a_program_runs_on_it(tmp_path):
    """With its own arguments, its own folder to import from, and every module of Isaac Gym by its usual name."""
    (tmp_path / "beside.py").write_text("WORD = 'beside'\n")
    program = tmp_path / "program.py"
    program.write_text(
        "import sys\nimport isaacgym\nfrom isaacgym import gymapi, gymtorch, gymutil, terrain_utils\n"
        "from isaacgym.torch_utils import *\nfrom beside import WORD\n"
        "print(gymapi.__name__, quat_mul.__module__, WORD, sys.argv[1:], __name__)\n"
    )
    result = run("-m", "sim.isaacgym_shim", str(program), "--task", "x", shim="1")
    assert result.returncode == 0, result.stderr
    expected = "sim.isaacgym_shim.gymapi sim.isaacgym_shim.torch_utils beside ['--task', 'x'] __main__\n"
    assert result.stdout == expected


def test_a_real_one_is_not_covered_up():
    program = (
        "import sys, types; sys.modules['isaacgym'] = types.ModuleType('isaacgym')\n"
        "import sim.isaacgym_shim as shim; shim.install()"
    )
    result = run("-c", program, shim="1")
    assert "expected no other isaacgym in this process" in result.stderr


def test_without_either_the_engine_says_what_to_do():
    result = run("-c", "from sim.engines.isaacgym_modules import import_isaacgym; import_isaacgym()", shim=None)
    assert "expected NVIDIA's Isaac Gym Preview 4" in result.stderr
    assert "set GO1_ISAACGYM_SHIM=1" in result.stderr


def test_asking_loads_neither_torch_nor_mujoco():
    program = "import sys, sim.isaacgym_shim as s; s.is_asked_for(); print({'torch', 'mujoco'} & set(sys.modules))"
    assert run("-c", program, shim="1").stdout.strip() == "set()"
