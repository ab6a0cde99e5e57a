"""Offline refinement: data sets and a policy in, a better policy out, or the same one if none could be shown better.

    data sets -> transitions -> (cloned behaviour) -> V, transition model -> clipped improvement -> gate -> bundle

Beside the bundle go its trainer state, for `finetune` to start warm, a JSON report with every curve, and, where no
policy was given, the cloned behaviour as a bundle of its own: the parent, to compare with. Until all of them are there,
`refine_progress` keeps the stages beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Optional, Union

import torch

from deploy.host.gate_evidence import refinement_evidence
from deploy.host.logged_policy import require_logged_policy
from deploy.host.refine_data import RefineData
from deploy.host.refine_outputs import candidate_record, clone_path, save_learner, seal_best, seal_clone, write_report
from deploy.host.refine_progress import RefineProgress, RunIdentity, kept_progress
from deploy.host.refine_settings import DEFAULT_REFINEMENT, RefineSettings
from policy.bundle import Bundle, read_bundle
from policy.candidate_gate import GateEvidence, candidate_gate
from policy.code_version import code_version
from policy.export import load_graph
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.rewards import RewardWeights
from policy.transitions import Transitions
from policy.uni_o4.behavior_check import check_behavior
from policy.uni_o4.candidates import Improvement
from policy.uni_o4.cloning import clone_behavior, with_cloned_behavior
from policy.uni_o4.critics import fit_critics
from policy.uni_o4.dynamics import fit_dynamics
from policy.uni_o4.dynamics_report import report_dynamics
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.offline import improve_in_ensemble
from policy.uni_o4.published import improve_published
from policy.uni_o4.settings import Progress, no_progress, seeded_generator
from policy.uni_o4.value import RewardScale, fit_reward_scale, fit_value
from policy.uni_o4.velocity_world import velocity_world
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel, load_robot

_REPORT_HORIZON = 20  # policy steps over which the transition model's open-loop error is reported: 0.4 s

LEAST_STEPS = 50
"""One second at 50 Hz: what the learners can fit anything to at all. Thousands are what it takes to gain something."""


class RefineError(Go1Error):
    """A refinement that was asked for something its data can not give."""


@dataclass(frozen=True)
class Refinement:
    """What came out: the bundle, whether it differs from its start, the figures, and what the gate was told."""

    bundle: Bundle
    accepted: bool
    report: dict[str, Any]
    evidence: GateEvidence


def refine(
    dataset: Union[Path, Sequence[Path]],
    init: Optional[Path],
    out: Path,
    settings: RefineSettings = DEFAULT_REFINEMENT,
    progress: Progress = no_progress,
    command: str = "",
) -> Refinement:
    """Refine on one data set or several, starting from `init` or, without it, from the cloned behaviour.

    What was killed goes on where it was with the same call (`deploy.host.refine_progress`), to the same bits.

    Raises:
        RefineProgressError: beside `out` lies the progress of another refinement.
        FolderInUseError: another process refines to `out`.
        RefineDataError: data sets that do not belong together.
        RefineError: the policy given is not under the data's contract, or there are too few steps.
        LoggedPolicyError: the data were not made by it, nor by one that it came from.
        TransitionsError: the data hold no usable episodes.
    """
    torch.set_num_threads(settings.threads)
    robot, data = load_robot(), RefineData.open(dataset)
    parent = read_bundle(init) if init is not None else None
    graph = _start_graph(data, parent, settings)
    start = None if parent is None else parent.sha256
    with kept_progress(out, RunIdentity(data.sha256s, start, asdict(settings), robot.sha256)) as kept:
        refinement = _Run(data, init, parent, graph, out, settings, robot, progress, command, kept).run()
        kept.remove()
    return refinement


@dataclass(frozen=True)
class _Run:
    """One refinement; see `refine`.

    Attributes:
        init: path of the bundle `parent`; neither is there without a policy to start from.
        start_graph: its graph, or, to label the data with, one under their contract that has learned nothing.
        kept: where the stages go on from, and are kept.
    """

    data: RefineData
    init: Optional[Path]
    parent: Optional[Bundle]
    start_graph: PolicyGraph
    out: Path
    settings: RefineSettings
    robot: RobotModel
    progress: Progress
    command: str
    kept: RefineProgress

    def run(self) -> Refinement:
        """From the first stage to the report."""
        data, settings, robot, out = self.data, self.settings, self.robot, self.out
        parent, graph = self.parent, self.start_graph
        generator = seeded_generator(settings.seed)
        transitions, about_data = self._read_data()
        members: tuple[GaussianActor, ...] = (graph.actor,)
        if parent is None or settings.method == "uni_o4":
            keeper = self.kept.stage("cloning", generator)
            clones = clone_behavior(transitions, settings.clones, generator, self.progress, keeper)
            members = clones.members
        if parent is None:
            graph = PolicyGraph(data.contract, clones.best)
            parent = seal_clone(clone_path(out), graph, data, settings, robot, self.command)
        # Improvement moves away from where it starts, so that is what its budget counts from: the clone, also where the
        # log knows who acted; and the start, where earlier policies logged a part of the data.
        if self.parent is None or not transitions.behavior_is_known or len(data.sets) > 1:
            transitions = with_cloned_behavior(transitions, graph.actor)
        scale = fit_reward_scale(transitions, settings.value.discount)
        keeper = self.kept.stage("dynamics", generator)
        dynamics = fit_dynamics(transitions, settings.dynamics, generator, self.progress, keeper)
        world = velocity_world(dynamics.model, graph, robot, RewardWeights(**data.reward_weights), transitions.groups)
        improvement, value_report = self._improve(graph.actor, members, world, transitions, scale, generator)
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
            "seed": settings.seed,
            "parent_sha256": parent.sha256,
            **about_data,
            "value": value_report,
            "transition_model": asdict(report_dynamics(dynamics, transitions, world.observer, _REPORT_HORIZON)),
            "behavior": asdict(behavior),
            "candidates": [candidate_record(candidate) for candidate in candidates],
            "best": improvement.best.name,
            "gate": {"candidate": best.name, **verdict.to_dict()},
            "accepted": improvement.accepted,
            "settings": asdict(settings),
            "code_version": code_version(),
        }
        bundle = seal_best(out, graph, improvement, parent, data, settings, robot, self.command)
        save_learner(out, bundle, improvement.value, scale, settings)
        report.update(bundle_sha256=bundle.sha256, wall_s=self.kept.wall_s)
        write_report(out, report)
        return Refinement(bundle, improvement.accepted, report, evidence)

    def _read_data(self) -> tuple[Transitions, dict[str, Any]]:
        """All steps, enough of them and of the given policy or one that it came from; and what the report says of them.

        Raises:
            RefineError: too few steps. LoggedPolicyError: another policy's.
        """
        sets, init = self.data.sets, self.init
        logged_policy = None if init is None else [require_logged_policy(one, init) for one in sets]
        transitions = self.data.transitions(self.start_graph)
        if len(transitions) < LEAST_STEPS:
            raise RefineError(
                f"at least {LEAST_STEPS} steps to learn from in {', '.join(str(one.path) for one in sets)}",
                f"{len(transitions)}",
                "Log more: some thousands are what it takes to gain something.",
            )
        return transitions, {
            "datasets": list(self.data.sha256s),
            "quarantined": sum(len(one.quarantined) for one in sets),
            "logged_policy": logged_policy,
            "transitions": len(transitions),
            "falls": int(transitions.terminated.sum()),
        }

    def _improve(
        self,
        start: GaussianActor,
        members: tuple[GaussianActor, ...],
        world: ModelWorld,
        transitions: Transitions,
        scale: RewardScale,
        generator: torch.Generator,
    ) -> tuple[Improvement, dict[str, Any]]:
        """Improvement by the chosen method, and how well its value explains held-out episodes."""
        settings, progress = self.settings, self.progress
        judging, improving = (
            self.kept.stage(name, generator)
            for name in ("critics" if settings.method == "uni_o4" else "value", "improvement")
        )
        if settings.method == "uni_o4":
            critics = fit_critics(transitions, scale, settings.critics, generator, progress, judging)
            published = improve_published(
                members, critics, world, transitions, settings.published, generator, progress, start, improving
            )
            return published, {}
        fitted = fit_value(transitions, scale, settings.value, generator, progress=progress, keeper=judging)
        improvement = improve_in_ensemble(
            start, fitted.value, world, transitions, scale, settings.improvement, generator, progress, improving
        )
        return improvement, {"explained_variance": fitted.explained_variance, "curve": list(fitted.curve)}


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
