"""The gate: what lets a target through, what moves it, and what damps whatever is asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deploy.onboard.gate import STOP_KEY, Gate, GateDecision
from deploy.onboard.reasons import Reason
from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.target import Mode
from deploy.onboard.target_limits import NO_CLAMPS
from robot_configs.robot import RobotModel
from tests.deploy.onboard.gate.bench import is_damping
from tests.deploy.onboard.limit_bench import NOW_S, TICK_S, make_target


def test_a_healthy_state_and_a_good_target_pass_unchanged(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    target = make_target(robot)
    decision = gate.step(make_state(), target, NOW_S, Mode.WALK)
    assert (decision.reasons, decision.clamped, gate.latched) == (0, (0, 0, 0), 0)
    assert np.array_equal(decision.command.position, target.position)
    assert np.array_equal(decision.command.stiffness, target.stiffness)
    assert np.array_equal(decision.command.damping, target.damping)


@pytest.mark.parametrize("mode", [Mode.DAMP, Mode.FAULT])
def test_the_resting_modes_damp_whatever_the_target(robot: RobotModel, gate: Gate, make_state: Any, mode: Mode) -> None:
    assert is_damping(robot, gate.step(make_state(), make_target(robot), NOW_S, mode))
    assert gate.latched == 0


@pytest.mark.parametrize("mode", list(Mode))
def test_the_stop_key_latches_in_every_mode(robot: RobotModel, gate: Gate, make_state: Any, mode: Mode) -> None:
    pressed = make_state(remote=encode_remote({STOP_KEY}))
    assert is_damping(robot, gate.step(pressed, make_target(robot), NOW_S, mode))
    assert gate.latched == Reason.STOP_KEY
    assert gate.rearm(NOW_S) == ("stop_key",)


def test_the_stop_key_acts_together_with_others(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    gate.step(make_state(remote=encode_remote({STOP_KEY, Key.L2})), make_target(robot), NOW_S, Mode.WALK)
    assert gate.latched == Reason.STOP_KEY


def test_another_key_does_not_stop(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    others = set(Key) - {STOP_KEY}
    gate.step(make_state(remote=encode_remote(others)), make_target(robot), NOW_S, Mode.WALK)
    assert gate.latched == 0


def test_walking_without_a_target_is_a_fault(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    assert is_damping(robot, gate.step(make_state(), None, NOW_S, Mode.WALK))
    assert gate.latched == Reason.TARGET_MISSING


def test_a_target_that_was_moved_is_followed_and_the_reasons_are_named(
    robot: RobotModel, gate: Gate, make_state: Any
) -> None:
    """Far beyond the limits of position, rate (0.08 rad a tick) and torque (23.7 Nm at 100 Nm/rad: 0.237 rad)."""
    beyond = make_target(robot, position=robot.stand_position + 5.0)
    decision = gate.step(make_state(), beyond, NOW_S, Mode.WALK)
    assert decision.reasons == Reason.POSITION_CLAMPED | Reason.RATE_CLAMPED
    assert decision.clamped == (12, 12, 0)
    assert gate.latched == 0
    stiff = make_target(
        robot,
        position=robot.stand_position + 0.4,
        stiffness=np.full(12, 100.0),
        damping=np.zeros(12),
    )
    for tick in range(1, 5):
        decision = gate.step(make_state(tick_ms=1000 + 2 * tick), stiff, NOW_S + tick * TICK_S, Mode.WALK)
    assert decision.reasons & Reason.TORQUE_CLAMPED
    assert decision.command.position[0] - robot.stand_position[0] == pytest.approx(0.237, abs=1e-6)


def test_the_farewell_is_damping(robot: RobotModel, gate: Gate) -> None:
    assert is_damping(robot, GateDecision(gate.damping_command, 0, NO_CLAMPS))
