"""The gate: nothing reaches a motor that has not passed these checks, in this order, and what is in doubt is damped.

    state  present, fresh -> its tick (`tick_clock`) -> what it says for itself (`state_checks`)
           -> what it says beside the states before it (`plausibility`)
    person stop key
    target what is refused, what is moved to a limit (`target_limits`)

A fault latches: the gate answers with damping until `rearm`, whatever is asked of it. While the robot is damped anyway
(DAMP) nothing but the stop key latches, because there is nothing safer to fall back to.

The limits' values and their sources are in robot_configs/go1.yaml. Nothing here can switch the battery off: a
`JointCommand` has no such field, and the encoder leaves that byte zero.
"""

from __future__ import annotations

from typing import FrozenSet, NamedTuple, Optional, Tuple

import numpy as np

from deploy.onboard.packet_layout import MOTORS
from deploy.onboard.plausibility import PlausibilityMonitor
from deploy.onboard.reasons import ClampCounts, Reason, reason_names
from deploy.onboard.remote import Key, pressed_keys
from deploy.onboard.state_checks import POSITION, VELOCITY, ConditionChecks, SignalRanges, signals
from deploy.onboard.target import MOVING_MODES, JointTarget, Mode
from deploy.onboard.target_limits import NO_CLAMPS, TargetLimits
from deploy.onboard.tick_clock import ROUNDING_S, TickAdvance, TickClock
from deploy.onboard.wire import MOTOR_MODE_SERVO, JointCommand, RobotState
from robot_configs.robot import RobotModel

STOP_KEY = Key.B
"""One key, no combination: it must be hit without thinking. (The vendor's own L2+B contains it.)"""


class GateDecision(NamedTuple):
    """What goes to the motors, and why it is not what was asked."""

    command: JointCommand
    reasons: int
    """Bit set of `Reason`."""
    clamped: ClampCounts


class Gate:
    """Checks states, limits targets, latches faults. No clock, no socket, no threads: time comes as an argument.

    Args:
        robot: limits and thresholds.
        joint_lower, joint_upper: the policy contract's own position limits (12,) [rad], intersected with the robot's.

    Raises:
        target_limits.LimitsError: the limits leave no room, or do not fit the wire.
    """

    def __init__(
        self, robot: RobotModel, joint_lower: Optional[np.ndarray] = None, joint_upper: Optional[np.ndarray] = None
    ) -> None:
        self._state_age_limit_s = robot.safety.state_age_limit_s
        self._ticks = TickClock(robot)
        self._ranges, self._condition = SignalRanges(robot), ConditionChecks(robot)
        self._monitor = PlausibilityMonitor(robot)
        self._limits = TargetLimits(robot, joint_lower, joint_upper)
        self._damping_command = JointCommand.damp(robot)
        self._servo, self._zeros = np.full(MOTORS, MOTOR_MODE_SERVO, dtype=np.uint8), np.zeros(MOTORS)
        self._newest: Optional[_Inspected] = None
        self._state_faults = int(Reason.STATE_MISSING)
        self.keys: FrozenSet[Key] = frozenset()
        """Keys held down in the newest state."""
        self._latched = 0

    @property
    def latched(self) -> int:
        """Bit set of the faults that hold the robot damped; 0 while armed."""
        return self._latched

    @property
    def state_faults(self) -> int:
        """Bit set of what was wrong with the state at the last `inspect`."""
        return self._state_faults

    @property
    def damping_command(self) -> JointCommand:
        """The command that stops the robot."""
        return self._damping_command

    def step(
        self, state: Optional[RobotState], target: Optional[JointTarget], time_s: float, mode: Mode
    ) -> GateDecision:
        """`inspect` and `limit` in one."""
        self.inspect(state, time_s)
        return self.limit(target, time_s, mode)

    def inspect(self, state: Optional[RobotState], time_s: float) -> int:
        """Take a new state (None: nothing was received) and return the bit set of what is wrong with the newest one."""
        if state is not None:
            advance = self._ticks.take(state.tick_ms, time_s)
            # A repetition, or a state that was overtaken by a newer one, does not count as fresh.
            if advance is not None:
                self._accept(state, advance, time_s)
        self._state_faults = self._faults_at(time_s)
        return self._state_faults

    def limit(self, target: Optional[JointTarget], time_s: float, mode: Mode) -> GateDecision:
        """The command for this tick: `target` within every limit, or damping."""
        faults, moving = self._state_faults, mode in MOVING_MODES
        if moving:
            faults |= self._limits.faults(target, time_s)
        else:
            faults &= int(Reason.STOP_KEY)
        if faults and not self._latched:
            self._latched = faults
        if self._latched or not moving or target is None or self._newest is None:
            self._limits.release()
            return GateDecision(self._damping_command, self._latched, NO_CLAMPS)
        values = self._newest.values
        position, clamped = self._limits.apply(target, values[POSITION], values[VELOCITY], time_s)
        command = JointCommand(self._servo, position, self._zeros, self._zeros, target.stiffness, target.damping)
        return GateDecision(command, _clamp_reasons(clamped), clamped)

    def rearm(self, time_s: float) -> Tuple[str, ...]:
        """Release the latch if the newest state is fit to move; else return the names of what stands against it."""
        faults = self._faults_at(time_s)
        if not faults:
            self._latched = 0
        return reason_names(faults)

    def _accept(self, state: RobotState, advance: TickAdvance, time_s: float) -> None:
        values = signals(state)
        faults = advance.faults | self._ranges.faults(values)
        if not faults & _UNUSABLE:
            faults |= self._condition.faults(state)
        if faults & _UNUSABLE or not advance.advance_ms:
            self._monitor.reset()
        if not faults & _UNUSABLE:
            implausible = self._monitor.observe(values.tolist(), 1e-3 * advance.advance_ms)
            # What a state says for itself is named alone: the rest may well follow from it.
            faults = faults or implausible
        self._newest = _Inspected(values, time_s, faults)
        self.keys = pressed_keys(state.remote)

    def _faults_at(self, time_s: float) -> int:
        if self._newest is None:
            return int(Reason.STATE_MISSING)
        stop = int(Reason.STOP_KEY) if STOP_KEY in self.keys else 0
        # Written so that a time of NaN is stale.
        if not time_s - self._newest.time_s <= self._state_age_limit_s + ROUNDING_S:
            return int(Reason.STATE_STALE) | stop
        return self._newest.faults | stop


class _Inspected(NamedTuple):
    """The newest state: its signals, when it came [s], and the bit set of what was wrong with it."""

    values: np.ndarray
    time_s: float
    faults: int


_UNUSABLE = int(
    Reason.STATE_NOT_FINITE
    | Reason.QUATERNION_NORM
    | Reason.IMU_RANGE
    | Reason.JOINT_POSITION_RANGE
    | Reason.JOINT_VELOCITY_RANGE
)
"""What nothing can be computed with."""


def _clamp_reasons(clamped: ClampCounts) -> int:
    if clamped is NO_CLAMPS:
        return 0
    reasons = (Reason.POSITION_CLAMPED, Reason.RATE_CLAMPED, Reason.TORQUE_CLAMPED)
    return sum(int(reason) for reason, count in zip(reasons, clamped) if count)
