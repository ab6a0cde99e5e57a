"""Mutation testing of the code that stands between a policy and the motors: `python -m benchmarks.mutants`.

Every operator of Cosmic Ray that applies (`OPERATORS`) changes one place of one module; the tests of that module must
notice. Instead of a file being rewritten and an interpreter started for each mutant, a child is forked from a process
that has imported what does not change, gets the mutated source through an import hook and runs pytest: a fraction of a
second of computing a mutant, and the working tree stays as it is.

A mutant that no test notices must stand in equivalent_mutants.yaml, with the argument why it does the same; one that
does not stand there, and one that stands there and is noticed, is an error. The exit status says which it was.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import Optional, Sequence

import cosmic_ray.plugins
import pytest
import yaml
from cosmic_ray.ast import get_ast

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = Path(__file__).resolve().with_name("equivalent_mutants.yaml")
QUIET = ("-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov")
"""What the children need not do: explain failures, remember anything, share work."""
TIME_LIMIT_S = 60.0
"""A mutant that runs so long hangs, and counts as noticed."""

ONBOARD = "tests/deploy/onboard/test_"
TESTS: dict[str, tuple[str, ...]] = {
    "deploy/onboard/gate.py": ("gate",),
    "deploy/onboard/reasons.py": ("reasons",),
    "deploy/onboard/target.py": ("gate", "modes"),
    "deploy/onboard/target_limits.py": ("target_limits",),
    "deploy/onboard/tick_clock.py": ("tick_clock",),
    "deploy/onboard/state_checks.py": ("state_checks", "gate"),
    "deploy/onboard/plausibility.py": ("plausibility",),
    "deploy/onboard/modes.py": ("modes",),
    "deploy/onboard/packet_layout.py": ("wire",),
    "deploy/onboard/wire.py": ("wire",),
}
"""Which of the tests/deploy/onboard/test_*.py must notice a change of a module, in the order they are run."""

_ARITHMETIC = {"Add", "Sub", "Mul", "Div"}
_BITS = {"BitAnd", "BitOr", "BitXor", "LShift", "RShift"}
_IDENTITY = {"Is", "IsNot"}


def _is_sensible(name: str) -> bool:
    """Leave out what cannot run (shifting a float), what only repeats (`is` for `==`) and what needs settings."""
    kind, _, change = name.removeprefix("core/").partition("_")
    before, _, after = change.partition("_")
    if kind == "ReplaceBinaryOperator":
        return (before in _BITS and after in _BITS) or (before not in _BITS and after in _ARITHMETIC)
    if kind == "ReplaceComparisonOperator":
        return (before in _IDENTITY) == (after in _IDENTITY)
    return kind not in ("VariableInserter", "VariableReplacer")


OPERATORS = tuple(name for name in sorted(cosmic_ray.plugins.operator_names()) if _is_sensible(name))


@dataclass(frozen=True)
class Mutant:
    """One changed place.

    Attributes:
        module: path from the repository's root.
        line_number: of the change.
        before, after: that line, stripped.
        source: the whole changed module.
    """

    module: str
    operator: str
    line_number: int
    before: str
    after: str
    source: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What stays the same when lines move."""
        return self.module, self.before, self.after

    def __str__(self) -> str:
        return f"{self.module}:{self.line_number} {self.operator}\n    - {self.before}\n    + {self.after}"


def mutants_of(module: str) -> Iterator[Mutant]:
    """Every mutant of a module; where two operators give the same one it counts once."""
    source = (ROOT / module).read_text(encoding="utf-8")
    operators = [(name, cosmic_ray.plugins.get_operator(name)()) for name in OPERATORS]
    seen = {source}
    for node in _nodes(get_ast(source)):
        for name, operator in operators:
            for index, _ in enumerate(operator.mutation_positions(node)):
                mutated = _spliced(source, node, operator, index)
                if mutated not in seen:
                    seen.add(mutated)
                    yield _described(module, name, source, mutated)


def _nodes(node: object) -> Iterator[object]:
    yield node
    for child in getattr(node, "children", ()):
        yield from _nodes(child)


def _spliced(source: str, node: object, operator: object, index: int) -> str:
    """The source with one node replaced by what the operator makes of it."""
    # A node knows its parent, and so the whole module: only what is below it is copied.
    clone = copy.deepcopy(node, {id(node.parent): node.parent})  # type: ignore[attr-defined]
    changed = operator.mutate(clone, index)  # type: ignore[attr-defined]
    text = "" if changed is None else changed.get_code()
    lines = source.splitlines(keepends=True)
    first_line, first_column = node.get_start_pos_of_prefix()  # type: ignore[attr-defined]
    last_line, last_column = node.end_pos  # type: ignore[attr-defined]
    head = "".join(lines[: first_line - 1]) + lines[first_line - 1][:first_column]
    last = lines[last_line - 1] if last_line <= len(lines) else ""
    return head + text + last[last_column:] + "".join(lines[last_line:])


def _described(module: str, operator: str, source: str, mutated: str) -> Mutant:
    before, after = source.splitlines(), mutated.splitlines()
    common = min(len(before), len(after))
    number = next((i for i in range(common) if before[i] != after[i]), common - 1)
    return Mutant(module, operator, number + 1, before[number].strip(), after[number].strip(), mutated)


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


def survives(mutant: Mutant) -> bool:
    """Whether the module's tests pass in spite of the change."""
    child = os.fork()
    if child == 0:
        _run_tests_and_exit(mutant)
    deadline_s = time.monotonic() + TIME_LIMIT_S
    while time.monotonic() < deadline_s:
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            return status == 0
        time.sleep(0.005)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def _run_tests_and_exit(mutant: Mutant) -> None:
    os.setpgid(0, 0)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    # Everything that may have imported the changed module is imported anew; the robot's facts and the libraries stay.
    for name in [name for name in sys.modules if name.split(".")[0] in ("deploy", "tests", "conftest")]:
        del sys.modules[name]
    sys.meta_path.insert(0, _MutantFinder(mutant))
    files = [f"{ONBOARD}{name}.py" for name in TESTS[mutant.module]]
    # Property tests last: on a failure they would search for the smallest example.
    status = pytest.main([*QUIET, *files, "-m", "not hypothesis and not slow"])
    if status == pytest.ExitCode.OK:
        status = pytest.main([*QUIET, *files, "-m", "hypothesis and not slow"])
    os._exit(0 if status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED) else 1)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the mutants of the modules named, or of all; 0 if none survives that is not argued for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=list(TESTS), help=f"of {', '.join(TESTS)}")
    parser.add_argument("--lines", help="only mutants of lines FIRST-LAST")
    chosen = parser.parse_args(arguments)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    # Collecting once imports every library that the children then find in memory.
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*QUIET, "--collect-only", *(f"{ONBOARD}{name}.py" for names in TESTS.values() for name in names)])
    gc.freeze()
    first, last = (int(end) for end in chosen.lines.split("-")) if chosen.lines else (0, sys.maxsize)
    return _report({module: _judge(module, first, last) for module in chosen.modules}, complete=not chosen.lines)


def _judge(module: str, first_line: int, last_line: int) -> tuple[int, list[Mutant]]:
    """The number of mutants, and those that no test noticed."""
    source = (ROOT / module).read_text(encoding="utf-8")
    if not survives(Mutant(module, "none", 0, "", "", source)):
        raise SystemExit(f"expected the tests of {module} to pass without any change; they fail. Run them.")
    mutants = [mutant for mutant in mutants_of(module) if first_line <= mutant.line_number <= last_line]
    started_s = time.monotonic()
    survivors = []
    for number, mutant in enumerate(mutants, 1):
        if survives(mutant):
            survivors.append(mutant)
            print(f"\rnot noticed: {mutant}", flush=True)
        print(f"\r{module} {number}/{len(mutants)} {time.monotonic() - started_s:.0f} s", end="", flush=True)
    print()
    return len(mutants), survivors


def _report(outcome: dict[str, tuple[int, list[Mutant]]], complete: bool) -> int:
    entries = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8")) if EQUIVALENT.is_file() else []
    argued = {(entry["module"], entry["before"], entry["after"]) for entry in entries}
    unnoticed = {mutant.key for _, survivors in outcome.values() for mutant in survivors}
    print("\n| module | mutants | noticed | equivalent | survivors |\n|---|---|---|---|---|")
    failures = 0
    for module, (total, survivors) in outcome.items():
        equivalent = sum(mutant.key in argued for mutant in survivors)
        failures += len(survivors) - equivalent
        print(f"| {module} | {total} | {total - len(survivors)} | {equivalent} | {len(survivors) - equivalent} |")
    for key in sorted(argued - unnoticed) if complete else ():
        if key[0] in outcome:
            failures += 1
            print(f"argued to be equivalent, but noticed or gone: {' | '.join(key)}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
