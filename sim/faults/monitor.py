"""A witness of every packet that leaves the runner, with a reading of go1.yaml's limits that is not the gate's."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import Deque, Optional, Set

import numpy as np

from deploy.onboard.packet_layout import (
    LOW_CMD,
    MOTORS,
    POSITION_STOP,
    TORQUE_QUANTUM,
    VELOCITY_STOP,
    crc32_mpeg2,
)
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM, RobotModel
from robot_configs.twin_conditions import Encoders

_FLOAT32_RAD = 1e-5  # what a float32 on the wire and one more in the policy may round a limit by
_SIGMAS = 5.0


class CommandMonitor:
    """Counts commands outside the limits, and remembers when the robot was told to move or to damp.

    `violations` counts by kind: malformed, battery_off, unused_motor, not_finite, gains, position, rate, torque, forged
    (the motors followed a packet that the runner never sent).

    The torque a command implies depends on a state that the runner knows late and with noise. It counts as too much
    when it exceeds the limit, by more than the encoders' error explains, at *every* true state of the time in which the
    gate accepts a state as fresh (`state_age_limit_s`).

    Args:
        encoders: their noise and offsets, for that tolerance.
        true_position, true_velocity: views (12,) of the joints' true state, always the present one [rad], [rad/s].
    """

    def __init__(
        self, robot: RobotModel, encoders: Encoders, true_position: np.ndarray, true_velocity: np.ndarray
    ) -> None:
        self._robot = robot
        self._position_now, self._velocity_now = true_position, true_velocity
        self._position_error = _SIGMAS * (encoders.position_noise_rad + encoders.zero_offset_rad)
        self._velocity_error = _SIGMAS * encoders.velocity_noise_rad_s
        fresh_ticks = round(robot.safety.state_age_limit_s * robot.link_hz)
        self._true_position: Deque[np.ndarray] = deque(maxlen=fresh_ticks)
        self._true_velocity: Deque[np.ndarray] = deque(maxlen=fresh_ticks)
        self._previous_target: Optional[np.ndarray] = None
        self._previous_s = -math.inf
        self._known: Set[bytes] = set()
        self._damping_packet = b""
        self.violations: Counter[str] = Counter()
        self.commands = 0
        self.longest_silence_s = 0.0
        self.first_damping_s: Optional[float] = None
        """When the first damping command left since `watch` was called."""
        self.motion_after_damping_s: Optional[float] = None
        """When the first other command left after that."""
        self._watching = False

    def watch(self) -> None:
        """Start to look for damping: the fault begins."""
        self._watching, self.first_damping_s, self.motion_after_damping_s = True, None, None

    def remember_state(self) -> None:
        """The twin is about to leave its present state; called once every tick."""
        self._true_position.append(self._position_now.copy())
        self._true_velocity.append(self._velocity_now.copy())

    def accepted(self, packet: bytes) -> None:
        """The motors follow this packet."""
        self.violations["forged"] += packet not in self._known

    def sent(self, packet: bytes, time_s: float) -> None:
        """A packet leaves the runner."""
        self._known.add(packet)
        self.commands += 1
        if self.commands > 1:
            self.longest_silence_s = max(self.longest_silence_s, time_s - self._previous_s)
        elapsed_s, self._previous_s = time_s - self._previous_s, time_s
        if packet == self._damping_packet:  # looked at before; it has neither target nor torque
            self._take_time(False, time_s)
            self._previous_target = None
            return
        if len(packet) != LOW_CMD.itemsize or crc32_mpeg2(packet[:608]) != int.from_bytes(packet[610:], "little"):
            self.violations["malformed"] += 1
            return
        record = np.frombuffer(packet, LOW_CMD)[0]
        self.violations["battery_off"] += bool(record["battery_off"])
        motors, unused = record["motors"][:MOTORS], record["motors"][MOTORS:]
        self.violations["unused_motor"] += bool(unused["stiffness"].any() or unused["damping"].any())
        position, velocity = motors["position"].astype(float), motors["velocity"].astype(float)
        stiffness, damping = motors["stiffness"] * STIFFNESS_QUANTUM, motors["damping"] * DAMPING_QUANTUM
        torque = motors["torque"] * TORQUE_QUANTUM
        self.violations["not_finite"] += not np.isfinite([position, velocity]).all()
        robot = self._robot
        self.violations["gains"] += bool((stiffness > robot.max_stiffness).any() or (damping > robot.max_damping).any())
        pulls = (stiffness > 0.0) & (np.abs(position) < POSITION_STOP)
        drives = (damping > 0.0) & (velocity != 0.0) & (np.abs(velocity) < VELOCITY_STOP)
        moves = bool((pulls | drives).any() or torque.any())
        self._take_time(moves, time_s)
        self._damping_packet = b"" if moves else packet
        self.violations["position"] += bool((pulls & self._outside(position)).any())
        brakes = damping * (np.abs(velocity) < VELOCITY_STOP)
        self._check_torque(np.where(pulls, stiffness, 0.0), brakes, position, velocity, torque)
        self._check_rate(position if pulls.all() else None, elapsed_s)

    def _outside(self, position: np.ndarray) -> np.ndarray:
        """Joints (12,) bool with a target past the limits; a joint that truly rests past them may be held there."""
        fresh = np.array([*self._true_position, self._position_now])
        lower = np.minimum(self._robot.joint_lower, fresh.min(axis=0) - self._position_error)
        upper = np.maximum(self._robot.joint_upper, fresh.max(axis=0) + self._position_error)
        outside: np.ndarray = (position < lower - _FLOAT32_RAD) | (position > upper + _FLOAT32_RAD)
        return outside

    def _take_time(self, moves: bool, time_s: float) -> None:
        if not self._watching:
            return
        if not moves and self.first_damping_s is None:
            self.first_damping_s = time_s
        elif moves and self.first_damping_s is not None and self.motion_after_damping_s is None:
            self.motion_after_damping_s = time_s

    def _check_torque(
        self, stiffness: np.ndarray, damping: np.ndarray, position: np.ndarray, velocity: np.ndarray, torque: np.ndarray
    ) -> None:
        """Damping alone cannot move a joint: only what pulls or pushes is held to the limit."""
        if not (stiffness.any() or torque.any()):
            return
        errors = position - np.array([*self._true_position, self._position_now])
        slips = velocity - np.array([*self._true_velocity, self._velocity_now])
        implied = np.abs(stiffness * errors + damping * slips + torque)
        allowed = self._robot.torque_limit + stiffness * self._position_error + damping * self._velocity_error
        self.violations["torque"] += bool((implied > allowed).all(axis=0).any())

    def _check_rate(self, target: Optional[np.ndarray], elapsed_s: float) -> None:
        if target is not None and self._previous_target is not None:
            allowed = self._robot.safety.max_target_rate_rad_s * max(elapsed_s, 1.0 / self._robot.link_hz)
            self.violations["rate"] += bool(np.abs(target - self._previous_target).max() > allowed + _FLOAT32_RAD)
        self._previous_target = target
