"""`go1 policy`: bundles."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any, Dict, Mapping, Sequence

from cli.arguments import add_bundle, existing_folder
from cli.commands import Commands
from cli.output import add_json, print_result
from cli.policy_import import add_policy_import
from cli.signing import add_signing


def add_policy(commands: Commands) -> None:
    """Bundles."""
    inspect = commands.command(
        "inspect",
        run_policy_inspect,
        "Show a bundle's contract and lineage.",
        "go1 policy inspect policy/bundles/go1_velocity.go1policy --json",
    )
    add_bundle(inspect)
    add_json(inspect)
    verify = commands.command(
        "verify",
        run_policy_verify,
        "Replay a bundle's golden vectors with onnxruntime, as the robot does before its motors energise.",
        "go1 policy verify policy/bundles/go1_velocity.go1policy",
    )
    add_bundle(verify)
    lineage = commands.command(
        "lineage",
        run_policy_lineage,
        "Print the chain of policies that a bundle came from, and what made each.",
        "go1 policy lineage policy/bundles/go1_velocity.go1policy",
    )
    add_bundle(lineage)
    lineage.add_argument(
        "--among",
        type=existing_folder,
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="where else to look for parents, folders below included [only the bundle's own folder, the rounds beside "
        "it and the shipped bundles]",
    )
    add_json(lineage)
    add_policy_import(commands)
    add_signing(commands)


def run_policy_inspect(options: argparse.Namespace) -> int:
    """What is in the file; the seal is checked, the policy is not run."""
    from policy.bundle import read_bundle

    bundle = read_bundle(options.bundle)
    content = {
        "sha256": bundle.sha256,
        "version": bundle.version,
        "robot_sha256": bundle.robot_sha256,
        "lineage": dataclasses.asdict(bundle.lineage),
        "contract": bundle.contract.to_dict(),
        "golden": {name: list(array.shape) for name, array in bundle.golden.items()},
        "onnx_bytes": len(bundle.onnx_bytes),
    }
    print_result(content, options.json)
    return 0


def run_policy_lineage(options: argparse.Namespace) -> int:
    """A parent whose file is not there is named by its seal, and the chain ends with it."""
    from policy.ancestry import ancestry
    from policy.bundle import BUNDLES

    chain = []
    rounds = options.bundle.resolve().parent.parent.glob("round_*")  # of `go1 finetune`, a folder each
    for one in ancestry(options.bundle, [*options.among, BUNDLES, *rounds]):
        file = "not found" if one.path is None else str(one.path)
        entry: Dict[str, Any] = {"sha256": one.sha256, "generation": one.generation, "file": file}
        if one.bundle is not None:
            entry.update(version=one.bundle.version, **dataclasses.asdict(one.bundle.lineage))
        chain.append(entry)
    print_result({"chain": chain} if options.json else _chain_for_people(chain), options.json)
    return 0


def _chain_for_people(chain: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """Each ancestor under its seal; a list of texts, which hold blanks themselves, as one with marks between."""
    told: Dict[str, Any] = {}
    for entry in chain:
        shown = {name: value for name, value in entry.items() if name != "sha256"}
        if "notes" in shown:
            shown["notes"] = "; ".join(shown["notes"])
        else:
            shown["file"] = "not found; --among FOLDER looks there, too"
        told[str(entry["sha256"])] = shown
    return told


def run_policy_verify(options: argparse.Namespace) -> int:
    """Whether it still is what was sealed, and whether it is for this robot."""
    from policy.bundle import read_bundle, verify_bundle
    from robot_configs.robot import load_robot

    bundle = read_bundle(options.bundle)
    report = verify_bundle(bundle, load_robot())
    print(
        f"{options.bundle}: version {bundle.version}, {report.sequences} golden sequences ({report.steps} steps) "
        f"replayed, largest difference {report.largest_error:.2g}\nsha256 {bundle.sha256}"
    )
    return 0
