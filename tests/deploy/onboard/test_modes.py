"""Modes: which may follow which, and the ramps that lead from pose to pose."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.onboard.modes import MODE_KEYS, ModeError, ModeMachine, ModeSettings, PoseRamp, requested_mode, smooth_step
from deploy.onboard.remote import Key
from deploy.onboard.target import JointTarget, Mode
from robot_configs.robot import RobotModel

SETTINGS = ModeSettings(gain_ramp_s=0.5, move_s=2.0, settle_s=0.25)

PATHS = {
    Mode.DAMP: (),
    Mode.STAND: (Mode.STAND,),
    Mode.WALK: (Mode.STAND, Mode.WALK),
    Mode.HALT: (Mode.STAND, Mode.WALK, Mode.HALT),
    Mode.SIT: (Mode.STAND, Mode.SIT),
}
"""How each mode is reached from DAMP."""

MAY_FOLLOW = {
    (Mode.DAMP, Mode.STAND),
    (Mode.STAND, Mode.WALK),
    (Mode.STAND, Mode.SIT),
    (Mode.STAND, Mode.DAMP),
    (Mode.WALK, Mode.HALT),
    (Mode.WALK, Mode.DAMP),
    (Mode.HALT, Mode.STAND),
    (Mode.HALT, Mode.DAMP),
    (Mode.SIT, Mode.STAND),
    (Mode.SIT, Mode.DAMP),
}


def machine_in(mode: Mode, robot: RobotModel, make_state: Any) -> ModeMachine:
    machine = ModeMachine(robot, SETTINGS)
    for step in PATHS[mode]:
        machine.enter(step, make_state(), 0.0)
    return machine


@pytest.mark.parametrize(("before", "after"), list(product(PATHS, Mode)))
def test_every_pair_of_modes(robot: RobotModel, make_state: Any, before: Mode, after: Mode) -> None:
    machine = machine_in(before, robot, make_state)
    if (before, after) in MAY_FOLLOW:
        machine.enter(after, make_state(), 1.0)
        assert (machine.mode, machine.entered_s) == (after, 1.0)
    else:
        with pytest.raises(ModeError, match=after.name):
            machine.enter(after, make_state(), 1.0)
        assert machine.mode is before


@pytest.mark.parametrize("before", list(PATHS))
def test_a_fault_comes_from_anywhere_and_leads_to_damping_only(
    robot: RobotModel, make_state: Any, before: Mode
) -> None:
    machine = machine_in(before, robot, make_state)
    machine.fault(2.0)
    assert machine.mode is Mode.FAULT
    assert machine.ramp_target(2.0) is None
    assert [mode for mode in Mode if machine.allows(mode)] == [Mode.DAMP]


def test_a_ramp_needs_a_measured_pose(robot: RobotModel) -> None:
    with pytest.raises(ModeError, match="measured pose"):
        ModeMachine(robot, SETTINGS).enter(Mode.STAND, None, 0.0)


@pytest.mark.parametrize("mode", [Mode.DAMP, Mode.WALK])
def test_modes_without_a_ramp_have_no_target_and_never_finish(robot: RobotModel, make_state: Any, mode: Mode) -> None:
    machine = machine_in(mode, robot, make_state)
    assert machine.ramp_target(100.0) is None
    assert not machine.ramp_finished(100.0)


def test_standing_up_by_hand(robot: RobotModel, make_state: Any) -> None:
    """0.5 s of rising gains in the measured pose, 2 s of motion (half way at its middle), 0.25 s of holding."""
    start = robot.sit_position.astype(np.float32)
    machine = ModeMachine(robot, SETTINGS)
    machine.enter(Mode.STAND, make_state(joint_position=start), 10.0)
    first, rising, risen, half, there = (machine.ramp_target(10.0 + t) for t in (0.0, 0.25, 0.5, 1.5, 2.5))
    assert first and rising and risen and half and there
    assert np.all(first.stiffness == 0.0)
    assert first.damping == pytest.approx(np.full(12, robot.stand.damping))
    assert rising.stiffness == pytest.approx(np.full(12, robot.stand.stiffness / 2))
    assert np.all(risen.stiffness == robot.stand.stiffness)
    for target in (first, rising, risen):
        assert target.position == pytest.approx(start)
    assert half.position == pytest.approx((start + robot.stand_position) / 2)
    assert there.position == pytest.approx(robot.stand_position)
    assert first.valid_until_s == pytest.approx(10.0 + robot.safety.target_age_limit_s)
    assert not machine.ramp_finished(12.749)
    assert machine.ramp_finished(12.75)
    assert machine.ramp_finished(12.751)


def test_out_of_a_motion_gains_and_pose_move_at_once(robot: RobotModel, make_state: Any) -> None:
    """0.5 s from the walk's gains to the stand's (half way at 0.25 s), 2 s of motion from the measured pose."""
    machine = machine_in(Mode.HALT, robot, make_state)
    start = (robot.stand_position + 0.2).astype(np.float32)
    walking = JointTarget(robot.stand_position, np.full(12, 30.0), np.full(12, 0.75), 5.0)
    machine.enter(Mode.STAND, make_state(joint_position=start), 5.0, walking)
    first, between, risen, half, there = (machine.ramp_target(5.0 + t) for t in (0.0, 0.25, 0.5, 1.0, 2.0))
    assert first and between and risen and half and there
    assert np.array_equal(first.stiffness, walking.stiffness) and np.array_equal(first.damping, walking.damping)
    assert first.position == pytest.approx(start)
    assert between.stiffness == pytest.approx(np.full(12, (30.0 + robot.stand.stiffness) / 2))
    assert between.damping == pytest.approx(np.full(12, (0.75 + robot.stand.damping) / 2))
    assert np.all(risen.stiffness == robot.stand.stiffness) and np.all(risen.damping == robot.stand.damping)
    assert half.position == pytest.approx((start + robot.stand_position) / 2)
    assert there.position == pytest.approx(robot.stand_position)
    assert not machine.ramp_finished(5.0 + 2.249)
    assert machine.ramp_finished(5.0 + 2.25)
    assert machine.ramp_finished(5.0 + 2.251)


def test_a_ramp_is_not_over_before_its_gains_have_risen(robot: RobotModel) -> None:
    walking = JointTarget(robot.stand_position, np.full(12, 30.0), np.full(12, 0.75), 5.0)
    settings = ModeSettings(gain_ramp_s=2.0, move_s=1.0, settle_s=0.25)
    ramp = PoseRamp(robot, robot.sit_position, robot.stand_position, settings, walking)
    assert ramp.duration_s == 2.25


def test_the_start_is_remembered_not_referenced(robot: RobotModel) -> None:
    start, stiffness, damping = robot.sit_position.copy(), np.full(12, 30.0), np.full(12, 0.75)
    walking = JointTarget(robot.stand_position, stiffness, damping, 5.0)
    ramp = PoseRamp(robot, start, robot.stand_position, SETTINGS, walking)
    start[:] = stiffness[:] = damping[:] = 9.0
    target = ramp.target(0.0, 0.0)
    assert target.position == pytest.approx(robot.sit_position)
    assert (target.stiffness[0], target.damping[0]) == (30.0, 0.75)


@given(st.floats(-1.0, 2.0), st.floats(-1.0, 2.0))
def test_the_blend_is_monotonic_and_stays_between_its_ends(first: float, second: float) -> None:
    low, high = sorted((smooth_step(first), smooth_step(second)))
    assert 0.0 <= low <= high <= 1.0
    assert (smooth_step(first) <= smooth_step(second)) == (first <= second) or low == pytest.approx(high, abs=1e-9)
    assert smooth_step(first) + smooth_step(1.0 - first) == pytest.approx(1.0)


def test_the_blend_starts_and_ends_at_rest() -> None:
    step = 1e-3
    for edge in (0.0, 1.0):
        values = [smooth_step(edge + offset * step) for offset in (-1, 0, 1)]
        assert (values[2] - values[0]) / (2 * step) == pytest.approx(0.0, abs=1e-4)
    assert smooth_step(0.5) == 0.5


def test_a_ramp_takes_the_sum_of_its_parts() -> None:
    assert SETTINGS.total_s == 0.5 + 2.0 + 0.25


def test_standing_up_takes_two_seconds_unless_told_otherwise() -> None:
    """0.4 s for the gains, 1.2 s for the joints, 0.4 s to settle: a quicker ramp must be somebody's decision."""
    assert ModeSettings() == ModeSettings(gain_ramp_s=0.4, move_s=1.2, settle_s=0.4)


def test_a_ramp_need_not_settle() -> None:
    assert ModeSettings(gain_ramp_s=0.5, move_s=1.0, settle_s=0.0).total_s == 1.5


@pytest.mark.parametrize("changes", [{"gain_ramp_s": 0.0}, {"move_s": -1.0}, {"settle_s": -0.1}])
def test_impossible_durations_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ModeError, match=next(iter(changes))):
        ModeSettings(**changes)


def test_every_chord_asks_for_its_mode() -> None:
    for chord, mode in MODE_KEYS:
        assert requested_mode(chord) is mode
        assert requested_mode(chord | {Key.UP}) is mode
        for missing in chord if len(chord) > 1 else ():
            assert requested_mode(chord - {missing}) is None
    assert requested_mode(frozenset()) is None
