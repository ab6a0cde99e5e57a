"""Run the fault matrix and write its report: `python -m sim.faults --out docs/faults.md`."""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Optional, Sequence

from policy.bundle import read_bundle
from robot_configs.errors import Go1Error
from sim.faults.campaign import all_cases, run_cases
from sim.faults.flood import FLOOD_TARGETS, walk_under_flood
from sim.faults.paired_loss import compare
from sim.faults.report import write_report

_BUNDLE = Path("policy/bundles/go1_velocity.go1policy")
_LOSS = 0.1
_EPISODE_S = 6.0
_FLOOD_WALK_S = 2.0


class NoCaseError(Go1Error):
    """A pattern that matches nothing."""


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Exit status: 0 if no command was outside the limits and nothing moved without re-arming, else 1."""
    options = _parser().parse_args(arguments)
    cases = [case for case in all_cases() if fnmatch.fnmatch(case.name, options.only)]
    if not cases:
        raise NoCaseError("a pattern that matches a case", options.only, "List the names with --list.")
    if options.list:
        print("\n".join(f"{case.expectation.value:12} {case.name}" for case in cases))
        return 0
    verdicts = run_cases(cases, options.bundle, options.workers, _counter("cases"))
    loss = floods = None
    if options.pairs:
        loss = compare(options.bundle, _LOSS, options.pairs, _EPISODE_S, options.workers, _counter("walks"))
        floods = [walk_under_flood(options.bundle, target, _FLOOD_WALK_S) for target in FLOOD_TARGETS]
    command = " ".join(["python -m sim.faults", *(sys.argv[1:] if arguments is None else arguments)])
    text = write_report(verdicts, loss, floods or (), command, read_bundle(options.bundle).sha256)
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")
    print(_bottom_line(text))
    return 1 if any(verdict.unsafe for verdict in verdicts) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sim.faults", description=__doc__)
    parser.add_argument("--out", type=Path, help="Markdown file to write")
    parser.add_argument("--only", default="*", help="cases whose names match this pattern [%(default)s]")
    parser.add_argument("--list", action="store_true", help="name the cases and run nothing")
    parser.add_argument("--bundle", type=Path, default=_BUNDLE, help="policy that walks [%(default)s]")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes [%(default)s]")
    parser.add_argument(
        "--pairs",
        type=int,
        default=16,
        help="also compare this many walks with 10 %% loss, and walk under floods; 0 for neither [%(default)s]",
    )
    return parser


def _bottom_line(text: str) -> str:
    return next(line.strip("*") for line in text.splitlines() if line.startswith("**"))


def _counter(what: str) -> Callable[[int, int], None]:
    """Progress on one line of the terminal."""
    started_s = time.monotonic()

    def show(done: int, total: int) -> None:
        left_s = (time.monotonic() - started_s) * (total - done) / done
        ending = "\n" if done == total else ""
        print(f"\r{done} of {total} {what}, about {left_s:.0f} s left   ", end=ending, file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Go1Error as error:
        sys.exit(str(error))
