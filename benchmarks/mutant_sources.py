"""The changed sources of a module: every operator of Cosmic Ray that applies, at every place.

Operators: all of Cosmic Ray's for numbers, comparisons, `and`/`or`/`not`, signs, `True`/`False`, loops, decorators and
exceptions; + - * / for each other, bit operators for each other. Left out is what cannot run (shifting a float), what
only repeats (`is` for `==`) and what needs settings.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cosmic_ray.plugins
from cosmic_ray.ast import get_ast

ROOT = Path(__file__).resolve().parent.parent

_ARITHMETIC = {"Add", "Sub", "Mul", "Div"}
_BITS = {"BitAnd", "BitOr", "BitXor", "LShift", "RShift"}
_IDENTITY = {"Is", "IsNot"}


def _is_sensible(name: str) -> bool:
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

    @property
    def digest(self) -> str:
        """SHA-256 of the changed source, in hexadecimal: no other mutant of any version of the module has it."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.module}:{self.line_number} {self.operator}\n    - {self.before}\n    + {self.after}"


def unchanged(module: str) -> Mutant:
    """The module as it is: the mutant that every test must pass."""
    return Mutant(module, "none", 0, "", "", (ROOT / module).read_text(encoding="utf-8"))


def mutants_of(module: str) -> list[Mutant]:
    """Every mutant of a module; where two operators give the same one it counts once.

    In the order of their digests: the first n are a sample that prefers no part of the module.
    """
    source = unchanged(module).source
    operators = [(name, cosmic_ray.plugins.get_operator(name)()) for name in OPERATORS]
    mutants: dict[str, Mutant] = {}
    for node in _nodes(get_ast(source)):
        for name, operator in operators:
            for index, _ in enumerate(operator.mutation_positions(node)):
                mutated = _spliced(source, node, operator, index)
                if mutated != source and mutated not in mutants:
                    mutants[mutated] = _described(module, name, source, mutated)
    return sorted(mutants.values(), key=lambda mutant: mutant.digest)


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
