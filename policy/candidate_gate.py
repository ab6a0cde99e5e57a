"""The gate between learning and driving: what a candidate policy must show before it may take the incumbent's place.

    logs   offline evaluation   the gain over the incumbent is above zero, by the lower end of its interval
           KL                   the candidate stays where the logs say something
           smoothness           its mean action does not jump much more over the logged states than the incumbent's
    twin   paired walks         same ground, noise and commands: it earns more, or at least not clearly less, and falls
                                not clearly more often

Nothing here computes evidence or drives; a check that nobody could make is named in the verdict, with the reason why.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

import numpy as np

# ---- Thresholds, each with its reason --------------------------------------------------------------------------------

KL_SLACK = 1.1
"""Times the budget: learners count it over a sample of the states, whose mean is some per cent off."""
ROUGHNESS_LIMIT = 2.0
"""Times the incumbent's mean squared change of action from step to step: 1.4 times its amplitude, which a motor with
delay turns into shaking. What refined policies have is in docs/uni_o4_results.md."""
ROUGHNESS_FLOOR = 0.01
"""Mean squared change, summed over the joints, below which nothing shakes: 0.03 of an action in each of the twelve."""
CHANCE = 0.05
"""One-sided: falls that come about so rarely between equal policies count as clearly more falls."""
_TWO_SIDED_95 = 1.96

# ---- Evidence --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NotChecked:
    """Evidence that there is none of, and why."""

    why: str


@dataclass(frozen=True)
class KlSpent:
    """Mean KL from the policy that the budget counts from, and the budget [nat]."""

    spent: float
    limit: float


@dataclass(frozen=True)
class Roughness:
    """Mean squared change of the mean action over one step, summed over the joints, over the same logged states."""

    candidate: float
    incumbent: float


@dataclass(frozen=True)
class PairedWalks:
    """Walks of both policies on the twin, pair by pair with the same robot, noise and commands.

    Attributes:
        candidate, incumbent: returns of the walks. candidate_fell, incumbent_fell: whether each ended in a fall.
        must_gain: True where the twin stands for the ground that was learned for; False where it is another, on which
            the candidate need not be better but must not be worse.
    """

    candidate: tuple[float, ...]
    incumbent: tuple[float, ...]
    candidate_fell: tuple[bool, ...]
    incumbent_fell: tuple[bool, ...]
    must_gain: bool


@dataclass(frozen=True)
class GateEvidence:
    """What is known of a candidate.

    Attributes:
        gain: lower end of the interval of its predicted gain over the incumbent; where a method's own rule goes by the
            mean, that.
    """

    gain: Union[float, NotChecked]
    kl: Union[KlSpent, NotChecked]
    roughness: Union[Roughness, NotChecked]
    walks: Union[PairedWalks, NotChecked]


Trial = Callable[[Path, Path], PairedWalks]
"""Walks a candidate's bundle (first) against an incumbent's (second)."""


@dataclass(frozen=True)
class GateVerdict:
    """Why a candidate may not drive (nothing: it may), what could not be asked, and the figures that were looked at."""

    reasons: tuple[str, ...]
    not_checked: tuple[str, ...]
    figures: dict[str, float]

    @property
    def accepted(self) -> bool:
        return not self.reasons

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "accepted": self.accepted,
            "reasons": list(self.reasons),
            "not_checked": list(self.not_checked),
            "figures": self.figures,
        }


# ---- Gate ------------------------------------------------------------------------------------------------------------


def candidate_gate(evidence: GateEvidence) -> GateVerdict:
    """Every check that there is evidence for; a number that is not finite fails its check."""
    reasons: list[str] = []
    not_checked: list[str] = []
    checks: tuple[tuple[str, Any, Callable[[Any], list[str]]], ...] = (
        ("offline evaluation", evidence.gain, _check_gain),
        ("KL", evidence.kl, _check_kl),
        ("smoothness", evidence.roughness, _check_roughness),
        ("twin", evidence.walks, _check_walks),
    )
    for name, found, check in checks:
        if isinstance(found, NotChecked):
            not_checked.append(f"{name}: {found.why}")
        else:
            reasons += [f"{name}: {reason}" for reason in check(found)]
    return GateVerdict(tuple(reasons), tuple(not_checked), _figures(evidence))


def chance_of_at_least(count: int, trials: int, probability: float) -> float:
    """P(X >= count) of a binomial X: the chance of so many among `trials` that each come about with `probability`."""
    return sum(
        math.comb(trials, k) * probability**k * (1.0 - probability) ** (trials - k) for k in range(count, trials + 1)
    )


def _figures(evidence: GateEvidence) -> dict[str, float]:
    """What the checks looked at, as far as it is known."""
    figures: dict[str, float] = {}
    if not isinstance(evidence.gain, NotChecked):
        figures["gain"] = evidence.gain
    if not isinstance(evidence.kl, NotChecked):
        figures["kl"] = evidence.kl.spent
    if not isinstance(evidence.roughness, NotChecked):
        rough = evidence.roughness
        figures |= {"roughness": rough.candidate, "roughness_of_incumbent": rough.incumbent}
    if not isinstance(evidence.walks, NotChecked) and evidence.walks.candidate:
        walks = evidence.walks
        figures["walk_gain"] = float(np.subtract(walks.candidate, walks.incumbent).mean())
        figures |= {"falls": sum(walks.candidate_fell), "falls_of_incumbent": sum(walks.incumbent_fell)}
    return figures


def _check_gain(gain: float) -> list[str]:
    return [] if gain > 0.0 else [f"the predicted gain is {gain:+.3f}, not above zero"]


def _check_kl(kl: KlSpent) -> list[str]:
    if kl.spent <= KL_SLACK * kl.limit:
        return []
    return [f"{kl.spent:.3g} nat from where it started, the budget is {kl.limit:.3g}"]


def _check_roughness(roughness: Roughness) -> list[str]:
    if roughness.candidate <= max(ROUGHNESS_LIMIT * roughness.incumbent, ROUGHNESS_FLOOR):
        return []
    return [
        f"actions change by {roughness.candidate:.3g} squared a step, the incumbent's by {roughness.incumbent:.3g}: "
        f"more than {ROUGHNESS_LIMIT:g} times as rough"
    ]


def _check_walks(walks: PairedWalks) -> list[str]:
    reasons = []
    difference = np.subtract(walks.candidate, walks.incumbent)
    count = len(difference)
    mean = float(difference.mean()) if count else math.nan
    told = f"{mean:+.1f} a walk against the incumbent, in {count} pairs"
    if walks.must_gain and not mean > 0.0:
        reasons.append(f"no gain, {told}")
    if not walks.must_gain:
        error = float(difference.std(ddof=1)) / math.sqrt(count) if count > 1 else math.nan
        if not mean + _TWO_SIDED_95 * error >= 0.0:
            reasons.append(f"clearly worse, {told}")
    fell, stood = np.array(walks.candidate_fell, bool), ~np.array(walks.incumbent_fell, bool)
    more, fewer = int((fell & stood).sum()), int((~fell & ~stood).sum())
    if chance_of_at_least(more, more + fewer, 0.5) <= CHANCE:
        reasons.append(f"falls in {more} walks in which the incumbent does not, stands in {fewer} in which that falls")
    return reasons
