"""From one tick to the next: every limit just inside and just outside, every reading, and how it grows with time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import List

import pytest

from deploy.onboard.reasons import Reason
from deploy.onboard.sensor_jumps import SensorJumps
from deploy.onboard.signal_lists import MotionError, SignalLists
from robot_configs.robot import load_robot

TICK_S = 0.002
STILL = MotionError([0.0] * 12, [0.0, 0.0, 0.0])
Case = tuple[SignalLists, SignalLists, MotionError]


@pytest.fixture(scope="module")
def jumps() -> SensorJumps:
    """Limits that are easy to reckon with: hips and thighs may change by 1 + 500 t rad/s, calves by 1 + 250 t."""
    model = load_robot()
    torque, armature = model.torque_limit.copy(), model.armature.copy()
    torque[:], armature[:], armature[2::3] = 10.0, 0.04, 0.08
    limits = replace(
        model.plausibility,
        joint_acceleration_factor=2.0,
        joint_velocity_jump_rad_s=1.0,
        joint_velocity_error_rad_s=15.0,
        joint_position_jump_rad=0.02,
        angular_acceleration_rad_s2=2500.0,
        angular_velocity_error_rad_s=5.0,
        rotation_jump_rad=0.03,
        cut_out_joint_speed_rad_s=0.5,
        cut_out_angular_speed_rad_s=0.3,
    )
    return SensorJumps(replace(model, torque_limit=torque, armature=armature, plausibility=limits))


def numbers(count: int, place: int, value: float) -> List[float]:
    row = [0.1] * count
    row[place] = value
    return row


def state(velocity: List[float], gyroscope: List[float], position: List[float]) -> SignalLists:
    return SignalLists([1.0, 0.0, 0.0, 0.0], gyroscope, [0.0, 0.0, 9.8], position, velocity)


def velocity_step(joint: int, before: float, now: float) -> Case:
    rows = [numbers(12, joint, value) for value in (before, now)]
    first, second = (state(row, [0.1] * 3, [0.1] * 12) for row in rows)
    return first, second, STILL


def position_step(joint: int, error_rad: float, now: float = 0.1) -> Case:
    first = state([0.1] * 12, [0.1] * 3, [0.1] * 12)
    second = state([0.1] * 12, [0.1] * 3, numbers(12, joint, now))
    return first, second, MotionError([0.0] * joint + [error_rad] + [0.0] * (11 - joint), [0.0] * 3)


def gyroscope_step(axis: int, before: float, now: float) -> Case:
    first, second = (state([0.1] * 12, numbers(3, axis, value), [0.1] * 12) for value in (before, now))
    return first, second, STILL


def rotation_step(axis: int, error_rad: float) -> Case:
    first, second, _ = velocity_step(0, 0.1, 0.1)
    return first, second, MotionError([0.0] * 12, [0.0] * axis + [error_rad] + [0.0] * (2 - axis))


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("place", [0, 1, 2, 11])
@pytest.mark.parametrize(("advance_s", "hip", "calf"), [(0.002, 2.0, 1.5), (0.006, 4.0, 2.5)])
def test_a_velocity_may_change_by_the_torque_and_the_noise(
    jumps: SensorJumps, sign: float, place: int, advance_s: float, hip: float, calf: float
) -> None:
    """1 + 0.002 x 500, 1 + 0.002 x 250, and three times the motion in three ticks."""
    most = calf if place % 3 == 2 else hip
    for step, faults in ((most - 1e-6, 0), (most + 1e-6, Reason.SENSOR_JUMP)):
        assert jumps.faults(*velocity_step(place, 0.3, 0.3 + sign * step), advance_s) == faults


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("joint", [0, 11])
@pytest.mark.parametrize(("advance_s", "most"), [(0.002, 0.05), (0.006, 0.11)])
def test_a_position_may_move_by_what_its_velocity_may_be_wrong(
    jumps: SensorJumps, sign: float, joint: int, advance_s: float, most: float
) -> None:
    """0.02 + 0.002 x 15."""
    for error, faults in ((most - 1e-6, 0), (most + 1e-6, Reason.SENSOR_JUMP)):
        assert jumps.faults(*position_step(joint, sign * error), advance_s) == faults


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("advance_s", "most"), [(0.002, 5.0), (0.006, 15.0)])
def test_the_gyroscope(jumps: SensorJumps, sign: float, axis: int, advance_s: float, most: float) -> None:
    for step, faults in ((most - 1e-6, 0), (most + 1e-6, Reason.SENSOR_JUMP)):
        assert jumps.faults(*gyroscope_step(axis, 0.2, 0.2 + sign * step), advance_s) == faults


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("advance_s", "most"), [(0.002, 0.04), (0.006, 0.06)])
def test_the_quaternion(jumps: SensorJumps, sign: float, axis: int, advance_s: float, most: float) -> None:
    for error, faults in ((most - 1e-9, 0), (most + 1e-9, Reason.SENSOR_JUMP)):
        assert jumps.faults(*rotation_step(axis, sign * error), advance_s) == faults


@pytest.mark.parametrize(
    ("step", "start", "most"),
    [
        (partial(velocity_step, 0), 0.5, 1.0 + 500 / 512),
        (partial(velocity_step, 11), 0.5, 1.0 + 250 / 512),
        (partial(gyroscope_step, 1), 0.25, 2500 / 512),
    ],
)
def test_a_change_of_exactly_the_limit_is_allowed(
    jumps: SensorJumps, step: Callable[[float, float], Case], start: float, most: float
) -> None:
    """In binary fractions, over 1/512 s: the next number above is a jump."""
    assert jumps.faults(*step(start, start + most), 1 / 512) == 0
    assert jumps.faults(*step(start, math.nextafter(start + most, 99.0)), 1 / 512) == Reason.SENSOR_JUMP


@pytest.mark.parametrize(
    ("step", "most"), [(partial(position_step, 3), 0.02 + 15 / 512), (partial(rotation_step, 2), 0.03 + 5 / 512)]
)
def test_an_error_of_exactly_the_limit_is_allowed(
    jumps: SensorJumps, step: Callable[[float], Case], most: float
) -> None:
    assert jumps.faults(*step(most), 1 / 512) == 0
    assert jumps.faults(*step(math.nextafter(most, 1.0)), 1 / 512) == Reason.SENSOR_JUMP


class TestCutOut:
    @pytest.mark.parametrize("joint", [0, 11])
    @pytest.mark.parametrize(
        ("before", "now", "faults"),
        [
            (0.51, 0.0, Reason.SENSOR_JUMP),
            (-0.51, 0.0, Reason.SENSOR_JUMP),
            (0.5, 0.0, 0),  # slow enough to come to rest
            (0.51, 1e-9, 0),  # a live zero
            (0.0, 0.51, 0),
        ],
    )
    def test_of_a_velocity(self, jumps: SensorJumps, joint: int, before: float, now: float, faults: int) -> None:
        assert jumps.faults(*velocity_step(joint, before, now), TICK_S) == faults

    @pytest.mark.parametrize("moving", [0.6, -0.6])
    def test_a_joint_that_comes_to_rest_does_not_accuse_another_one_that_moves(
        self, jumps: SensorJumps, moving: float
    ) -> None:
        first, second, error = velocity_step(3, moving, moving)
        second.velocity[4] = 0.0
        assert jumps.faults(first, second, error, TICK_S) == 0

    @pytest.mark.parametrize("joint", [0, 11])
    @pytest.mark.parametrize(
        ("error", "now", "faults"),
        [
            (0.021, 0.0, Reason.SENSOR_JUMP),
            (-0.021, 0.0, Reason.SENSOR_JUMP),
            (0.019, 0.0, 0),  # it came through zero
            (0.021, 1e-9, 0),
        ],
    )
    def test_of_a_position(self, jumps: SensorJumps, joint: int, error: float, now: float, faults: int) -> None:
        assert jumps.faults(*position_step(joint, error, now), TICK_S) == faults

    @pytest.mark.parametrize("elsewhere", [0.1, -0.1])
    def test_a_position_at_zero_does_not_accuse_another_joint(self, jumps: SensorJumps, elsewhere: float) -> None:
        """Joint 4 came through zero, with an error of what is allowed exactly."""
        first, second, error = position_step(3, 0.021, elsewhere)
        second.position[4], error.joint_rad[4] = 0.0, 0.02
        assert jumps.faults(first, second, error, TICK_S) == 0

    @pytest.mark.parametrize(
        ("before", "now", "faults"),
        [
            ([0.0, 0.31, 0.0], [0.0, 0.0, 0.0], Reason.SENSOR_JUMP),
            ([-0.31, 0.0, 0.0], [0.0, 0.0, 0.0], Reason.SENSOR_JUMP),
            ([0.0, 0.0, 0.31], [0.0, 0.0, 0.0], Reason.SENSOR_JUMP),
            ([0.29, 0.29, 0.29], [0.0, 0.0, 0.0], 0),
            ([0.3, -0.3, 0.3], [0.0, 0.0, 0.0], 0),
            ([0.31, 0.31, 0.31], [0.0, 0.0, 1e-9], 0),
            ([0.31, 0.31, 0.31], [1e-9, 0.0, 0.0], 0),
            ([0.31, 0.31, 0.31], [0.0, -1e-9, 0.0], 0),
        ],
    )
    def test_of_the_gyroscope(self, jumps: SensorJumps, before: List[float], now: List[float], faults: int) -> None:
        first, second = (state([0.1] * 12, rates, [0.1] * 12) for rates in (before, now))
        assert jumps.faults(first, second, STILL, TICK_S) == faults
