"""Joint signs and cables: each joint of a hanging robot in turn goes 0.05 rad forth and back, and must be seen to.

The motors close their own loops, so a joint follows its command whatever direction its axis is thought to have: which
way the leg really swings is for a person to see. `MOTIONS` says which way comes first.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deploy.host.doctor.findings import Finding, fault, ok
from deploy.onboard.clock import Clock
from deploy.onboard.gate import Gate
from deploy.onboard.link import Link
from deploy.onboard.reasons import reason_names
from deploy.onboard.target import JointTarget, Mode
from robot_configs.robot import RobotModel

AMPLITUDE_RAD = 0.05
PERIOD_S = 1.0
"""One sine for each joint."""
STIFFNESS_NM_RAD = 20.0
"""A third of the stand's: the largest torque is 1 Nm, enough for a hanging leg and no more."""
DAMPING_NMS_RAD = 1.0
GAIN_RAMP_S = 0.5
RUNAWAY_RAD = 0.3
"""No joint may leave the place where it started by more: then the feedback pushes instead of pulling."""
FAREWELL_FRAMES = 25
FIRST_STATE_S = 1.0
"""How long to wait for the first state."""

MINIMUM_RESPONSE = 0.25
"""Motion over command: a healthy hanging leg reaches 0.6 to 1."""
MAXIMUM_CROSSTALK = 0.5
"""Of another joint's motion over the command: a leg that swings shakes its neighbours by a tenth."""

MOTIONS = {
    "hip": "the leg swings to the robot's left first",
    "thigh": "the knee swings backward first",
    "calf": "the foot swings backward first",
}
"""What a person must see: the start of a positive rotation about +x (hip) and +y (thigh, calf) of a hanging leg."""


@dataclass(frozen=True)
class WiggleRecord:
    """What was asked of the joints, and what they did; N ticks."""

    moving: np.ndarray
    """(N,) int: the joint whose turn it was."""
    asked: np.ndarray
    """(N,) its command, relative to where it started [rad]."""
    measured: np.ndarray
    """(N, 12) positions relative to where they started [rad]."""
    stopped_by: str
    """Why it ended early; empty if it did not."""


def wiggle(robot: RobotModel, link: Link, clock: Clock, period_s: float = PERIOD_S) -> WiggleRecord:
    """Move every joint of a hanging robot once; it is damped afterwards, whatever happened."""
    wiggler = _Wiggler(robot, link, clock, period_s)
    try:
        return wiggler.run()
    finally:
        wiggler.damp()


class _Wiggler:
    def __init__(self, robot: RobotModel, link: Link, clock: Clock, period_s: float) -> None:
        self._robot, self._link, self._clock, self._period_s = robot, link, clock, period_s
        self._gate = Gate(robot)
        self._joints = len(robot.joint_names)
        self._damping = np.full(self._joints, DAMPING_NMS_RAD)
        self._full_stiffness = np.full(self._joints, STIFFNESS_NM_RAD)
        self._tick = 0
        self._start_s = clock.now_s()
        self._start_position = self._position = np.zeros(self._joints)

    def run(self) -> WiggleRecord:
        moving: list[int] = []
        asked: list[float] = []
        measured: list[np.ndarray] = []
        stopped_by = self._find_start()
        for joint, offset, stiffness in [] if stopped_by else self._plan():
            stopped_by = self._step(joint, offset, stiffness)
            if stopped_by:
                break
            moving.append(joint)
            asked.append(offset)
            measured.append(self._position - self._start_position)
        positions = np.array(measured).reshape(-1, self._joints)
        return WiggleRecord(np.array(moving, int), np.array(asked), positions, stopped_by)

    def damp(self) -> None:
        for _ in range(FAREWELL_FRAMES):
            self._link.send(self._gate.damping_command)
            self._wait()

    def _find_start(self) -> str:
        """Damp until the first state says where the joints are; returns why there is none."""
        for _ in range(round(FIRST_STATE_S * self._robot.link_hz)):
            self._link.send(self._gate.damping_command)
            self._wait()
            state = self._link.receive(0.0)
            faults = self._gate.inspect(state, self._clock.now_s())
            if state is not None and not faults:
                self._start_position = self._position = state.joint_position.astype(np.float64)
                return ""
        return ", ".join(reason_names(self._gate.state_faults))

    def _plan(self) -> list[tuple[int, float, float]]:
        """(joint, offset [rad], share of the stiffness) of every tick: gains up, then one sine a joint."""
        ramp_ticks, period_ticks = (round(t * self._robot.link_hz) for t in (GAIN_RAMP_S, self._period_s))
        rise = [(0, 0.0, tick / ramp_ticks) for tick in range(ramp_ticks)]
        sine = [AMPLITUDE_RAD * math.sin(2.0 * math.pi * tick / period_ticks) for tick in range(period_ticks)]
        return rise + [(joint, offset, 1.0) for joint in range(self._joints) for offset in sine]

    def _step(self, joint: int, offset: float, stiffness: float) -> str:
        """One tick through the gate; returns why the motion must stop."""
        self._wait()
        now_s = self._clock.now_s()
        state = self._link.receive(0.0)
        position = self._start_position.copy()
        position[joint] += offset
        gains = self._full_stiffness if stiffness == 1.0 else stiffness * self._full_stiffness
        target = JointTarget(position, gains, self._damping, now_s + self._robot.safety.target_age_limit_s)
        decision = self._gate.step(state, target, now_s, Mode.STAND)
        self._link.send(decision.command)
        if self._gate.latched:
            return ", ".join(reason_names(self._gate.latched))
        if state is not None:
            self._position = state.joint_position.astype(np.float64)
        excursion = np.abs(self._position - self._start_position)
        if excursion.max() > RUNAWAY_RAD:
            return f"{self._robot.joint_names[int(excursion.argmax())]} ran {excursion.max():.2f} rad away"
        return ""

    def _wait(self) -> None:
        self._tick += 1
        self._clock.sleep_until(self._start_s + self._tick / self._robot.link_hz)


def responses(record: WiggleRecord, joints: int) -> np.ndarray:
    """(12, 12): entry (i, j) is joint j's motion while joint i was asked to move, as a factor of what was asked.

    The least-squares slope on the command and its quarter-period lag, so that a soft joint that lags is not taken for
    a weak one; negative where the joint moves against the command.
    """
    result = np.zeros((joints, joints))
    for joint in range(joints):
        turn = (record.moving == joint) & (np.abs(record.asked) > 0.0)
        if np.count_nonzero(turn) < 8:
            continue
        asked = record.asked[turn]
        lagging = np.gradient(asked)
        lagging *= np.linalg.norm(asked) / max(float(np.linalg.norm(lagging)), 1e-12)
        basis = np.stack([asked, lagging, np.ones_like(asked)], axis=1)
        slopes = np.linalg.lstsq(basis, record.measured[turn], rcond=None)[0]
        in_phase, quadrature = slopes[0], slopes[1]
        result[joint] = np.copysign(np.hypot(in_phase, quadrature), in_phase)
    return result


def check_wiggle(record: WiggleRecord, robot: RobotModel) -> Finding:
    """Whether each joint, and only it, did what it was asked."""
    check, joints = "wiggle", len(robot.joint_names)
    if record.stopped_by:
        return fault(check, "wiggle-stopped", record.stopped_by)
    response = responses(record, joints)
    own = np.diag(response)
    others = response - np.diag(own)
    for diagnosis, wrong in (
        ("joint-order", np.abs(others).max(axis=1) > MAXIMUM_CROSSTALK),
        ("joint-sign", own < -MINIMUM_RESPONSE),
        ("joint-dead", own < MINIMUM_RESPONSE),
    ):
        if wrong.any():
            named = ", ".join(f"{robot.joint_names[joint]} {own[joint]:+.2f}" for joint in np.flatnonzero(wrong))
            return fault(check, diagnosis, f"{named} of the commanded motion")
    return ok(check, f"each joint followed, by {own.min():.2f} to {own.max():.2f} of the command")
