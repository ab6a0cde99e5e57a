"""`go1 data`: from logs to data sets."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

from cli.arguments import existing_folder, existing_path
from cli.commands import Commands
from cli.exit_status import EXIT_UNFINISHED
from cli.output import add_json, print_result, progress_bars
from cli.recover import add_recover


def add_data(commands: Commands) -> None:
    """Logs and data sets."""
    ingest = commands.command(
        "ingest",
        run_data_ingest,
        "Make a data set of a folder of logs.",
        "go1 data ingest logs --out datasets/monday",
    )
    ingest.add_argument("logs", type=existing_folder, metavar="LOGDIR", help="folder of MCAP logs")
    ingest.add_argument("--out", type=Path, required=True, help="folder of the data set")
    add_json(ingest)
    check = commands.command(
        "check",
        run_data_check,
        "Report the quality of logs: gaps, jitter, saturation, frozen sensors, coverage.",
        "go1 data check logs",
    )
    check.add_argument("logs", type=existing_path, metavar="LOGS", help="folder of MCAP logs, or one of them")
    add_json(check)
    info = commands.command(
        "info", run_data_info, "Count what a data set holds.", "go1 data info datasets/monday --json"
    )
    info.add_argument("dataset", type=existing_folder, metavar="DATASET", help="folder of a data set")
    add_json(info)
    add_recover(commands)
    importers = commands.group("import", "Make a data set of somebody else's recordings.")
    uni_o4 = importers.command(
        "uni-o4",
        run_import_uni_o4,
        "Import the real Go1 recordings that Uni-O4's authors published (HDF5).",
        "go1 data import uni-o4 uni_o4_go1_real --out datasets/uni_o4",
    )
    uni_o4.add_argument("recordings", type=existing_folder, metavar="DIR", help="folder of sessions of .hdf5 files")
    uni_o4.add_argument("--out", type=Path, required=True, help="folder of the data set")
    add_json(uni_o4)


def run_data_ingest(options: argparse.Namespace) -> int:
    """Logs to a data set. Exit status 1 when a file had to be left out: the report says which and why."""
    from offline_data.ingest import ingest

    with progress_bars() as advance:
        report = ingest(options.logs, options.out, on_file=lambda _, index, files: advance("files", index + 1, files))
    print_result(report.to_dict(), options.json)
    return EXIT_UNFINISHED if report.failures else 0


def run_data_check(options: argparse.Namespace) -> int:
    """What the logs are worth. Exit status 1 when a file could not be read as a log."""
    from offline_data.quality import check_logs

    report = check_logs(options.logs)
    if options.json:
        print_result(report.to_dict(), as_json=True)
    else:
        print(report)
    return EXIT_UNFINISHED if report.failures else 0


def run_data_info(options: argparse.Namespace) -> int:
    """What the data set holds."""
    from offline_data.dataset import Dataset

    dataset = Dataset.open(options.dataset)
    quarantine = [asdict(episode) for episode in dataset.quarantined]
    print_result({**dataset.info().to_dict(), "quarantine": quarantine}, options.json)
    return 0


def run_import_uni_o4(options: argparse.Namespace) -> int:
    """Others' logs to a data set. Exit status 1 when a file had to be left out: the report says which and why."""
    from offline_data.import_uni_o4 import import_uni_o4

    with progress_bars() as advance:
        report = import_uni_o4(
            options.recordings, options.out, on_file=lambda _, index, files: advance("files", index + 1, files)
        )
    if options.json:
        print_result(report.to_dict(), as_json=True)
    else:
        print(report)
    return EXIT_UNFINISHED if report.failures else 0
