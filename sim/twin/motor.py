"""The twelve motors: what a command that arrived on the wire becomes at the joints."""

from __future__ import annotations

from collections import deque
from typing import Deque, NamedTuple

import numpy as np

from deploy.onboard.packet_layout import MOTORS, TORQUE_QUANTUM, WireError
from deploy.onboard.state_checks import all_true
from deploy.onboard.wire import MOTOR_MODE_DAMPING, MOTOR_MODE_SERVO, POSITION_STOP, VELOCITY_STOP, JointCommand
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM, RobotModel
from robot_configs.twin_conditions import Motors

_ALL_SERVO = bytes([MOTOR_MODE_SERVO] * MOTORS)
# Fixed point of feed-forward torque, stiffness and damping.
_COUNTS_PER_UNIT = np.repeat(
    [[1.0 / TORQUE_QUANTUM], [1.0 / STIFFNESS_QUANTUM], [1.0 / DAMPING_QUANTUM]], MOTORS, axis=1
)
# From here on a position or a velocity leaves its term out.
_STOPS = np.repeat([[POSITION_STOP], [VELOCITY_STOP]], MOTORS, axis=1)


class MotorCommandError(WireError):
    """A command with a number that is not finite: it passed the CRC, yet no motor can follow it."""


class _Drive(NamedTuple):
    """A command reduced to `bias - stiffness q - damping dq`, and the physics step from which on it acts."""

    bias: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    feed_forward: np.ndarray
    mode: np.ndarray
    due_step: int


class MotorBank:
    """Motors with their own PD loop, gains in fixed point, a delay, a torque-speed envelope and a strength.

    Each physics step, per joint:

        demand    = Kp (q* - q) + Kd (dq* - dq) + tau_ff      Kp, Kd, tau_ff truncated as on the wire
        limit     = torque_limit (1 - |dq| / velocity_limit)  against the motion always the full torque_limit
        delivered = strength clip(demand, limit)

    `PosStopF` leaves the position term out and `VelStopF` the damping term. In every mode but 0x0A the motor brakes
    with the robot's damping gain. The real loop runs at 10 to 20 kHz [published]; at 1 kHz it is stable while
    Kd dt / inertia < 2: up to 8 Nm s/rad for a bare hip or thigh rotor, and past every gain the robot allows with the
    leg on it.

    The last command acts for ever: what the real controller does when commands stop is not documented, so the worst is
    assumed.
    """

    def __init__(self, robot: RobotModel, motors: Motors) -> None:
        self._per_speed = 1.0 / robot.velocity_limit
        # Rows: the largest and the smallest torque the envelope allows, as fractions and in Nm.
        self._limits = np.array([robot.torque_limit, -robot.torque_limit])
        self._brake = robot.damp.damping
        self._strength = np.array(motors.strength)
        self._delay_steps = motors.command_delay_ms
        self._demand, self._term, self._speed = np.empty(MOTORS), np.empty(MOTORS), np.empty(MOTORS)
        self._envelope = np.empty((2, MOTORS))
        self._highest, self._lowest = self._envelope
        # As arrays of the same shape: a number or a row costs NumPy twice as much as the sum itself.
        self._zeros, self._ones = np.zeros((2, MOTORS)), np.ones((2, MOTORS))
        self._one = self._ones[0]
        self.delivered = np.empty(MOTORS)
        """(12,) torque at the joints in the last step [Nm]; overwritten by the next."""
        self.switch_off()

    def switch_off(self) -> None:
        """Forget every command: all motors brake, as after power-up."""
        self._waiting: Deque[_Drive] = deque()
        zeros = np.zeros(MOTORS)
        off = JointCommand(np.full(MOTORS, MOTOR_MODE_DAMPING, dtype=np.uint8), zeros, zeros, zeros, zeros, zeros)
        self._active = self._reduce(off, 0)
        self._demand.fill(0.0)
        self.delivered.fill(0.0)

    def accept(self, command: JointCommand, step: int) -> None:
        """Take a command that arrived before physics step `step`; it acts after the delay.

        Raises:
            MotorCommandError: a term of it is not finite; the motors go on with what they had.
        """
        self._waiting.append(self._reduce(command, step + self._delay_steps))

    def torque(self, step: int, joint_position: np.ndarray, joint_velocity: np.ndarray) -> np.ndarray:
        """Torque (12,) [Nm] that the motors put on the joints in physics step `step`; valid until the next call."""
        while self._waiting and self._waiting[0].due_step <= step:
            self._active = self._waiting.popleft()
        drive, demand, term, speed, envelope = self._active, self._demand, self._term, self._speed, self._envelope
        # The third argument, `out`, takes the result: this runs a thousand times per simulated second.
        np.multiply(drive.stiffness, joint_position, demand)
        np.subtract(drive.bias, demand, demand)
        np.multiply(drive.damping, joint_velocity, term)
        np.subtract(demand, term, demand)

        np.multiply(self._per_speed, joint_velocity, speed)
        np.subtract(self._one, speed, self._highest)
        np.add(self._one, speed, self._lowest)
        np.minimum(envelope, self._ones, out=envelope)
        np.maximum(envelope, self._zeros, out=envelope)
        np.multiply(envelope, self._limits, envelope)
        np.minimum(demand, self._highest, out=demand)
        np.maximum(demand, self._lowest, out=demand)
        return np.multiply(demand, self._strength, self.delivered)

    @property
    def estimated_torque(self) -> np.ndarray:
        """(12,) what the motors believe they deliver [Nm]: they measure current, so a weak motor does not notice."""
        return self._demand

    def set_strength(self, joint: int, strength: float) -> None:
        """From now on, motor `joint` delivers this share of what is demanded [-]."""
        self._strength[joint] = strength

    @property
    def mode(self) -> np.ndarray:
        """(12,) uint8, mode of the command that acts."""
        return self._active.mode

    @property
    def holds_nothing(self) -> bool:
        """Whether no motor has a position term or feed-forward torque: the robot can be handled safely."""
        drive = self._active
        return not (drive.stiffness.any() or drive.feed_forward.any())

    def _reduce(self, command: JointCommand, due_step: int) -> _Drive:
        terms = np.array(
            [command.position, command.velocity, command.torque, command.stiffness, command.damping], dtype=np.float64
        )
        if not all_true(np.isfinite(terms)):
            raise MotorCommandError(
                "finite positions, velocities, torques and gains",
                f"a term of motor {int(np.argmin(np.isfinite(terms).all(axis=0)))} that is not",
                "Limit commands before they are sent.",
            )
        position, velocity = terms[0], terms[1]
        # Values that came over the wire are already whole counts and stay as they are.
        fixed = np.trunc(terms[2:] * _COUNTS_PER_UNIT) / _COUNTS_PER_UNIT
        fixed[1:] *= np.abs(terms[:2]) < _STOPS
        feed_forward, stiffness, damping = fixed
        if command.mode.tobytes() == _ALL_SERVO:
            bias = stiffness * position + damping * velocity + feed_forward
        else:
            idle = command.mode != MOTOR_MODE_SERVO
            fixed[:, idle] = 0.0
            bias = stiffness * position + damping * velocity + feed_forward
            damping[idle] = self._brake
        return _Drive(bias, stiffness, damping, feed_forward, command.mode, due_step)
