"""A mutant's trial: a child forked from a process that holds the libraries imports the changed module and runs tests.

    parent: imports torch, numpy, onnx, the tests' libraries once
      ├─ fork: our packages forgotten, one module imported from changed source, pytest; one line says who noticed
      └─ fork: ...

Nothing is written to the working tree and no interpreter starts. A first child runs the unchanged module under
coverage: it tells how long each test takes and which lines it reaches. After that, the quickest of the tests that reach
the changed line come first; the others follow, so that no mutant survives a test that was not run.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import NoReturn, Optional

import coverage
import pytest

from benchmarks.mutant_sources import ROOT, Mutant, unchanged

QUIET = ("-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov")
"""What the children need not do: explain failures, remember anything, share work."""
STOREYS = ("robot_configs", "policy", "offline_data", "deploy", "sim", "cli", "tests", "conftest")
"""From the lowest: an import only ever goes to the left."""
SPARE_S = 20
"""A mutant may compute for so long and three times what its tests took, or wait for so long and ten times that; after
that it hangs, and counts as noticed."""
ADDRESS_SPACE_BYTES = 24 * 2**30
"""A mutant that allocates for ever ends in a MemoryError; libraries reserve several gigabytes that they never touch."""


@dataclass(frozen=True)
class Trial:
    """A child at work on a mutant."""

    mutant: Mutant
    process: int
    report: Path

    def noticed_by(self, status: int) -> Optional[str]:
        """The test that failed, or how else the child ended (its wait status is given); None if all tests passed."""
        failed = self.report.read_text(encoding="utf-8")
        self.report.unlink()
        if status == 0:
            return None
        # Without a name the tests could not even be collected: the mutant breaks the import.
        return failed or (f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "import")


@dataclass
class Baseline:
    """What the tests of an unchanged module take and reach.

    Attributes:
        seconds: by test, of its call and fixtures.
        tests_of_line: which tests execute a line of the module.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    tests_of_line: dict[int, set[str]] = field(default_factory=dict)

    def rank(self, test: str, line_number: int) -> tuple[bool, float]:
        """Its place in the order for a change of this line: lowest first."""
        # A statement of several lines is known by those on which something is executed.
        known = [line for line in self.tests_of_line if line <= line_number]
        reaches = bool(known) and test in self.tests_of_line[max(known)]
        return not reaches, self.seconds.get(test, 0.0)


class _Order:
    """Pytest plugin: sorts the tests for one mutant, and writes down which one failed."""

    def __init__(self, baseline: Baseline, line_number: int, report: Path) -> None:
        self._baseline, self._line_number, self._report = baseline, line_number, report

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        # Property tests last: when they fail they search for the smallest example.
        def place(item: pytest.Item) -> tuple[bool, bool, float]:
            return item.get_closest_marker("hypothesis") is not None, *self._baseline.rank(
                item.nodeid, self._line_number
            )

        items.sort(key=place)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._report.write_text(report.nodeid, encoding="utf-8")


class _Survey:
    """Pytest plugin: takes the tests' times, and tells coverage whose lines it sees."""

    def __init__(self, lines: coverage.Coverage) -> None:
        self._lines = lines
        self.seconds: dict[str, float] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._lines.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration


class _MutantFinder(importlib.abc.MetaPathFinder):
    """Imports one module from changed source, everything else as ever."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = mutant.module.removesuffix(".py").replace("/", ".")
        self._loader = _MutantLoader(self._name, str(ROOT / mutant.module), mutant.source)

    def find_spec(
        self, fullname: str, path: object, target: Optional[ModuleType] = None
    ) -> Optional[importlib.machinery.ModuleSpec]:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._loader.path, loader=self._loader)


class _MutantLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew: the cached bytecode is that of the original."""
        return compile(self._source, self.path, "exec", dont_inherit=True)


def survey(module: str, tests: Sequence[str]) -> Baseline:
    """Run the tests on the unchanged module.

    Raises:
        SystemExit: one fails, so that nothing would be proved by mutants.
    """
    report = _new_report()
    child = os.fork()
    if child == 0:
        _survey_and_exit(module, tests, report)
    _, status = os.waitpid(child, 0)
    text = report.read_text(encoding="utf-8")
    report.unlink()
    if status != 0:
        raise SystemExit(f"expected the tests of {module} to pass without any change; they fail: {' '.join(tests)}")
    found = json.loads(text)
    return Baseline(found["seconds"], {int(line): set(names) for line, names in found["tests_of_line"].items()})


def start(mutant: Mutant, tests: Sequence[str], baseline: Baseline) -> Trial:
    """Fork a child that tries the mutant; wait for its process, then ask `Trial.noticed_by`."""
    report = _new_report()
    child = os.fork()
    if child == 0:
        _try_and_exit(mutant, tests, baseline, report)
    return Trial(mutant, child, report)


def _new_report() -> Path:
    handle, name = tempfile.mkstemp(prefix="mutant_")
    os.close(handle)
    return Path(name)


def _survey_and_exit(module: str, tests: Sequence[str], report: Path) -> NoReturn:
    lines = coverage.Coverage(data_file=None, include=[str(ROOT / module)], config_file=False)
    _become_child(unchanged(module))
    lines.start()
    survey_plugin = _Survey(lines)
    status = pytest.main([*QUIET, *tests, "-m", "not slow"], plugins=[survey_plugin])
    lines.stop()
    contexts = lines.get_data().contexts_by_lineno(str(ROOT / module))
    found = {"seconds": survey_plugin.seconds, "tests_of_line": contexts}
    report.write_text(json.dumps(found), encoding="utf-8")
    os._exit(status)


def _try_and_exit(mutant: Mutant, tests: Sequence[str], baseline: Baseline, report: Path) -> NoReturn:
    tests_s = sum(baseline.seconds.values())
    computing_s = SPARE_S + round(3.0 * tests_s)
    resource.setrlimit(resource.RLIMIT_CPU, (computing_s, computing_s))
    _end_waiting_after(SPARE_S + round(10.0 * tests_s))
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    _become_child(mutant)
    order = _Order(baseline, mutant.line_number, report)
    os._exit(min(1, pytest.main([*QUIET, *tests, "-m", "not slow"], plugins=[order])))


def _end_waiting_after(limit_s: int) -> None:
    """End this process by SIGALRM when it has waited for so long: for the other end of a pipe, say.

    Time in which it was ready to run and other processes had the cores is not its own, and does not count.
    """
    started_s = time.monotonic() - _kept_waiting_s()

    def look(number: int, frame: Optional[FrameType]) -> None:
        left_s = limit_s - (time.monotonic() - _kept_waiting_s() - started_s)
        if left_s <= 0.0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGALRM)
        signal.alarm(1 + int(left_s))

    signal.signal(signal.SIGALRM, look)
    signal.alarm(limit_s)


def _kept_waiting_s() -> float:
    """How long this process has been ready to run without a core to run on (proc(5): schedstat) [s]."""
    return 1e-9 * int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1])


def _become_child(mutant: Mutant) -> None:
    """Silence; and whatever may have imported the module that changes is imported anew."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    changing = STOREYS[STOREYS.index(mutant.module.split("/")[0]) :]
    for name in [name for name in sys.modules if name.split(".")[0] in changing]:
        del sys.modules[name]
    sys.meta_path.insert(0, _MutantFinder(mutant))
