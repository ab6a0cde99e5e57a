"""What the two learning stages can tell the gate of a candidate (`policy.candidate_gate`), and what they can not."""

from __future__ import annotations

from pathlib import Path
from typing import Optional, Union

from policy.bundle import SUFFIX, Lineage, read_bundle
from policy.candidate_gate import GateEvidence, KlSpent, NotChecked, PairedWalks, Roughness, Trial
from policy.code_version import code_version
from policy.contract import PolicyContract
from policy.export import export_bundle
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.transitions import Transitions
from policy.uni_o4.candidates import Improvement
from policy.uni_o4.smoothness import action_roughness
from robot_configs.robot import load_robot


def refinement_evidence(improvement: Improvement, transitions: Transitions, kl_budget: Optional[float]) -> GateEvidence:
    """Of the best candidate of an offline refinement against its start; without a budget [nat] KL limits nothing."""
    best = improvement.best
    return GateEvidence(
        gain=best.gain.lower if improvement.gate == "lower_bound" else best.gain.mean,
        kl=NotChecked("the published method has no budget") if kl_budget is None else KlSpent(best.kl, kl_budget),
        roughness=_roughness(best.actor, improvement.start.actor, transitions),
        walks=NotChecked("nothing walks in an offline refinement; `go1 sim eval` does"),
    )


def round_evidence(
    candidate: GaussianActor,
    incumbent: GaussianActor,
    steps: Transitions,
    gain_lower: Optional[float],
    kl: KlSpent,
    walks: Union[PairedWalks, NotChecked],
) -> GateEvidence:
    """Of the policy that a round of online learning made; PPO on logged steps alone predicts no gain: None."""
    return GateEvidence(
        gain=NotChecked("PPO has no model to evaluate its policy in") if gain_lower is None else gain_lower,
        kl=kl,
        roughness=_roughness(candidate, incumbent, steps),
        walks=walks,
    )


def walked(
    trial: Optional[Trial], contract: PolicyContract, candidate: GaussianActor, folder: Path, incumbent: Path
) -> Union[PairedWalks, NotChecked]:
    """The twin's trial of an actor, sealed for it as a bundle in `folder`, against a bundle; where there is one."""
    if trial is None:
        return NotChecked("no trial on a twin was asked for")
    path = folder / f"candidate{SUFFIX}"
    lineage = Lineage(
        "finetune", (read_bundle(incumbent).sha256,), (), code_version(), 0, "", ("a candidate on trial",)
    )
    export_bundle(PolicyGraph(contract, candidate), path, lineage, 1, load_robot())
    return trial(path, incumbent)


def _roughness(candidate: GaussianActor, incumbent: GaussianActor, steps: Transitions) -> Roughness:
    return Roughness(action_roughness(candidate, steps), action_roughness(incumbent, steps))
