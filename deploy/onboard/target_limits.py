"""Limits of what is asked of the motors: which targets are refused, and how far the others are moved.

present -> of twelve joints -> fresh, and not valid for longer than a target may be -> finite -> gains in range
position -> rate of change -> torque-speed envelope
       (the first line refuses, the second moves the target to the limit and counts the joints)
"""

from __future__ import annotations

import math
from typing import NamedTuple, Optional, Tuple

import numpy as np

from deploy.onboard.packet_layout import LARGEST_DAMPING, LARGEST_STIFFNESS, MOTORS
from deploy.onboard.reasons import ClampCounts, Reason
from deploy.onboard.state_checks import all_true
from deploy.onboard.target import JointTarget
from deploy.onboard.tick_clock import ROUNDING_S
from robot_configs.errors import Go1Error
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM, RobotModel

ROUNDING_RAD = 1e-6
"""A target moved by less was not moved: policies compute in float32, the limits are float64 [rad]."""

NO_CLAMPS = ClampCounts(0, 0, 0)


class LimitsError(Go1Error):
    """Limits that hold nothing: the gate refuses to be built on them."""


class _GainPair(NamedTuple):
    """What follows from one pair of gains, computed once for as long as the same numbers come."""

    key: bytes
    allowed: bool
    stiffness: np.ndarray
    """Kp [Nm/rad] as the motor receives it: what the wire's fixed point leaves of it."""
    damping: np.ndarray
    """Kd [Nm s/rad], likewise."""
    radians_per_nm: np.ndarray
    """1 / Kp; where Kp is 0 no target gives torque, and this is so large that none is moved."""
    reserve_per_speed: np.ndarray
    """How much torque a joint's speed may cost at most, by damping and by the envelope [Nm s/rad]."""


class TargetLimits:
    """Checks targets and moves them into the limits; remembers the last command for the limit of its rate.

    Args:
        robot: limits and thresholds.
        joint_lower, joint_upper: the policy contract's own position limits (12,) [rad], intersected with the robot's.

    Raises:
        LimitsError: the position limits leave a joint no room, or the gains' do not fit the wire.
    """

    def __init__(
        self, robot: RobotModel, joint_lower: Optional[np.ndarray] = None, joint_upper: Optional[np.ndarray] = None
    ) -> None:
        self._robot, self._safety = robot, robot.safety
        self._lower = robot.joint_lower if joint_lower is None else np.maximum(robot.joint_lower, joint_lower)
        self._upper = robot.joint_upper if joint_upper is None else np.minimum(robot.joint_upper, joint_upper)
        _require_room(robot, self._lower, self._upper)
        self._wide_lower: np.ndarray
        self._wide_upper: np.ndarray
        self._widened: bool
        self._gains: Optional[_GainPair] = None
        self._previous: Optional[np.ndarray] = None
        self._previous_time_s: float

    def release(self) -> None:
        """The motors damp: the next target starts from wherever the joints are then."""
        self._previous = None

    def faults(self, target: Optional[JointTarget], time_s: float) -> int:
        """Bit set of why `target` must not be acted upon at `time_s`."""
        if target is None:
            return int(Reason.TARGET_MISSING)
        if {target.position.shape, target.stiffness.shape, target.damping.shape} != {(MOTORS,)}:
            return int(Reason.TARGET_MALFORMED)
        # Written so that a valid_until of NaN is stale.
        if not time_s <= target.valid_until_s:
            return int(Reason.TARGET_STALE)
        # Whoever wrote it may be dead: a target for ever would be obeyed for ever.
        if target.valid_until_s - time_s > self._safety.target_age_limit_s + ROUNDING_S:
            return int(Reason.TARGET_VALID_TOO_LONG)
        if not math.isfinite(sum(target.position.tolist())):
            return int(Reason.TARGET_NOT_FINITE)
        return 0 if self._gain_pair(target).allowed else int(Reason.GAINS_OUT_OF_RANGE)

    def apply(
        self, target: JointTarget, measured: np.ndarray, velocity: np.ndarray, time_s: float
    ) -> Tuple[np.ndarray, ClampCounts]:
        """The position (12,) [rad] nearest to the target's within every limit, and how many joints were moved.

        `measured` (12,) [rad] and `velocity` (12,) [rad/s] are the joints'; they and the target must have passed their
        checks.
        """
        lower, upper = self._position_limits(measured)
        if self._previous is None:
            self._previous, self._previous_time_s = measured, time_s
        within_limits = np.minimum(np.maximum(target.position, lower), upper)
        within_rate = self._within_rate(within_limits, self._previous, time_s)
        position = self._within_torque(target, within_rate, measured, velocity)
        self._previous, self._previous_time_s = position, time_s
        moved = (position - target.position).tolist()
        if max(moved) <= ROUNDING_RAD and min(moved) >= -ROUNDING_RAD:
            return position, NO_CLAMPS
        counts = ClampCounts(
            _moved(target.position, within_limits), _moved(within_limits, within_rate), _moved(within_rate, position)
        )
        return position, counts

    def _within_rate(self, wanted: np.ndarray, previous: np.ndarray, time_s: float) -> np.ndarray:
        # A policy's target stays for ten ticks: most of the time there is nothing to slow down.
        if all_true(wanted == previous):
            return wanted
        # A gate that was stopped for a while must not owe the robot a jump.
        elapsed_s = min(max(time_s - self._previous_time_s, 1.0 / self._robot.link_hz), self._safety.state_age_limit_s)
        step = self._safety.max_target_rate_rad_s * elapsed_s
        return np.minimum(np.maximum(wanted, previous - step), previous + step)

    def _within_torque(
        self, target: JointTarget, wanted: np.ndarray, measured: np.ndarray, velocity: np.ndarray
    ) -> np.ndarray:
        """The positions nearest to `wanted` whose implied torque, Kp (q* - q) - Kd dq, is within the motors' envelope.

        The envelope is limit (1 - |dq| / top speed) in the direction of the motion and the full limit against it. The
        spring's share alone, Kp (q* - q), is held within the limit too: the joint may stop before the next command.
        Between both lies q itself, always: where the damping alone exceeds the envelope the motor saturates while it
        brakes, and a target beyond q would push.
        """
        pair, limit = self._gain_pair(target), self._robot.torque_limit
        # Most targets need no more than this: whatever the directions, they stay within.
        spring = np.abs((wanted - measured) * pair.stiffness)
        if all_true(spring + np.abs(velocity) * pair.reserve_per_speed <= limit):
            return wanted
        speed, drag = velocity / self._robot.velocity_limit, velocity * pair.damping
        highest = np.minimum(limit * np.clip(1.0 - speed, 0.0, 1.0) + drag, limit)
        lowest = np.maximum(drag - limit * np.clip(1.0 + speed, 0.0, 1.0), -limit)
        highest = measured + np.maximum(highest, 0.0) * pair.radians_per_nm
        lowest = measured + np.minimum(lowest, 0.0) * pair.radians_per_nm
        return np.minimum(np.maximum(wanted, lowest), highest)

    def _gain_pair(self, target: JointTarget) -> _GainPair:
        # By value: whoever owns the arrays may write into them.
        key = target.stiffness.tobytes() + target.damping.tobytes()
        if self._gains is None or self._gains.key != key:
            self._gains = self._new_pair(key, target.stiffness, target.damping)
        return self._gains

    def _new_pair(self, key: bytes, stiffness: np.ndarray, damping: np.ndarray) -> _GainPair:
        allowed = bool(
            np.all((stiffness >= 0.0) & (stiffness <= self._robot.max_stiffness))
            and np.all((damping >= 0.0) & (damping <= self._robot.max_damping))
        )
        sent_stiffness = _received(stiffness, STIFFNESS_QUANTUM)
        sent_damping = _received(damping, DAMPING_QUANTUM)
        return _GainPair(
            key,
            allowed,
            sent_stiffness,
            sent_damping,
            radians_per_nm=1.0 / np.maximum(sent_stiffness, _NO_STIFFNESS),
            reserve_per_speed=sent_damping + self._robot.torque_limit / self._robot.velocity_limit,
        )

    def _position_limits(self, measured: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The limits, widened to the pose in which the motors were switched on and shrinking as the robot moves inside.

        A folded robot rests outside them; commanding it to the limit at once would be a jump.
        """
        if self._previous is None:
            self._wide_lower = np.minimum(self._lower, measured)
            self._wide_upper = np.maximum(self._upper, measured)
            self._widened = True
        elif self._widened:
            self._wide_lower = np.maximum(self._wide_lower, np.minimum(self._lower, measured))
            self._wide_upper = np.minimum(self._wide_upper, np.maximum(self._upper, measured))
            self._widened = not (
                np.array_equal(self._wide_lower, self._lower) and np.array_equal(self._wide_upper, self._upper)
            )
        return self._wide_lower, self._wide_upper


_NO_STIFFNESS = 1e-9
"""Stands for zero where it is divided by; far below the wire's quantum [Nm/rad]."""


def _require_room(robot: RobotModel, lower: np.ndarray, upper: np.ndarray) -> None:
    for joint, low, high in zip(robot.joint_names, lower.tolist(), upper.tolist()):
        # Written so that NaN is refused.
        if not low <= high:
            raise LimitsError(
                f"a lower limit of {joint} at or below its upper one",
                f"{low:g} and {high:g} rad",
                "Correct the contract's target limits: nothing of theirs lies within the robot's.",
            )
    for name, most, largest in (
        ("max_stiffness", robot.max_stiffness, LARGEST_STIFFNESS),
        ("max_damping", robot.max_damping, LARGEST_DAMPING),
    ):
        if not 0.0 <= most <= largest:
            raise LimitsError(
                f"{name} within [0, {largest:g}]", f"{most:g}", "The wire's fixed point would wrap around: lower it."
            )


def _received(gain: np.ndarray, quantum: float) -> np.ndarray:
    """What a motor receives of a gain: rounded to float32 as the encoder does, then truncated to whole quanta."""
    return np.floor(gain.astype(np.float32) / quantum).astype(np.float64) * quantum


def _moved(before: np.ndarray, after: np.ndarray) -> int:
    return int(np.count_nonzero(np.abs(after - before) > ROUNDING_RAD))
