"""`go1 data recover`: a clean file out of a damaged one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cli.commands import Commands
from cli.output import add_json, print_result


def add_recover(commands: Commands) -> None:
    """What a crash or a power cut left."""
    recover = commands.command(
        "recover",
        run_data_recover,
        "Write what is left of a damaged or divided log into one clean, indexed file, and say what is lost.",
        "go1 data recover logs/20260101T120000_1a2b3c4d.mcap --out recovered.mcap",
    )
    recover.add_argument("log", type=Path, metavar="LOG", help="MCAP file; the later parts of its session are found")
    recover.add_argument("--out", type=Path, required=True, help="the new file; the input is only read")
    add_json(recover)


def run_data_recover(options: argparse.Namespace) -> int:
    """Recover one session. What is lost is in the report; it is no failure of the command."""
    from offline_data.recover import recover_log

    report = recover_log(options.log, options.out)
    print_result(report.to_dict(), options.json)
    if not report.complete:
        print(
            "go1: NOTE: this log was not closed: what came after its last message is lost, uncounted here ('missing' "
            "are holes before it). A session that lived to its end said itself how many records it lost.",
            file=sys.stderr,
        )
    return 0
