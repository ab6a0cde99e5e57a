"""What the robot imports needs no Python newer than 3.8: syntax and standard library.

vermin reads both, but neither annotations nor `Alias = dict[str, int]`: what is evaluated of them is looked for here.
"""

import ast
import builtins
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_layering import MODULES, reachable

ROOT = Path(__file__).resolve().parent.parent


def robot_sources() -> list[Path]:
    """The robot's folders, the command line, and whatever of the other storeys they reach by their imports."""
    start = [name for name in MODULES if name.startswith("deploy.onboard")]
    reached = {module for name in start for module in reachable(name, MODULES)}
    reached |= {name for name in MODULES if name.split(".")[0] in ("cli", "go1", "robot_configs")}
    packages = set(ROOT.glob("*/__init__.py"))
    return sorted({MODULES[name] for name in reached} | packages | {ROOT / "setup.py"})


ROBOT_SOURCES = robot_sources()


def vermin(*paths: Path) -> "subprocess.CompletedProcess[str]":
    """Exit status 0 when every path runs on Python 3.8, with the offending lines printed otherwise."""
    program = Path(sys.executable).parent / "vermin"
    command = [str(program), "--target=3.8-", "--no-tips", "--violations", *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


class WithoutAnnotations(ast.NodeTransformer):
    """Leaves what is evaluated when a module with postponed annotations is imported and run."""

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)


def evaluated_generics(source: str) -> list[str]:
    """Subscripted built-in types (Python 3.9) and unions with a bar (3.10), postponed annotations left out."""

    def is_type(node: ast.expr) -> bool:
        if isinstance(node, ast.Constant):
            return node.value is None
        return isinstance(node, ast.Name) and isinstance(getattr(builtins, node.id, None), type)

    tree: ast.AST = ast.parse(source)
    if "from __future__ import annotations" in source:
        tree = WithoutAnnotations().visit(tree)
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if (isinstance(node, ast.Subscript) and is_type(node.value))
        or (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, ast.BitOr)
            and (is_type(node.left) or is_type(node.right))
        )
    ]


def test_the_robots_sources_run_on_python_3_8() -> None:
    names = {str(path.relative_to(ROOT)) for path in ROBOT_SOURCES}
    expected = {"deploy/onboard/runner.py", "policy/bundle.py", "offline_data/log_schema.py", "cli/main.py", "go1.py"}
    assert expected <= names, "the robot's sources were not found"
    assert not [name for name in names if name.startswith("sim/") and name != "sim/__init__.py"]
    result = vermin(*ROBOT_SOURCES)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", ROBOT_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_robots_sources_evaluate_no_newer_generics(path: Path) -> None:
    assert evaluated_generics(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "newer",
    [
        "match value:\n    case 1:\n        pass\n",
        "merged = {'a': 1} | {'b': 2}\n",
        "import math\nmath.lcm(2, 3)\n",
        "from dataclasses import dataclass\n@dataclass(frozen=True, slots=True)\nclass A:\n    x: int\n",
        "from __future__ import annotations\nfrom typing import TypeAlias\n",
        "with (open('a') as a, open('b') as b):\n    pass\n",
    ],
)
def test_newer_python_is_seen(tmp_path: Path, newer: str) -> None:
    source = tmp_path / "newer.py"
    source.write_text(newer, encoding="utf-8")
    result = vermin(source)
    assert result.returncode != 0
    assert "newer.py" in result.stdout, result.stdout + result.stderr


@pytest.mark.parametrize(
    "newer",
    [
        "alias = dict[str, int]",
        "alias = int | None",
        "def f(x: dict[str, int]) -> None: ...",
        "from __future__ import annotations\nx: int = cast(list[int], y)",
    ],
)
def test_newer_evaluated_generics_are_seen(newer: str) -> None:
    assert len(evaluated_generics(newer)) == 1


def test_postponed_annotations_are_allowed(tmp_path: Path) -> None:
    text = (
        "from __future__ import annotations\nflags = 1 | 2\ndef f(x: int | None) -> list[int]:\n    y: list[int] = []\n"
    )
    source = tmp_path / "postponed.py"
    source.write_text(text, encoding="utf-8")
    result = vermin(source)
    assert result.returncode == 0, result.stdout
    assert evaluated_generics(text) == []
