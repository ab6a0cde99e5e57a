"""`go1 policy import`: policies of other stacks."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.arguments import existing_file, factor
from cli.commands import Commands
from cli.output import add_json, print_result


def add_policy_import(commands: Commands) -> None:
    """Other stacks' files to a bundle."""
    command = commands.command(
        "import",
        run_policy_import,
        "Make a sealed bundle of a policy that another stack trained; its files are read, never run.",
        "go1 policy import body_latest.jit adaptation_module_latest.jit --preset walk-these-ways --std 0.2 "
        "--out walk.go1policy",
    )
    command.add_argument("files", type=existing_file, nargs="+", metavar="FILE", help="the policy's file or files")
    command.add_argument(
        "--preset",
        required=True,
        metavar="NAME|CONTRACT.json",
        help="go1-velocity, isaac-lab (rsl_rl), walk-these-ways, uni-o4; or the contract of an rsl_rl policy",
    )
    command.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle to write")
    command.add_argument(
        "--std", type=factor, help="deviation of the actions when exploring, in place of what the files say"
    )
    command.add_argument(
        "--samples",
        type=existing_file,
        metavar="FILE.npz",
        help="observation (N, O) and action (N, 12) of the original policy, to be reproduced",
    )
    add_json(command)


def run_policy_import(options: argparse.Namespace) -> int:
    """The import; what was read and how well it was reproduced."""
    from policy.importers.import_policy import ImportOptions, import_policy
    from robot_configs.robot import load_robot

    wishes = ImportOptions(options.preset, options.std, options.samples, options.command_line)
    report = import_policy(options.files, options.out, wishes, load_robot())
    contract = report.bundle.contract
    content = {
        "bundle": str(options.out),
        "sha256": report.bundle.sha256,
        "network": report.network,
        "observation": f"{contract.frame_dim} x {contract.history_length}",
        "commands": ", ".join(contract.command_names),
        "samples_reproduced": report.samples,
        "largest_error": report.largest_error,
    }
    print_result(content, options.json)
    return 0
