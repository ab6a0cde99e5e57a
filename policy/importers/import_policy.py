"""From the files of another stack and a preset to a sealed, verified bundle.

files -> importer of the preset: networks, deviation, normaliser -> our actor -> samples, if any, reproduced
      -> graph of the preset's contract -> ONNX, golden vectors, seal -> replayed with onnxruntime
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Dict, Optional, Sequence, Tuple

from policy.bundle import Bundle, BundleError, Lineage, verify_bundle
from policy.code_version import code_version
from policy.contract import PolicyContract
from policy.contract_types import check_contract_types
from policy.export import export_bundle
from policy.graph import PolicyGraph
from policy.importers.import_error import PolicyImportError
from policy.importers.imported_policy import ImportedPolicy, build_actor
from policy.importers.recorded_samples import check_samples
from policy.importers.rsl_rl import read_rsl_rl
from policy.importers.uni_o4 import read_uni_o4
from policy.importers.walk_these_ways import read_walk_these_ways
from policy.presets import isaac_lab_contract, walk_these_ways_contract, walk_these_ways_release_contract
from policy.velocity_contract import velocity_contract
from robot_configs.robot import RobotModel

CONTRACT_SUFFIX = ".json"


@dataclass(frozen=True)
class ImportPreset:
    """How one kind of policy is read.

    Attributes:
        contract: what its observation and its action are, on a robot.
        read: takes its files apart.
    """

    contract: Callable[[RobotModel], PolicyContract]
    read: Callable[[Sequence[Path], PolicyContract], ImportedPolicy]


PRESETS: Dict[str, ImportPreset] = {
    "go1-velocity": ImportPreset(velocity_contract, read_rsl_rl),
    "isaac-lab": ImportPreset(isaac_lab_contract, read_rsl_rl),
    "uni-o4": ImportPreset(walk_these_ways_contract, read_uni_o4),
    "walk-these-ways": ImportPreset(walk_these_ways_release_contract, read_walk_these_ways),
}


@dataclass(frozen=True)
class ImportOptions:
    """What a person says beside the files.

    Attributes:
        preset: a name in `PRESETS`, or the path of a contract in JSON, which describes the observation of a policy
            that rsl_rl trained.
        std: of all actions, in place of what the files say.
        samples: an .npz of observations and mean actions, recorded in the other stack, that must be reproduced.
        command: what was typed, for the lineage.
    """

    preset: str
    std: Optional[float] = None
    samples: Optional[Path] = None
    command: str = ""


@dataclass(frozen=True)
class ImportReport:
    """What came of an import.

    Attributes:
        network: widths of the networks.
        samples: how many recorded samples were reproduced.
        largest_error: of onnxruntime's replay of the golden vectors.
    """

    bundle: Bundle
    network: str
    samples: int
    largest_error: float


def import_policy(files: Sequence[Path], out: Path, options: ImportOptions, robot: RobotModel) -> ImportReport:
    """Read, rebuild, check, export, seal, verify.

    Raises:
        PolicyImportError: the files are not what the preset describes, or do not reproduce the samples.
        policy.contract.ContractError: a contract file that contradicts itself or does not fit the robot.
    """
    preset = find_preset(options.preset)
    contract = preset.contract(robot)
    contract.check_robot(robot)
    policy = preset.read(files, contract)
    contract = replace(contract, observation_mean=policy.observation_mean, observation_std=policy.observation_std)
    actor = build_actor(policy, contract.observation_dim, options.std)
    graph = PolicyGraph(contract, actor)
    samples = check_samples(graph, options.samples) if options.samples else 0
    network = policy.body.widths + (f" with {policy.adaptation.widths}" if policy.adaptation else "")
    lineage = Lineage("import", (), (), code_version(), 0, options.command, _notes(files, options, network, samples))
    bundle = export_bundle(graph, out, lineage, 1, robot)
    return ImportReport(bundle, network, samples, verify_bundle(bundle, robot).largest_error)


def find_preset(name: str) -> ImportPreset:
    """The preset of a name, or one of a contract in JSON, as `go1 policy inspect --json` prints under `contract`.

    Raises:
        PolicyImportError: no such preset or file, or a file that is no contract.
    """
    if name in PRESETS:
        return PRESETS[name]
    if not name.endswith(CONTRACT_SUFFIX):
        raise PolicyImportError(
            f"a preset among {', '.join(PRESETS)}, or a contract in a {CONTRACT_SUFFIX} file",
            repr(name),
            "docs/import.md says what each preset is.",
        )
    contract = _read_contract(Path(name))
    return ImportPreset(lambda robot: contract, read_rsl_rl)


def _read_contract(path: Path) -> PolicyContract:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        check_contract_types(content)
    except (ValueError, RecursionError, BundleError) as error:
        raise PolicyImportError(f"a contract in JSON in {path.name}", f"{error}", "Correct the file.") from None
    return PolicyContract.from_json(json.dumps(content))


def _notes(files: Sequence[Path], options: ImportOptions, network: str, samples: int) -> Tuple[str, ...]:
    """Where it came from, for the lineage: a digest tells two files of one name apart."""
    sources = [f"{file.name} sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}" for file in files]
    deviation = "of the files" if options.std is None else f"{options.std:g}, given"
    told = [f"preset {options.preset}", f"network {network}", f"std {deviation}", f"samples reproduced {samples}"]
    return (*sources, *told)
