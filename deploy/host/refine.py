"""Offline refinement: data sets and a policy in, a better policy out, or the same one if none could be shown better.

    data sets -> transitions -> (cloned behaviour) -> V, transition model -> clipped improvement -> gate -> bundle

Beside the bundle go its trainer state, for `finetune` to start warm, a JSON report with every curve, and, where no
policy was given, the cloned behaviour as a bundle of its own: the parent, to compare with.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Optional, Union

import torch

from deploy.host.gate_evidence import refinement_evidence
from deploy.host.logged_policy import require_logged_policy
from deploy.host.refine_data import RefineData
from policy.bundle import Bundle, Lineage, read_bundle, verify_bundle
from policy.candidate_gate import GateEvidence, candidate_gate
from policy.code_version import code_version
from policy.export import export_bundle, load_graph
from policy.graph import PolicyGraph
from policy.networks import GaussianActor, ValueNetwork
from policy.rewards import RewardWeights
from policy.trainer_state import TrainerState, pack_module, save_trainer_state
from policy.transitions import Transitions
from policy.uni_o4.behavior_check import check_behavior
from policy.uni_o4.cloning import CloningSettings, clone_behavior, with_cloned_behavior
from policy.uni_o4.critics import CriticSettings, fit_critics
from policy.uni_o4.dynamics import DynamicsSettings, fit_dynamics
from policy.uni_o4.dynamics_report import report_dynamics
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.offline import EnsembleSettings, Improvement, improve_in_ensemble
from policy.uni_o4.published import PublishedSettings, improve_published
from policy.uni_o4.published_sizes import PAPER_CLONING, PAPER_CRITICS
from policy.uni_o4.settings import Progress, no_progress, seeded_generator, settings_record
from policy.uni_o4.value import RewardScale, ValueSettings, fit_reward_scale, fit_value
from policy.uni_o4.velocity_world import velocity_world
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel, load_robot

Method = Literal["ensemble", "uni_o4"]

_REPORT_HORIZON = 20  # policy steps over which the transition model's open-loop error is reported: 0.4 s


LEAST_STEPS = 50
"""One second at 50 Hz: what the learners can fit anything to at all. Thousands are what it takes to gain something."""


class RefineError(Go1Error):
    """A refinement that was asked for something its data can not give."""


@dataclass(frozen=True)
class RefineSettings:
    """What a refinement does.

    Attributes:
        method: `ensemble` is PPO inside the transition model, the default; `uni_o4` follows
            the paper: an ensemble cloned from the logs, IQL critics, AM-Q gate, in the paper's sizes. A policy that is
            given is what its members have to be better than, not one of them.
        seed: of the one generator.
        threads: torch threads.
        cloning: of the start by `ensemble`, where no policy is given. published_cloning, critics: of `uni_o4`.
    """

    method: Method = "ensemble"
    seed: int = 0
    threads: int = 2
    cloning: CloningSettings = field(default_factory=CloningSettings)
    value: ValueSettings = field(default_factory=ValueSettings)
    dynamics: DynamicsSettings = field(default_factory=DynamicsSettings)
    improvement: EnsembleSettings = field(default_factory=EnsembleSettings)
    published_cloning: CloningSettings = PAPER_CLONING
    critics: CriticSettings = PAPER_CRITICS
    published: PublishedSettings = field(default_factory=PublishedSettings)

    @property
    def clones(self) -> CloningSettings:
        """How the chosen method clones."""
        return self.published_cloning if self.method == "uni_o4" else self.cloning


@dataclass(frozen=True)
class Refinement:
    """What came out: the bundle, whether it differs from its start, the figures, and what the gate was told."""

    bundle: Bundle
    accepted: bool
    report: dict[str, Any]
    evidence: GateEvidence


def trainer_state_path(bundle: Path) -> Path:
    """Where a bundle's trainer state lies."""
    return bundle.with_suffix(".trainer.safetensors")


def report_path(bundle: Path) -> Path:
    """Where the report on a bundle's making lies."""
    return bundle.with_suffix(".report.json")


def clone_path(bundle: Path) -> Path:
    """Where the cloned behaviour lies that a bundle was refined from, if no policy was given."""
    return bundle.with_suffix(".clone.go1policy")


def refine(
    dataset: Union[Path, Sequence[Path]],
    init: Optional[Path],
    out: Path,
    settings: RefineSettings = RefineSettings(),
    progress: Progress = no_progress,
    command: str = "",
) -> Refinement:
    """Refine on one data set or several, starting from `init` or, without it, from the cloned behaviour.

    Raises:
        RefineDataError: data sets that do not belong together.
        RefineError: the policy given is not under the data's contract, or there are too few steps.
        LoggedPolicyError: the data were not made by it, nor by one that it came from.
        TransitionsError: the data hold no usable episodes.
    """
    started = time.monotonic()
    torch.set_num_threads(settings.threads)
    generator = seeded_generator(settings.seed)
    robot, data = load_robot(), RefineData.open(dataset)
    parent = read_bundle(init) if init is not None else None
    graph = _start_graph(data, parent, settings)
    logged_policy = None if init is None else [require_logged_policy(one, init) for one in data.sets]
    transitions = data.transitions(graph)
    if len(transitions) < LEAST_STEPS:
        raise RefineError(
            f"at least {LEAST_STEPS} steps to learn from in {', '.join(str(one.path) for one in data.sets)}",
            f"{len(transitions)}",
            "Log more: some thousands are what it takes to gain something.",
        )

    members: tuple[GaussianActor, ...] = (graph.actor,)
    if parent is None or settings.method == "uni_o4":
        clones = clone_behavior(transitions, settings.clones, generator, progress)
        members = clones.members
    if parent is None:
        graph = PolicyGraph(data.contract, clones.best)
        parent = _seal_clone(clone_path(out), graph, data, settings, robot, command)
    # Improvement moves away from where it starts, so that is what its budget counts from: the clone, also where the log
    # knows who acted; and the start, where earlier policies logged a part of the data.
    if init is None or not transitions.behavior_is_known or len(data.sets) > 1:
        transitions = with_cloned_behavior(transitions, graph.actor)
    scale = fit_reward_scale(transitions, settings.value.discount)
    dynamics = fit_dynamics(transitions, settings.dynamics, generator, progress)
    world = velocity_world(dynamics.model, graph, robot, RewardWeights(**data.reward_weights), transitions.groups)
    improvement, value_report = _improve(graph.actor, members, world, transitions, scale, settings, generator, progress)
    candidates, best = improvement.candidates, improvement.best
    budget = settings.improvement.kl_budget if settings.method == "ensemble" else None
    evidence = refinement_evidence(improvement, transitions, budget)
    verdict = candidate_gate(evidence)
    if not verdict.accepted:
        improvement = replace(improvement, candidates=candidates[:1])  # the start, as if nothing had been learned

    # Luck of its own: what the report measures does not change what is sealed.
    behavior = check_behavior(
        graph.actor, world, improvement.fitted_value, scale, transitions, settings.improvement.evaluation,
        seeded_generator(settings.seed),
    )  # fmt: skip

    report = {
        "method": settings.method,
        "datasets": list(data.sha256s),
        "quarantined": sum(len(one.quarantined) for one in data.sets),
        "logged_policy": logged_policy,
        "transitions": len(transitions),
        "falls": int(transitions.terminated.sum()),
        "value": value_report,
        "transition_model": asdict(report_dynamics(dynamics, transitions, world.observer, _REPORT_HORIZON)),
        "behavior": asdict(behavior),
        "candidates": [_candidate_record(candidate) for candidate in candidates],
        "best": improvement.best.name,
        "gate": {"candidate": best.name, **verdict.to_dict()},
        "accepted": improvement.accepted,
        "settings": {**asdict(settings), "seed": settings.seed},
        "code_version": code_version(),
        "wall_s": time.monotonic() - started,
    }
    bundle = _seal(out, graph, improvement, parent, data, report, settings, robot, command)
    _save_trainer_state(out, bundle, improvement.value, scale, settings)
    report_path(out).write_text(json.dumps(report, indent=1, default=str))
    return Refinement(bundle, improvement.accepted, report, evidence)


def _start_graph(data: RefineData, parent: Optional[Bundle], settings: RefineSettings) -> PolicyGraph:
    if parent is None:
        contract = data.contract
        hidden = settings.clones.hidden_dims
        return PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, hidden, 1.0))
    if parent.contract != data.contract:
        raise RefineError(
            "a policy under the contract of the data set",
            f"contracts {parent.contract.sha256[:12]} and {data.contract.sha256[:12]}",
            "Refine the policy that the data were logged with, or leave --init out to start from the cloned behaviour.",
        )
    return load_graph(parent)


def _improve(
    start: GaussianActor,
    members: tuple[GaussianActor, ...],
    world: ModelWorld,
    transitions: Transitions,
    scale: RewardScale,
    settings: RefineSettings,
    generator: torch.Generator,
    progress: Progress,
) -> tuple[Improvement, dict[str, Any]]:
    """Improvement by the chosen method, and how well its value explains held-out episodes."""
    if settings.method == "uni_o4":
        critics = fit_critics(transitions, scale, settings.critics, generator, progress)
        published = improve_published(
            members, critics, world, transitions, settings.published, generator, progress, start
        )
        return published, {}
    fitted = fit_value(transitions, scale, settings.value, generator, progress=progress)
    improvement = improve_in_ensemble(
        start, fitted.value, world, transitions, scale, settings.improvement, generator, progress
    )
    return improvement, {"explained_variance": fitted.explained_variance, "curve": list(fitted.curve)}


def _candidate_record(candidate: Any) -> dict[str, Any]:
    return {
        "name": candidate.name,
        "kl": candidate.kl,
        "score": candidate.score.mean,
        "gain": candidate.gain.mean,
        "gain_interval": [candidate.gain.lower, candidate.gain.upper],
    }


def _seal_clone(
    out: Path, graph: PolicyGraph, data: RefineData, settings: RefineSettings, robot: RobotModel, command: str
) -> Bundle:
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


def _seal(
    out: Path,
    graph: PolicyGraph,
    improvement: Improvement,
    parent: Bundle,
    data: RefineData,
    report: dict[str, Any],
    settings: RefineSettings,
    robot: RobotModel,
    command: str,
) -> Bundle:
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


def _save_trainer_state(
    out: Path, bundle: Bundle, value: ValueNetwork, scale: RewardScale, settings: RefineSettings
) -> None:
    record = {
        "bundle_sha256": bundle.sha256,
        "reward_scale": scale.factor,
        "value_hidden_dims": list(value.hidden_dims),
        "settings": settings_record(settings.value),
    }
    save_trainer_state(trainer_state_path(out), TrainerState(pack_module("value", value), record))
