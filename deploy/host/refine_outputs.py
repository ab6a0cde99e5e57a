"""What a refinement leaves: bundle, trainer state, report, and the cloned behaviour where no policy was given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deploy.host.refine_data import RefineData
from deploy.host.refine_settings import RefineSettings
from policy.bundle import Bundle, Lineage, verify_bundle
from policy.code_version import code_version
from policy.export import export_bundle
from policy.graph import PolicyGraph
from policy.networks import ValueNetwork
from policy.trainer_state import TrainerState, pack_module, save_trainer_state
from policy.uni_o4.candidates import Candidate, Improvement
from policy.uni_o4.settings import settings_record
from policy.uni_o4.value import RewardScale
from policy.whole_files import write_whole
from robot_configs.robot import RobotModel


def trainer_state_path(bundle: Path) -> Path:
    """Where a bundle's trainer state lies."""
    return bundle.with_suffix(".trainer.safetensors")


def report_path(bundle: Path) -> Path:
    """Where the report on a bundle's making lies."""
    return bundle.with_suffix(".report.json")


def clone_path(bundle: Path) -> Path:
    """Where the cloned behaviour lies that a bundle was refined from, if no policy was given."""
    return bundle.with_suffix(".clone.go1policy")


def write_report(out: Path, report: dict[str, Any]) -> None:
    """The report on the bundle's making, beside it."""
    write_whole(report_path(out), json.dumps(report, indent=1, default=str))


def candidate_record(candidate: Candidate) -> dict[str, Any]:
    """A candidate in the report."""
    return {
        "name": candidate.name,
        "kl": candidate.kl,
        "score": candidate.score.mean,
        "gain": candidate.gain.mean,
        "gain_interval": [candidate.gain.lower, candidate.gain.upper],
    }


def seal_clone(
    out: Path, graph: PolicyGraph, data: RefineData, settings: RefineSettings, robot: RobotModel, command: str
) -> Bundle:
    """The cloned behaviour as a bundle of its own, the parent of what is refined from it."""
    lineage = Lineage(
        stage="clone",
        parents=(),
        data=data.sha256s,
        code_version=code_version(),
        seed=settings.seed,
        command=command,
        notes=(),
    )
    return export_bundle(graph, out, lineage, 1, robot)


def seal_best(
    out: Path,
    graph: PolicyGraph,
    improvement: Improvement,
    parent: Bundle,
    data: RefineData,
    settings: RefineSettings,
    robot: RobotModel,
    command: str,
) -> Bundle:
    """The best candidate as a bundle, verified."""
    best = improvement.best
    notes = (
        f"method {settings.method}, best candidate: {best.name}",
        f"kl from the logged behaviour {best.kl:.3f}",
        f"predicted gain {best.gain.mean:.3f} [{best.gain.lower:.3f}, {best.gain.upper:.3f}]",
    )
    lineage = Lineage(
        stage="refine",
        parents=(parent.sha256,),
        data=data.sha256s,
        code_version=code_version(),
        seed=settings.seed,
        command=command,
        notes=notes,
    )
    bundle = export_bundle(PolicyGraph(graph.contract, best.actor), out, lineage, parent.version + 1, robot)
    verify_bundle(bundle, robot)
    return bundle


def save_learner(out: Path, bundle: Bundle, value: ValueNetwork, scale: RewardScale, settings: RefineSettings) -> None:
    """The trainer state beside the bundle, for `finetune` to start warm."""
    record = {
        "bundle_sha256": bundle.sha256,
        "reward_scale": scale.factor,
        "value_hidden_dims": list(value.hidden_dims),
        "settings": settings_record(settings.value),
    }
    save_trainer_state(trainer_state_path(out), TrainerState(pack_module("value", value), record))
