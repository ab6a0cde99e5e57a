"""Whether what happened in a trial is what had to happen."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Optional

from sim.faults.case import DAMPING_LIMIT_S, Expectation, FaultCase
from sim.faults.trial import TrialResult

_ROUNDING_S = 1e-9


class Outcome(enum.Enum):
    """What happened, in one word."""

    DETECTED = "detected"
    """Damped in time, and it stayed so."""
    TOLERATED = "tolerated"
    """It walked on, upright."""
    MISSED = "missed"
    """It should have been damped, and was not, or too late."""
    STOPPED = "stopped"
    """It should have walked on, and was damped or fell."""
    UNSAFE = "unsafe"
    """A command outside the limits, or motion after damping without a person's re-arming."""


@dataclass(frozen=True)
class Verdict:
    """An outcome held against the case's expectation."""

    case: FaultCase
    result: TrialResult
    outcome: Outcome
    damping_s: Optional[float]
    """Time to damping, counted as the case's class counts it [s]."""

    @property
    def as_expected(self) -> bool:
        """Whether the case passes."""
        return self.outcome in (Outcome.DETECTED, Outcome.TOLERATED)

    @property
    def unsafe(self) -> bool:
        """Whether a command was outside the limits, or the robot moved again by itself."""
        return self.outcome is Outcome.UNSAFE


def judge(case: FaultCase, result: TrialResult) -> Verdict:
    """Compare what happened with what the case expects."""
    damping_s = _damping_s(case, result)
    return Verdict(case, result, _outcome(case, result, damping_s), damping_s)


def _damping_s(case: FaultCase, result: TrialResult) -> Optional[float]:
    if result.damped_s is None or case.expectation is not Expectation.CONTAINED:
        return result.damped_s
    return max(0.0, result.damped_s - result.tilted_s) if result.tilted_s is not None else 0.0


def _outcome(case: FaultCase, result: TrialResult, damping_s: Optional[float]) -> Outcome:
    moved_again = result.moved_again_s is not None and result.moved_again_s < result.allowed_again_s - _ROUNDING_S
    if result.violations or moved_again:
        return Outcome.UNSAFE
    fell = result.tilted_s is not None
    if case.expectation is Expectation.TOLERATED:
        return Outcome.STOPPED if fell or damping_s is not None else Outcome.TOLERATED
    if case.expectation is Expectation.CONTAINED and damping_s is None and not fell:
        return Outcome.TOLERATED
    in_time = damping_s is not None and damping_s <= DAMPING_LIMIT_S[case.expectation] + _ROUNDING_S
    return Outcome.DETECTED if in_time else Outcome.MISSED
