"""`go1 demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.commands import Commands


def add_demo(commands: Commands) -> None:
    """The whole loop once."""
    parser = commands.command(
        "demo",
        run_demo,
        "Go once round the loop on the twin's mattress: evaluate, log, refine, evaluate, fine-tune, evaluate.",
        "go1 demo --seed 1 --out runs/demo",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder of the summary and report [%(default)s]"
    )
    parser.add_argument("--seed", type=int, default=1, help="of everything random [%(default)s]")


def run_demo(options: argparse.Namespace) -> int:
    """`make demo` ends here."""
    from sim.demo import run_demo as demo

    demo(out=options.out, seed=options.seed)
    return 0
