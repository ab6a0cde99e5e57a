"""How far a velocity estimate is from the truth: of the twin, or of a tracker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offline_data.velocity import VelocityError, VelocityEstimate, VelocitySettings


@dataclass(frozen=True)
class VelocityErrorReport:
    """An estimate against the truth; errors in m/s, trunk frame, over the rows of sufficient confidence."""

    rows: int
    kept: float
    """Share of rows with at least the asked confidence."""
    rms_error: tuple[float, float, float]
    """Per axis."""
    rms_error_horizontal: float
    median_error_horizontal: float
    bias: tuple[float, float, float]
    """Mean of estimate minus truth per axis."""
    slope_forward: float
    """Least-squares factor of the estimate on the truth, x axis; below 1 the estimate is too slow."""
    within_bound: float
    """Share of the horizontal axes' errors below the bound that the confidence speaks of."""
    mean_confidence: float
    """At most `within_bound` if the confidence is honest."""


def velocity_error_report(
    estimate: VelocityEstimate,
    true_velocity_trunk_in_trunk: np.ndarray,
    minimum_confidence: float = 0.0,
    settings: VelocitySettings | None = None,
) -> VelocityErrorReport:
    """Compares an estimate with the truth (N, 3) [m/s], trunk frame: of the twin, or of a tracker.

    Raises:
        VelocityError: no row has the asked confidence.
    """
    bound = (settings or VelocitySettings()).error_bound_m_s
    kept = estimate.confidence >= minimum_confidence
    if not kept.any():
        raise VelocityError(
            f"rows with a confidence of at least {minimum_confidence}",
            f"at most {float(estimate.confidence.max(initial=0.0)):.3f}",
            "Ask for less.",
        )
    truth = true_velocity_trunk_in_trunk[kept]
    error = estimate.velocity_trunk_in_trunk[kept] - truth
    rms, bias = np.sqrt((error**2).mean(axis=0)), error.mean(axis=0)
    horizontal = np.hypot(error[:, 0], error[:, 1])
    energy = float((truth[:, 0] ** 2).sum())
    return VelocityErrorReport(
        rows=len(truth),
        kept=float(kept.mean()),
        rms_error=(float(rms[0]), float(rms[1]), float(rms[2])),
        rms_error_horizontal=float(np.sqrt((horizontal**2).mean())),
        median_error_horizontal=float(np.median(horizontal)),
        bias=(float(bias[0]), float(bias[1]), float(bias[2])),
        slope_forward=float((estimate.velocity_trunk_in_trunk[kept, 0] * truth[:, 0]).sum()) / energy
        if energy
        else 0.0,
        within_bound=float((np.abs(error[:, :2]) < bound).mean()),
        mean_confidence=float(estimate.confidence[kept].mean()),
    )
