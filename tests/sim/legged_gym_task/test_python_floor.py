"""What runs beside Isaac Gym needs no newer Python than Isaac Gym has, and none of the libraries that need one."""

import pytest

from tests.test_layering import MODULES, reachable
from tests.test_python_floor import evaluated_generics, vermin

# Those that start in Isaac Gym's Python.
STARTS = ("sim.engines.isaacgym_process", "sim.legged_gym_task.registration", "sim.legged_gym_task.__main__")
# Imported by name and only where the shim is asked for, which needs MuJoCo and a newer Python; mujoco likewise.
BEHIND_A_CHOICE = ("sim.isaacgym_shim.", "sim.engines.mujoco", "sim.engines.process_engine")


def modules_there() -> list[str]:
    """Modules that Isaac Gym's Python imports."""
    known = {name: path for name, path in MODULES.items() if not name.startswith(BEHIND_A_CHOICE)}
    return sorted({module for start in STARTS for module in reachable(start, known)})


def test_the_sources_run_on_python_3_8() -> None:
    names = modules_there()
    assert {"sim.velocity_task", "sim.engines.isaacgym", "policy.graph", "sim.isaacgym_shim"} <= set(names)
    result = vermin(*(MODULES[name] for name in names))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", modules_there())
def test_nothing_newer_is_evaluated(name: str) -> None:
    assert evaluated_generics(MODULES[name].read_text("utf-8")) == []


def test_neither_mujoco_nor_new_libraries_are_needed() -> None:
    known = {name: path for name, path in MODULES.items() if not name.startswith(BEHIND_A_CHOICE)}
    imported = {name.split(".")[0] for start in STARTS for names in reachable(start, known).values() for name in names}
    assert not imported & {"mujoco", "mjbatch", "safetensors", "onnx", "h5py", "rich", "matplotlib"}
