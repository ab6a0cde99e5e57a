"""The gate: nothing reaches a motor that has not passed these checks, in this order, and what is in doubt is damped.

    state  present, fresh -> finite -> tick advances -> quaternion of norm one -> upright -> motors cool -> battery
    person stop key
    target present, fresh -> finite -> gains allowed | position limits -> rate of change -> implied torque
           (a failure left of the bar is a fault)    (what is right of it is moved to the limit, and counted)

A fault latches: the gate answers with damping until `rearm`, whatever is asked of it. While the robot is damped anyway
(DAMP) nothing but the stop key latches, because there is nothing safer to fall back to.

The limits' values and their sources are in robot_configs/go1.yaml. The wire's fixed-point range (Kp below 2048, Kd
below 4096) is held by `max_stiffness` and `max_damping`, which are far inside; the encoder refuses the rest.
"""

from __future__ import annotations

import math
from typing import FrozenSet, NamedTuple, Optional, Tuple

import numpy as np

from deploy.onboard.reasons import ClampCounts, Reason, reason_names
from deploy.onboard.remote import Key, pressed_keys
from deploy.onboard.target import MOVING_MODES, JointTarget, Mode
from deploy.onboard.wire import MOTOR_MODE_SERVO, JointCommand, RobotState
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM, RobotModel

STOP_KEY = Key.B
"""One key, no combination: it must be hit without thinking. (The vendor's own L2+B contains it.)"""

TICK_MODULUS = 2**32

ROUNDING_RAD = 1e-6
"""A target moved by less was not moved: policies compute in float32, the limits are float64 [rad]."""


NO_CLAMPS = ClampCounts(0, 0, 0)


class GateDecision(NamedTuple):
    """What goes to the motors, and why it is not what was asked."""

    command: JointCommand
    reasons: int
    """Bit set of `Reason`."""
    clamped: ClampCounts


class _GainLimits(NamedTuple):
    """What follows from one pair of gains, computed once for as long as the same arrays come."""

    stiffness: np.ndarray
    damping: np.ndarray
    allowed: bool
    torque_half_width: np.ndarray
    """How far from its torque-free point the target reaches the torque limit [rad]; inf where Kp is 0."""
    damping_ratio: np.ndarray
    """Kd / Kp [s]; 0 where Kp is 0."""


class Gate:
    """Checks states, limits targets, latches faults. No clock, no socket, no threads: time comes as an argument.

    Args:
        robot: limits and thresholds.
        joint_lower, joint_upper: the policy contract's own position limits (12,) [rad], intersected with the robot's.
    """

    def __init__(
        self,
        robot: RobotModel,
        joint_lower: Optional[np.ndarray] = None,
        joint_upper: Optional[np.ndarray] = None,
    ) -> None:
        self._robot = robot
        self._safety = robot.safety
        self._lower = robot.joint_lower if joint_lower is None else np.maximum(robot.joint_lower, joint_lower)
        self._upper = robot.joint_upper if joint_upper is None else np.minimum(robot.joint_upper, joint_upper)
        self._wide_lower, self._wide_upper, self._widened = self._lower, self._upper, False
        self._cosine_of_tilt_limit = math.cos(self._safety.tilt_limit_rad)
        self._damping_command = JointCommand.damp(robot)
        joints = len(robot.joint_names)
        self._servo = np.full(joints, MOTOR_MODE_SERVO, dtype=np.uint8)
        self._zeros = np.zeros(joints)
        self._gains: Optional[_GainLimits] = None
        self._state: Optional[RobotState] = None
        self._state_time_s = -math.inf
        self._tick_jumped = False
        self._state_faults = int(Reason.STATE_MISSING)
        self.keys: FrozenSet[Key] = frozenset()
        """Keys held down in the newest state."""
        self._latched = 0
        self._previous_position: Optional[np.ndarray] = None
        self._previous_time_s = -math.inf

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
            self._accept(state, time_s)
        self._state_faults = self._check_state(time_s)
        return self._state_faults

    def limit(self, target: Optional[JointTarget], time_s: float, mode: Mode) -> GateDecision:
        """The command for this tick: `target` within every limit, or damping."""
        faults = self._state_faults
        if mode in MOVING_MODES:
            faults |= self._check_target(target, time_s)
        else:
            faults &= int(Reason.STOP_KEY)
        if faults and not self._latched:
            self._latched = faults
        if self._latched or mode not in MOVING_MODES or target is None:
            self._previous_position = None
            return GateDecision(self._damping_command, self._latched, NO_CLAMPS)
        return self._clamp(target, time_s)

    def rearm(self, time_s: float) -> Tuple[str, ...]:
        """Release the latch if the newest state is fit to move; else return the names of what stands against it."""
        self._tick_jumped = False
        faults = self._check_state(time_s)
        if not faults:
            self._latched = 0
        return reason_names(faults)

    def _accept(self, state: RobotState, time_s: float) -> None:
        """Keep the state unless its tick shows that it is a repetition or came late; those do not count as fresh."""
        if self._state is not None:
            # The tick is an unsigned 32-bit counter: the shorter way round tells a late packet from a wrapped counter.
            advance = (state.tick_ms - self._state.tick_ms + TICK_MODULUS // 2) % TICK_MODULUS - TICK_MODULUS // 2
            if abs(advance) > self._safety.max_tick_gap_ms:
                self._tick_jumped = True
            elif advance <= 0:
                return
        self._state = state
        self._state_time_s = time_s
        self.keys = pressed_keys(state.remote)

    def _check_state(self, time_s: float) -> int:
        state, safety = self._state, self._safety
        if state is None:
            return int(Reason.STATE_MISSING)
        if time_s - self._state_time_s > safety.state_age_limit_s:
            return int(Reason.STATE_STALE) | self._stop_pressed()
        # One sum instead of forty comparisons: it is finite exactly when every addend is (overflow is a fault too). In
        # Python's floats, because that is faster than NumPy on a dozen numbers.
        total = (
            sum(state.joint_position.tolist())
            + sum(state.joint_velocity.tolist())
            + sum(state.joint_torque.tolist())
            + sum(state.angular_velocity_trunk_in_trunk.tolist())
            + sum(state.accelerometer_trunk_in_trunk.tolist())
        )
        w, x, y, z = state.orientation_trunk_in_world.tolist()
        squared_norm = w * w + x * x + y * y + z * z
        if not math.isfinite(total + squared_norm):
            return int(Reason.STATE_NOT_FINITE) | self._stop_pressed()
        faults = self._stop_pressed()
        if self._tick_jumped:
            faults |= Reason.TICK_JUMP
        if abs(math.sqrt(squared_norm) - 1.0) > safety.quaternion_norm_tolerance:
            faults |= Reason.QUATERNION_NORM
        elif w * w - x * x - y * y + z * z < self._cosine_of_tilt_limit * squared_norm:
            faults |= Reason.TILT
        if max(state.joint_temperature.tolist()) > safety.motor_temperature_limit_c:
            faults |= Reason.MOTOR_HOT
        if state.battery_soc_percent < safety.battery_soc_minimum_percent:
            faults |= Reason.BATTERY_LOW
        return int(faults)

    def _stop_pressed(self) -> int:
        return int(Reason.STOP_KEY) if STOP_KEY in self.keys else 0

    def _check_target(self, target: Optional[JointTarget], time_s: float) -> int:
        if target is None:
            return int(Reason.TARGET_MISSING)
        # Written so that a valid_until of NaN is stale too.
        if not time_s <= target.valid_until_s:
            return int(Reason.TARGET_STALE)
        gains = self._gain_limits(target)
        if not math.isfinite(sum(target.position.tolist())):
            return int(Reason.TARGET_NOT_FINITE)
        return 0 if gains.allowed else int(Reason.GAINS_OUT_OF_RANGE)

    def _gain_limits(self, target: JointTarget) -> _GainLimits:
        gains = self._gains
        if gains is not None and gains.stiffness is target.stiffness and gains.damping is target.damping:
            return gains
        stiffness, damping = target.stiffness, target.damping
        allowed = bool(
            np.all((stiffness >= 0.0) & (stiffness <= self._robot.max_stiffness))
            and np.all((damping >= 0.0) & (damping <= self._robot.max_damping))
        )
        # The motor multiplies with what the wire's fixed point leaves of the gains.
        sent_stiffness = np.floor(stiffness / STIFFNESS_QUANTUM) * STIFFNESS_QUANTUM
        sent_damping = np.floor(damping / DAMPING_QUANTUM) * DAMPING_QUANTUM
        pulls = sent_stiffness > 0.0
        divisor = np.where(pulls, sent_stiffness, 1.0)
        self._gains = _GainLimits(
            stiffness,
            damping,
            allowed,
            torque_half_width=np.where(pulls, self._robot.torque_limit / divisor, math.inf),
            damping_ratio=np.where(pulls, sent_damping / divisor, 0.0),
        )
        return self._gains

    def _clamp(self, target: JointTarget, time_s: float) -> GateDecision:
        """Move the target into the limits; called with a checked state and target only."""
        assert self._state is not None
        measured = self._state.joint_position
        lower, upper = self._position_limits(measured)
        if self._previous_position is None:
            self._previous_position, self._previous_time_s = measured, time_s
        within_limits = np.minimum(np.maximum(target.position, lower), upper)
        step = self._safety.max_target_rate_rad_s * max(time_s - self._previous_time_s, 1.0 / self._robot.link_hz)
        within_rate = np.minimum(
            np.maximum(within_limits, self._previous_position - step), self._previous_position + step
        )
        # |Kp (q* - q) - Kd dq| <= torque limit, solved for q*.
        gains = self._gain_limits(target)
        center = measured + gains.damping_ratio * self._state.joint_velocity
        position = np.minimum(
            np.maximum(within_rate, center - gains.torque_half_width), center + gains.torque_half_width
        )
        self._previous_position, self._previous_time_s = position, time_s
        reasons, clamped = 0, NO_CLAMPS
        if np.abs(position - target.position).max() > ROUNDING_RAD:
            counts = (
                _moved(target.position, within_limits),
                _moved(within_limits, within_rate),
                _moved(within_rate, position),
            )
            clamped = ClampCounts(*counts)
            reasons = sum(
                int(reason)
                for reason, count in zip((Reason.POSITION_CLAMPED, Reason.RATE_CLAMPED, Reason.TORQUE_CLAMPED), counts)
                if count
            )
        command = JointCommand(
            mode=self._servo,
            position=position,
            velocity=self._zeros,
            torque=self._zeros,
            stiffness=target.stiffness,
            damping=target.damping,
        )
        return GateDecision(command, reasons, clamped)

    def _position_limits(self, measured: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        """The limits, widened to the pose in which the motors were switched on and shrinking as the robot moves inside.

        A folded robot rests outside them; commanding it to the limit at once would be a jump.
        """
        if self._previous_position is None:
            self._wide_lower = np.minimum(self._lower, measured)
            self._wide_upper = np.maximum(self._upper, measured)
            self._widened = True
        elif self._widened:
            self._wide_lower = np.maximum(self._wide_lower, np.minimum(self._lower, measured))
            self._wide_upper = np.minimum(self._wide_upper, np.maximum(self._upper, measured))
            self._widened = bool(np.any(self._wide_lower < self._lower) or np.any(self._wide_upper > self._upper))
        return self._wide_lower, self._wide_upper


def _moved(before: np.ndarray, after: np.ndarray) -> int:
    return int(np.count_nonzero(np.abs(after - before) > ROUNDING_RAD))
