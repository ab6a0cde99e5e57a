"""Holds the storeys of docs/architecture.md: an import only ever goes down, however late it is made."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
STOREYS = ("go1", "cli", "sim", "deploy", "offline_data", "policy", "robot_configs")
FORBIDDEN_ON_THE_ROBOT = {
    "torch",
    "mujoco",
    "mjbatch",
    "h5py",
    "tensordict",
    "safetensors",
    "rsl_rl",
    "onnx",
    "matplotlib",
    "rich",
}


class Import(NamedTuple):
    """One module named by one import statement."""

    line: int
    module: str


def imports_of(source: str, known_modules: frozenset[str] = frozenset()) -> Iterator[Import]:
    """Every module that the source imports at any depth, `from package import module` resolved to the module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield Import(node.lineno, base)
            for alias in node.names:
                if f"{base}.{alias.name}" in known_modules:
                    yield Import(node.lineno, f"{base}.{alias.name}")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "importlib.import_module",
            "import_module",
            "__import__",
        ):
            argument = node.args[0]
            yield Import(node.lineno, str(argument.value) if isinstance(argument, ast.Constant) else "<computed>")


def product_modules() -> dict[str, Path]:
    """Every module of the product by its dotted name."""
    modules = {"go1": ROOT / "go1.py"}
    for storey in STOREYS[1:]:
        for path in sorted((ROOT / storey).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


def violations(module: str, source: str, known_modules: frozenset[str] = frozenset()) -> list[str]:
    """What the module's imports break, one line each."""
    found = []
    here = STOREYS.index(module.split(".")[0])
    for line, imported in imports_of(source, known_modules):
        top = imported.split(".")[0]
        if imported.startswith(".") or imported == "<computed>":
            found.append(f"{module}:{line} imports {imported!r}: only absolute, literal names can be checked")
        elif top in ("tests", "benchmarks"):
            found.append(f"{module}:{line} imports {imported}: product code stands without its tests")
        elif top in STOREYS and STOREYS.index(top) < here:
            found.append(f"{module}:{line} imports {imported}: up from {STOREYS[here]}")
        elif module.startswith("deploy.onboard") and imported.startswith("deploy.host"):
            found.append(f"{module}:{line} imports {imported}: the robot does not carry the host's part")
    return found


def reachable(start: str, modules: dict[str, Path]) -> dict[str, set[str]]:
    """For every module that `start` reaches through product modules (itself included): the names it imports."""
    known = frozenset(modules)
    reached: dict[str, set[str]] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        if module in reached:
            continue
        reached[module] = {imported.module for imported in imports_of(modules[module].read_text("utf-8"), known)}
        # A submodule's import runs its packages' __init__ as well.
        ancestors = {name.rsplit(".", depth)[0] for name in reached[module] for depth in range(1, name.count(".") + 1)}
        waiting.extend((reached[module] | ancestors) & known)
    return reached


MODULES = product_modules()


def test_the_storeys_are_all_there() -> None:
    """Guards the two tests below against passing because they looked at nothing."""
    assert {name.split(".")[0] for name in MODULES} == set(STOREYS)
    assert sum(name.startswith("deploy.onboard.") for name in MODULES) >= 5


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_only_go_down(module: str) -> None:
    assert violations(module, MODULES[module].read_text("utf-8"), frozenset(MODULES)) == []


@pytest.mark.parametrize("module", sorted(name for name in MODULES if name.startswith("deploy.onboard")))
def test_onboard_reaches_no_training_library(module: str) -> None:
    offenders = {
        f"{reached} imports {name}"
        for reached, names in reachable(module, MODULES).items()
        for name in names
        if name.split(".")[0] in FORBIDDEN_ON_THE_ROBOT
    }
    assert offenders == set()


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("policy.contract", "import sim.pretrain"),
        ("robot_configs.robot", "from policy import bundle"),
        ("offline_data.ingest", "def late():\n    from deploy.onboard import wire"),
        ("sim.demo", "import importlib\nimportlib.import_module('go1')"),
        ("sim.demo", "import importlib\nimportlib.import_module(name)"),
        ("sim.demo", "from tests.conftest import settings"),
        ("sim.demo", "from . import evaluate"),
        ("deploy.onboard.runner", "from deploy.host import finetune"),
    ],
)
def test_a_climbing_import_is_seen(module: str, source: str) -> None:
    known = frozenset({"policy.bundle", "deploy.onboard.wire", "deploy.host.finetune", "sim.evaluate"})
    assert len(violations(module, source, known)) >= 1


def test_a_level_or_falling_import_is_allowed() -> None:
    source = "import torch\nfrom sim.twin import server\nfrom robot_configs.robot import load_robot\n"
    assert violations("sim.demo", source) == []


def test_a_forbidden_library_behind_two_modules_is_seen(tmp_path: Path) -> None:
    for name, source in (("a", "from b import x"), ("b", "def late():\n    import c"), ("c", "import torch")):
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    reached = reachable("a", {name: tmp_path / f"{name}.py" for name in "abc"})
    assert "torch" in reached["c"]
