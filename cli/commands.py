"""A tree of sub-commands on argparse."""

from __future__ import annotations

import argparse
from typing import Callable

Run = Callable[[argparse.Namespace], int]


class Commands:
    """One level of sub-commands: `go1 NAME`, or `go1 GROUP NAME`."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def group(self, name: str, summary: str) -> Commands:
        """A word that only leads to further words."""
        return Commands(self._commands.add_parser(name, help=summary, description=summary))

    def command(self, name: str, run: Run, summary: str, example: str) -> argparse.ArgumentParser:
        """A word that does something; the caller adds its options."""
        parser = self._commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=run)
        return parser
