"""A pytest plugin for `make test-old-onboard`: leaves out, and names, the test files that this Python cannot import.

    python -m pytest -p tests.old_onboard tests

The lane's Python has the robot's old numpy and onnxruntime and nothing for training. Which files can run there follows
from their imports, the modules of the project they reach included, so a new test of the robot's code joins by itself.
"""

from __future__ import annotations

import ast
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import FrozenSet, Iterator, List, Optional, Set

import numpy
import onnxruntime
import pytest

ROOT = Path(__file__).resolve().parent.parent
REQUIRED = ("test_wire.py", "test_gate.py", "test_pilot.py", "test_control_loop.py", "test_recorder.py")
"""Without these the lane would show nothing: leaving one out is an error."""

_left_out: Set[str] = set()


@lru_cache(maxsize=None)
def missing_imports(path: Path) -> FrozenSet[str]:
    """Packages that importing the file would ask for and that are not installed."""
    missing: FrozenSet[str] = frozenset()
    for name in _imported_at_load(path):
        inside = _project_file(name)
        if inside is not None:
            missing |= missing_imports(inside)
        elif importlib.util.find_spec(name.split(".")[0]) is None:
            missing |= {name.split(".")[0]}
    return missing


def _imported_at_load(path: Path) -> List[str]:
    """Names of the modules that top-level statements import; `from a import b` gives both `a` and `a.b`."""
    names: List[str] = []
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _project_file(module: str) -> Optional[Path]:
    """The project's file of a dotted name; for a name inside a module, that module's file."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:length])
        for candidate in (base.with_suffix(".py"), base / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def pytest_ignore_collect(collection_path: Path) -> Optional[bool]:
    """Leave a file out, or a folder by its conftest.py, if something that it imports is not there."""
    imports_of = collection_path / "conftest.py" if collection_path.is_dir() else collection_path
    if imports_of.suffix != ".py" or not imports_of.is_file() or not missing_imports(imports_of):
        return None
    if collection_path.name in REQUIRED:
        needed = ", ".join(sorted(missing_imports(collection_path)))
        raise pytest.UsageError(f"{collection_path} must run on the robot's old software, yet it imports {needed}")
    _left_out.add(str(collection_path.relative_to(ROOT / "tests")))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Skip a test whose fixture imports what is not there, in a file that does run."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or importlib.util.find_spec(error.name.split(".")[0]) is not None:
            raise
        _left_out.add(item.nodeid.replace("tests/", "", 1))
        pytest.skip(f"needs {error.name}")


def pytest_report_header() -> str:
    """What the lane is about."""
    return f"old onboard software: numpy {numpy.__version__}, onnxruntime {onnxruntime.__version__}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not run."""
    terminalreporter.write_line("left out, because they need training software:")
    for name in sorted(_left_out):
        terminalreporter.write_line(f"  {name}")
