"""A policy in the shadow of the one that drives: it sees the same signals, and its targets go nowhere.

Both policies' means are compared, so that exploration does not count as a difference. What the comparison cannot see:
the shadow remembers the actions it would have taken, not those that were, and never meets the states that its own
driving would lead to. Agreement is necessary, not sufficient.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from deploy.onboard.pilot import PilotStep
from deploy.onboard.summary import EpisodeSummary
from policy.bundle import PolicySession
from policy.contract import PolicyContract
from robot_configs.errors import Go1Error

_SMALLEST_STD = 1e-6
"""A policy that never explores still has a likelihood."""


class ShadowError(Go1Error):
    """The two policies cannot be compared, or nothing was seen."""


@dataclass(frozen=True)
class ShadowThresholds:
    """What a policy may differ by before it may drive; our choice, to be tightened with experience."""

    median_rad: float = 0.10
    """Of all joints and steps [rad]: a tenth is what two seeds of one training differ by."""
    p95_rad: float = 0.30
    """95 % quantile [rad]: policies step their targets by this much at 50 Hz anyway."""
    worst_rad: float = 0.80
    """Largest [rad]: beyond it one of the two does something else."""
    inference_p99_s: float = 0.010
    """Half of a policy period [s]."""
    minimum_steps: int = 500
    """Ten seconds of walking; less says nothing."""


class Signals(NamedTuple):
    """What a policy is given in one step; arrays as in `PolicySession.step`, wire order."""

    orientation: np.ndarray
    angular_velocity: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    command: np.ndarray


@dataclass(frozen=True)
class ShadowReport:
    """How far the shadow's targets were from the driver's. Lists of 12 are in wire order; quantiles over steps."""

    steps: int
    episodes: int
    non_finite_steps: int
    """Steps in which the shadow's targets were no numbers; left out of everything else."""
    joint_names: Tuple[str, ...]
    joint_median_rad: Tuple[float, ...]
    joint_p95_rad: Tuple[float, ...]
    joint_worst_rad: Tuple[float, ...]
    median_rad: float
    p95_rad: float
    worst_rad: float
    log_likelihood_median: float
    """Of the shadow's mean action under the driver's distribution."""
    driver_log_likelihood_median: float
    """Of the driver's own mean action, for comparison: the highest possible."""
    inference_median_s: float
    inference_p99_s: float
    inference_worst_s: float
    objections: Tuple[str, ...]
    """Thresholds that were passed; empty: it may drive."""

    @property
    def may_drive(self) -> bool:
        """The verdict."""
        return not self.objections

    def to_dict(self) -> Dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**asdict(self), "may_drive": self.may_drive}


class Shadow:
    """Runs one policy beside another. An `Observer` of the loop.

    Args:
        session: the shadow's own.
        driver: the contract of the policy that drives.

    Raises:
        ShadowError: the two take different commands.
    """

    def __init__(self, session: PolicySession, driver: PolicyContract) -> None:
        # How fast a policy follows its commands is its own affair; what they mean is not.
        if _meanings(session.contract) != _meanings(driver):
            raise ShadowError(
                f"the driver's commands {', '.join(driver.command_names)} with their ranges",
                ", ".join(f"{term.name} [{term.lower}, {term.upper}]" for term in session.contract.commands),
                "Only policies that understand the same commands can be compared.",
            )
        self._session, self._driver = session, driver
        self._to_wire = [driver.policy_joint_names.index(name) for name in driver.joint_names]
        self._default, self._scale = np.array(driver.default_position), np.array(driver.action_scale)
        self._lower, self._upper = np.array(driver.target_lower), np.array(driver.target_upper)
        self._divergence: List[np.ndarray] = []
        self._likelihood: List[Tuple[float, float]] = []
        self._inference_s: List[float] = []
        self._episodes = self._non_finite = 0

    def on_policy_step(self, step: PilotStep) -> None:
        """See `pilot_seat.Observer`."""
        state = step.state
        signals = Signals(
            state.orientation_trunk_in_world,
            state.angular_velocity_trunk_in_trunk,
            state.joint_position,
            state.joint_velocity,
            step.command,
        )
        self.see(step.tick == 0, signals, step.output.action_mean, step.output.action_std)

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        """See `pilot_seat.Observer`."""

    def see(self, first: bool, signals: Signals, action_mean: np.ndarray, action_std: np.ndarray) -> None:
        """One step of the driver: its signals, and its distribution (12,) in its own units and joint order.

        Args:
            first: whether an episode begins; the shadow forgets what was before.
        """
        if first:
            self._session.reset()
            self._episodes += 1
        started_s = time.perf_counter()
        target = self._session.step(*signals).joint_target.astype(np.float64)
        self._inference_s.append(time.perf_counter() - started_s)
        if not np.isfinite(target).all():
            self._non_finite += 1
            return
        mean, std = action_mean.astype(np.float64), np.maximum(action_std.astype(np.float64), _SMALLEST_STD)
        driver_target = np.clip(self._default + self._scale * mean[self._to_wire], self._lower, self._upper)
        self._divergence.append(np.abs(target - driver_target))
        # The driver's action that would have given the shadow's target, joint for joint in wire order.
        deviation = ((target - self._default) / self._scale - mean[self._to_wire]) / std[self._to_wire]
        highest = -float(np.sum(np.log(std) + 0.5 * np.log(2.0 * np.pi)))
        self._likelihood.append((highest - 0.5 * float(deviation @ deviation), highest))

    def report(self, thresholds: ShadowThresholds = ShadowThresholds()) -> ShadowReport:
        """What was seen up to now, and whether it keeps to `thresholds`.

        Raises:
            ShadowError: not one step was seen.
        """
        if not self._divergence:
            found = f"{self._non_finite} steps whose targets were no numbers" if self._non_finite else "none"
            raise ShadowError("policy steps to compare", found, "Let the driver walk for a while.")
        divergence, likelihood = np.stack(self._divergence), np.array(self._likelihood)
        inference_s = np.array(self._inference_s)
        median, p95, worst = (float(np.quantile(divergence, q)) for q in (0.5, 0.95, 1.0))
        inference_p99_s = float(np.quantile(inference_s, 0.99))
        return ShadowReport(
            steps=len(divergence),
            episodes=self._episodes,
            non_finite_steps=self._non_finite,
            joint_names=self._driver.joint_names,
            joint_median_rad=_numbers(np.quantile(divergence, 0.5, axis=0)),
            joint_p95_rad=_numbers(np.quantile(divergence, 0.95, axis=0)),
            joint_worst_rad=_numbers(divergence.max(axis=0)),
            median_rad=median,
            p95_rad=p95,
            worst_rad=worst,
            log_likelihood_median=float(np.median(likelihood[:, 0])),
            driver_log_likelihood_median=float(np.median(likelihood[:, 1])),
            inference_median_s=float(np.median(inference_s)),
            inference_p99_s=inference_p99_s,
            inference_worst_s=float(inference_s.max()),
            objections=_objections(
                thresholds, len(divergence), self._non_finite, (median, p95, worst), inference_p99_s
            ),
        )


def _meanings(contract: PolicyContract) -> List[Tuple[str, str, float, float]]:
    return [(term.name, term.unit, term.lower, term.upper) for term in contract.commands]


def _objections(
    thresholds: ShadowThresholds,
    steps: int,
    non_finite: int,
    divergence_rad: Tuple[float, float, float],
    inference_p99_s: float,
) -> Tuple[str, ...]:
    limits_rad = (thresholds.median_rad, thresholds.p95_rad, thresholds.worst_rad)
    found = [f"{non_finite} steps without a finite target"] if non_finite else []
    if steps < thresholds.minimum_steps:
        found.append(f"{steps} steps seen, at least {thresholds.minimum_steps} needed")
    for name, value, limit in zip(("median", "95 % quantile", "largest"), divergence_rad, limits_rad):
        if value > limit:
            found.append(f"{name} divergence {value:.3f} rad, limit {limit:.3f}")
    if inference_p99_s > thresholds.inference_p99_s:
        limit_ms = thresholds.inference_p99_s * 1e3
        found.append(f"99 % of its steps take {inference_p99_s * 1e3:.1f} ms, limit {limit_ms:.1f}")
    return tuple(found)


def _numbers(values: np.ndarray) -> Tuple[float, ...]:
    return tuple(float(value) for value in values)
