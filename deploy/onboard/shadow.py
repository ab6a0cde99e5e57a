"""A policy in the shadow of the one that drives: it sees the same signals, and its targets go nowhere.

Both policies' means are compared, so that exploration does not count as a difference. What the comparison cannot see:
the shadow remembers the actions it would have taken, not those that were, and never meets the states that its own
driving would lead to. Agreement is necessary, not sufficient.
"""

from __future__ import annotations

import time
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from deploy.onboard.pilot import PilotStep
from deploy.onboard.shadow_report import Divergence, ShadowError, ShadowFindings
from deploy.onboard.summary import EpisodeSummary
from deploy.onboard.target import JointTarget
from deploy.onboard.target_limits import ROUNDING_RAD, TargetLimits
from policy.bundle import PolicySession
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel

_SMALLEST_STD = 1e-6
"""A policy that never explores still has a likelihood."""

_NOTHING_BEFORE = (-1, -1)
"""Episode and tick before the first step."""


class DriverStep(NamedTuple):
    """One step of the driver: what it was given, as in `PolicySession.step`, and its distribution.

    Signals are in wire order, the distribution in the driver's own units and joint order, (12,).
    """

    episode: int
    tick: int
    """In this episode, from zero."""
    orientation: np.ndarray
    angular_velocity: np.ndarray
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    command: np.ndarray
    action_mean: np.ndarray
    action_std: np.ndarray


def driver_step(step: PilotStep) -> DriverStep:
    """What a shadow is shown of a pilot's step."""
    state, output = step.state, step.output
    return DriverStep(
        step.episode,
        step.tick,
        state.orientation_trunk_in_world,
        state.angular_velocity_trunk_in_trunk,
        state.joint_position,
        state.joint_velocity,
        step.command,
        output.action_mean,
        output.action_std,
    )


def check_comparable(candidate: PolicyContract, driver: PolicyContract) -> None:
    """Refuse a pair whose targets say nothing about each other.

    How fast a policy follows its commands, its joint order, scale and default pose are its own affair: targets are
    compared in radians, joint by joint. What the commands mean is not, nor how hard the motors pull at a target.

    Raises:
        ShadowError: names the field.
    """
    wanted, found = (
        [f"{term.name} [{term.lower:g}, {term.upper:g}] {term.unit}" for term in contract.commands]
        for contract in (driver, candidate)
    )
    if wanted != found:
        raise ShadowError(
            f"the driver's commands, {', '.join(wanted)}",
            ", ".join(found),
            "Only policies that understand the same commands can be compared.",
        )
    for name, unit in (("stiffness", "Nm/rad"), ("damping", "Nm s/rad")):
        if getattr(candidate, name) != getattr(driver, name):
            raise ShadowError(
                f"the driver's {name}, {getattr(driver, name)} {unit}",
                f"{getattr(candidate, name)}",
                "With other gains the same target is another torque: rehearse it on the twin instead.",
            )


class Shadow:
    """Runs one policy beside another. Can be an `Observer` of the loop, where the loop can wait for it.

    Args:
        session: the shadow's own.
        driver: the contract of the policy that drives.
        robot: for the limits that the gate would have held the targets to.

    Raises:
        ShadowError: the two cannot be compared.
    """

    def __init__(self, session: PolicySession, driver: PolicyContract, robot: RobotModel) -> None:
        check_comparable(session.contract, driver)
        self._session, self._driver = session, driver
        self._to_wire = [driver.policy_joint_names.index(name) for name in driver.joint_names]
        self._default, self._scale = np.array(driver.default_position), np.array(driver.action_scale)
        self._lower, self._upper = np.array(driver.target_lower), np.array(driver.target_upper)
        self._gates = _GateAtSteps(session.contract, robot), _GateAtSteps(driver, robot)
        self._previous = _NOTHING_BEFORE
        self._divergence: List[np.ndarray] = []
        self._likelihood: List[Tuple[float, float]] = []
        self._step_s: List[float] = []
        self._starts = self._non_finite = 0

    def on_policy_step(self, step: PilotStep) -> None:
        """See `pilot_seat.Observer`."""
        self.see(driver_step(step))

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        """See `pilot_seat.Observer`."""

    def see(self, step: DriverStep) -> None:
        """One step of the driver; after a hole the shadow starts anew, as its memory would be of another moment."""
        episode, tick = int(step.episode), int(step.tick)
        if (episode, tick) != (self._previous[0], self._previous[1] + 1):
            self._start()
        self._previous = (episode, tick)
        started_s = time.thread_time()
        output = self._session.step(
            step.orientation, step.angular_velocity, step.joint_position, step.joint_velocity, step.command
        )
        self._step_s.append(time.thread_time() - started_s)
        target = output.joint_target.astype(np.float64)
        if not np.isfinite(target).all():
            self._non_finite += 1
            return
        mean, std = step.action_mean.astype(np.float64), np.maximum(step.action_std.astype(np.float64), _SMALLEST_STD)
        driver_target = np.clip(self._default + self._scale * mean[self._to_wire], self._lower, self._upper)
        self._divergence.append(target - driver_target)
        for gate, position in zip(self._gates, (target, driver_target)):
            gate.see(position, step.joint_position, step.joint_velocity)
        # The driver's action that would have given the shadow's target, joint for joint in wire order.
        deviation = ((target - self._default) / self._scale - mean[self._to_wire]) / std[self._to_wire]
        highest = -float(np.sum(np.log(std) + 0.5 * np.log(2.0 * np.pi)))
        self._likelihood.append((highest - 0.5 * float(deviation @ deviation), highest))

    def forget(self) -> None:
        """What comes next is of another session, even if its numbers go on where the last one's stopped."""
        self._previous = _NOTHING_BEFORE

    def findings(self) -> ShadowFindings:
        """What was seen up to now."""
        divergence = self._divergence_found() if self._divergence else None
        return ShadowFindings(len(self._divergence), self._non_finite, self._starts, divergence)

    def _start(self) -> None:
        self._session.reset()
        self._starts += 1
        for gate in self._gates:
            gate.start()

    def _divergence_found(self) -> Divergence:
        signed, likelihood = np.stack(self._divergence), np.array(self._likelihood)
        absolute = np.abs(signed)
        step_median_s, step_p99_s, step_worst_s = _quantiles(np.array(self._step_s), 0.5, 0.99, 1.0)
        median, p95, worst = _quantiles(absolute, 0.5, 0.95, 1.0)
        candidate_gate, driver_gate = self._gates
        return Divergence(
            joint_names=self._driver.joint_names,
            joint_rms_rad=_numbers(np.sqrt(np.mean(signed**2, axis=0))),
            joint_median_rad=_numbers(np.quantile(absolute, 0.5, axis=0)),
            joint_p95_rad=_numbers(np.quantile(absolute, 0.95, axis=0)),
            joint_worst_rad=_numbers(absolute.max(axis=0)),
            median_rad=median,
            p95_rad=p95,
            worst_rad=worst,
            gate_changed_share=candidate_gate.changed_share,
            driver_gate_changed_share=driver_gate.changed_share,
            log_likelihood_median=float(np.median(likelihood[:, 0])),
            driver_log_likelihood_median=float(np.median(likelihood[:, 1])),
            step_median_s=step_median_s,
            step_p99_s=step_p99_s,
            step_worst_s=step_worst_s,
        )


class _GateAtSteps:
    """What the gate would have made of one policy's targets, judged once a step in the tick that follows it.

    The tick before it is played as well, with the target of the step before: that is where the rate counts from.
    """

    def __init__(self, contract: PolicyContract, robot: RobotModel) -> None:
        self._limits = TargetLimits(robot, np.array(contract.target_lower), np.array(contract.target_upper))
        self._stiffness, self._damping = np.array(contract.stiffness), np.array(contract.damping)
        self._tick_s, self._time_s = 1.0 / robot.link_hz, 0.0
        self._previous: Optional[np.ndarray] = None
        self._seen = self._changed = 0

    @property
    def changed_share(self) -> float:
        """Of all joint targets seen."""
        return self._changed / self._seen

    def start(self) -> None:
        """The next target is the first."""
        self._limits.release()
        self._previous = None

    def see(self, position: np.ndarray, measured: np.ndarray, velocity: np.ndarray) -> None:
        """One step's target (12,) [rad] at the joints' state (12,) [rad], [rad/s]."""
        if self._previous is not None:
            self._apply(self._previous, measured, velocity)
        allowed = self._apply(position, measured, velocity)
        self._seen += position.size
        self._changed += int(np.count_nonzero(np.abs(allowed - position) > ROUNDING_RAD))
        self._previous = position

    def _apply(self, position: np.ndarray, measured: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        self._time_s += self._tick_s
        target = JointTarget(position, self._stiffness, self._damping, valid_until_s=self._time_s)
        return self._limits.apply(target, measured, velocity, self._time_s)[0]


def _quantiles(values: np.ndarray, *levels: float) -> Tuple[float, ...]:
    return _numbers(np.quantile(values, levels))


def _numbers(values: np.ndarray) -> Tuple[float, ...]:
    return tuple(float(value) for value in values)
