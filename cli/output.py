"""What commands print: results for people or programs, and progress."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from typing import Any, Callable, Dict, Iterator, Mapping


def add_json(parser: argparse.ArgumentParser) -> None:
    """The choice that `print_result` obeys."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def print_result(content: Mapping[str, Any], as_json: bool) -> None:
    """To standard output, for programs or for people. What is not a number becomes null: JSON has no NaN."""
    if as_json:
        print(json.dumps(without_nan(content), indent=2, sort_keys=True, allow_nan=False))
    else:
        print_outline(content)


def without_nan(content: Any) -> Any:
    """The same with None for NaN and infinities."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {name: without_nan(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [without_nan(value) for value in content]
    return content


@contextlib.contextmanager
def progress_bars() -> Iterator[Callable[..., None]]:
    """Progress on standard error, so that standard output stays the result's; yields `advance(stage, done, total)`.

    Bars on a terminal; elsewhere, in a log file say, a line for each tenth of a stage.
    """
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _TenthsOfStages()
        return
    tasks: Dict[str, Any] = {}
    with Progress(*Progress.get_default_columns(), console=console) as progress:

        def advance(stage: str, done: int, total: int, *_: Any) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage)
            progress.update(tasks[stage], completed=done, total=total)

        yield advance


class _TenthsOfStages:
    """Prints a line whenever another tenth of a stage is done."""

    def __init__(self) -> None:
        self._printed: Dict[str, int] = {}

    def __call__(self, stage: str, done: int, total: int, *_: Any) -> None:
        tenths = 10 * done // max(total, 1)
        if tenths != self._printed.get(stage):  # less than before, where a stage begins again in another round
            self._printed[stage] = tenths
            print(f"{stage}: {done} of {total}", file=sys.stderr, flush=True)


def print_outline(content: Mapping[str, Any], indent: str = "") -> None:
    """A line for each value, nested mappings indented, lists of mappings one a line."""
    width = max((len(name) for name in content), default=0)
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            print(f"{indent}{name}:")
            print_outline(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            print(f"{indent}{name}:")
            for entry in value:
                print(f"{indent}  " + ", ".join(f"{key} {shown(item)}" for key, item in entry.items()))
        else:
            print(f"{indent}{name:{width}}  {shown(value)}")


def shown(value: Any) -> str:
    """A value as a person writes it: numbers without their float dust, lists without brackets."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return " ".join(shown(item) for item in value) or "-"
    return "-" if value in (None, "", {}) else str(value)
