"""What the robot imports does import where only the robot's packages exist."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

ROOT = Path(__file__).resolve().parent.parent
RunOnRobot = Callable[[str], "CompletedProcess[str]"]


def robot_modules() -> list[str]:
    """The dotted names of all modules that a robot loads."""
    folders = ("cli", "deploy/onboard", "robot_configs")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names] + [
        "offline_data.log_schema",
        "policy.contract",
        "policy.bundle",
        "go1",
    ]


def test_every_module_of_the_robot_imports_there(run_on_robot: RunOnRobot) -> None:
    names = robot_modules()
    assert len(names) >= 12, "the folders of the robot's modules were not found"
    result = run_on_robot("\n".join(f"import {name}" for name in names) + "\nprint('imported')")
    assert (result.returncode, result.stdout.strip()) == (0, "imported"), result.stderr


@pytest.mark.parametrize("module", ["policy.graph", "sim.pretrain"])
def test_the_blockade_holds(run_on_robot: RunOnRobot, module: str) -> None:
    """These need torch, so they must fail here: otherwise the test above proves nothing."""
    result = run_on_robot(f"import {module}")
    assert result.returncode != 0
    assert "ModuleNotFoundError" in result.stderr
