"""The wiggle on a robot made of nothing: who follows, who does not, who moves instead, and when it stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import pytest

from deploy.host.doctor.findings import Finding, Verdict
from deploy.host.doctor.wiggle import (
    AMPLITUDE_RAD,
    STIFFNESS_NM_RAD,
    WiggleRecord,
    check_wiggle,
    responses,
    wiggle,
)
from deploy.onboard.clock import VirtualClock
from deploy.onboard.packet_layout import BATTERY_CELLS, MOTORS
from deploy.onboard.remote import IDLE_REMOTE, Key, encode_remote
from deploy.onboard.wire import JointCommand, RobotState

FR_HIP, FR_CALF, FL_THIGH = 0, 2, 4
PERIOD_S = 0.12
"""Short, for a robot without inertia [s]."""
START = np.tile([0.0, 1.0, -1.9], 4)


class HangingRobot:
    """A link to motors that reach `gain` times their command at once; `answer` turns offsets into what is reported."""

    def __init__(self, answer: Callable[[np.ndarray], np.ndarray] = lambda offset: 0.9 * offset) -> None:
        self.answer = answer
        self.position = self._before = START.copy()
        self.sent: list[JointCommand] = []
        self.silent_from = 10**9
        self.remote = IDLE_REMOTE

    def send(self, command: JointCommand) -> None:
        self.sent.append(command)
        if command.stiffness[0] > 0.0:
            self.position = START + self.answer(command.position - START)

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        if len(self.sent) > self.silent_from:
            return None
        velocity, self._before = (self.position - self._before) / 0.002, self.position
        # Live sensors never say the same thing twice.
        noise = 1e-4 * np.sin(len(self.sent))
        return RobotState(
            tick_ms=2 * len(self.sent),
            orientation_trunk_in_world=np.array([1.0, noise, 0.0, 0.0], np.float32),
            angular_velocity_trunk_in_trunk=np.full(3, noise, np.float32),
            accelerometer_trunk_in_trunk=np.array([noise, 0.0, 9.81], np.float32),
            roll_pitch_yaw=np.zeros(3, np.float32),
            imu_temperature=40,
            joint_position=self.position.astype(np.float32),
            joint_velocity=(velocity + noise).astype(np.float32),
            joint_torque=np.zeros(MOTORS, np.float32),
            joint_temperature=np.full(MOTORS, 30, np.int8),
            joint_mode=np.full(MOTORS, 10, np.uint8),
            foot_force=np.zeros(4, np.int16),
            battery_soc_percent=80,
            battery_current_ma=-1500,
            battery_cell_mv=np.full(BATTERY_CELLS, 3200, np.int16),
            remote=self.remote,
        )

    def close(self) -> None:
        pass

    @property
    def statistics(self) -> Any:
        raise NotImplementedError


def examined(robot: Any, link: HangingRobot) -> Finding:
    finding = check_wiggle(wiggle(robot, link, VirtualClock(), PERIOD_S), robot)
    assert all(command.stiffness.max() == 0.0 for command in link.sent[-20:]), "the last commands must damp"
    return finding


def test_a_healthy_robot_follows_softly_and_never_far(robot: Any) -> None:
    link = HangingRobot()
    finding = examined(robot, link)
    assert finding.verdict is Verdict.OK, finding
    assert "0.90 to 0.90" in finding.detail
    moves = [command for command in link.sent if command.stiffness.max() > 0.0]
    assert len(moves) >= round(MOTORS * PERIOD_S * robot.link_hz)
    assert max(command.stiffness.max() for command in moves) == STIFFNESS_NM_RAD
    largest = np.max([np.abs(command.position - START) for command in moves], axis=0)
    assert largest == pytest.approx(np.full(MOTORS, AMPLITUDE_RAD), abs=1e-6)
    # One joint at a time, and the gains rise before anything moves.
    assert max(np.count_nonzero(np.abs(command.position - START) > 1e-5) for command in moves) == 1
    assert moves[0].stiffness.max() < 0.1 * STIFFNESS_NM_RAD
    soft = [command for command in moves if command.stiffness.max() < STIFFNESS_NM_RAD]
    assert all(np.allclose(command.position, START, atol=1e-6) for command in soft)


def test_a_joint_that_moves_backwards(robot: Any) -> None:
    signs = np.full(MOTORS, 0.9)
    signs[FL_THIGH] = -0.7
    finding = examined(robot, HangingRobot(lambda offset: signs * offset))
    assert finding.diagnosis == "joint-sign"
    assert "FL_thigh -0.70" in finding.detail


def test_a_joint_that_does_not_move(robot: Any) -> None:
    gains = np.full(MOTORS, 0.9)
    gains[FR_CALF] = 0.1
    finding = examined(robot, HangingRobot(lambda offset: gains * offset))
    assert finding.diagnosis == "joint-dead"
    assert "FR_calf" in finding.detail and "FL_calf" not in finding.detail


def test_swapped_cables(robot: Any) -> None:
    swapped = np.arange(MOTORS)
    swapped[[FR_HIP, FL_THIGH]] = FL_THIGH, FR_HIP
    finding = examined(robot, HangingRobot(lambda offset: 0.9 * offset[swapped]))
    assert finding.diagnosis == "joint-order"
    assert "FR_hip" in finding.detail and "FL_thigh" in finding.detail


def test_a_joint_that_runs_away_is_let_go_at_once(robot: Any) -> None:
    link = HangingRobot(lambda offset: 8.0 * offset)
    finding = examined(robot, link)
    assert finding.diagnosis == "wiggle-stopped"
    assert "FR_hip ran 0.3" in finding.detail
    assert np.abs(np.array([c.position - START for c in link.sent if c.stiffness.max() > 0])).max() < 0.045


def test_a_robot_that_falls_silent(robot: Any) -> None:
    link = HangingRobot()
    link.silent_from = 300
    finding = examined(robot, link)
    assert finding.diagnosis == "wiggle-stopped" and "state_stale" in finding.detail
    assert len(link.sent) < 360


def test_the_stop_key(robot: Any) -> None:
    link = HangingRobot()
    link.remote = encode_remote({Key.B})
    finding = examined(robot, link)
    assert finding.diagnosis == "wiggle-stopped" and "stop_key" in finding.detail
    assert all(command.stiffness.max() == 0.0 for command in link.sent)


def test_a_robot_that_never_speaks_is_never_moved(robot: Any) -> None:
    link = HangingRobot()
    link.silent_from = -1
    finding = examined(robot, link)
    assert finding.diagnosis == "wiggle-stopped" and "state_missing" in finding.detail
    assert all(command.stiffness.max() == 0.0 for command in link.sent)


def test_a_lagging_joint_is_not_taken_for_a_weak_one() -> None:
    """Amplitude 0.6 at 45 degrees of lag: 0.42 in phase, 0.42 behind; together 0.6."""
    phase = 2.0 * np.pi * np.arange(500) / 500
    measured = np.zeros((500, MOTORS))
    measured[:, 3] = 0.6 * AMPLITUDE_RAD * np.sin(phase - np.pi / 4)
    record = WiggleRecord(np.full(500, 3), AMPLITUDE_RAD * np.sin(phase), measured, "")
    assert responses(record, MOTORS)[3, 3] == pytest.approx(0.6, abs=0.01)
