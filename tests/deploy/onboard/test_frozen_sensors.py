"""Sensors that repeat themselves: to the tick when, each of them, and what must not count as death."""

from __future__ import annotations

import math
from typing import List, Optional

import pytest

from deploy.onboard.frozen_sensors import FrozenSensors
from deploy.onboard.reasons import Reason
from deploy.onboard.signal_lists import MotionError, SignalLists, motion_error
from tests.deploy.onboard.motions import robot_with

TICK_S = 1 / 512
"""Of binary fractions, so that sums are exact: the limits below are 16 and 48 ticks."""


@pytest.fixture(scope="module")
def frozen() -> FrozenSensors:
    """`first_alarm` resets it."""
    return FrozenSensors(
        robot_with(
            frozen_after_s=48 * TICK_S,
            frozen_alone_after_s=16 * TICK_S,
            frozen_joint_speed_rad_s=0.05,
            frozen_joint_travel_rad=0.02,
        )
    )


def alive(tick: int) -> SignalLists:
    """Every reading changes at every tick; the joints move at 0.01 rad/s at most and stay where they are."""
    noise = 1e-6 * (tick % 7)
    return SignalLists(
        [1.0, noise, 0.0, 0.0], [noise, 0.0, 0.0], [0.0, noise, 9.8], [0.1 + noise] * 12, [0.01 - noise] * 12
    )


def first_alarm(frozen: FrozenSensors, states: List[SignalLists], gap_s: Optional[float] = None) -> tuple[int, int]:
    """The tick at which something is wrong, and what; (-1, 0) if nothing is."""
    frozen.reset()
    for tick in range(1, len(states)):
        before, now = states[tick - 1], states[tick]
        error = None if gap_s else motion_error(before, now, TICK_S)
        faults = frozen.faults(before, now, error, gap_s or TICK_S)
        if faults:
            return tick, faults
    return -1, 0


def with_joint(tick: int, joint: int, position: Optional[float], velocity: Optional[float]) -> SignalLists:
    state = alive(tick)
    if position is not None:
        state.position[joint] = position
    if velocity is not None:
        state.velocity[joint] = velocity
    return state


def test_what_lives_is_left_alone(frozen: FrozenSensors) -> None:
    assert first_alarm(frozen, [alive(tick) for tick in range(200)]) == (-1, 0)


@pytest.mark.parametrize("sensor", ["quaternion", "gyroscope", "accelerometer"])
def test_a_sensor_of_the_imu_alone(frozen: FrozenSensors, sensor: str) -> None:
    """Its last sign of life comes at tick 3; steps of three ticks make sixteen full in the sixth."""
    states = [alive(tick)._replace(**{sensor: getattr(alive(min(tick, 3)), sensor)}) for tick in range(60)]
    assert first_alarm(frozen, states) == (3 + 16, Reason.IMU_FROZEN)
    assert first_alarm(frozen, states, gap_s=3 * TICK_S) == (3 + 6, Reason.IMU_FROZEN)


@pytest.mark.parametrize("sensor", ["quaternion", "gyroscope", "accelerometer"])
def test_a_sensor_slower_than_the_link_lives(frozen: FrozenSensors, sensor: str) -> None:
    states = [alive(tick)._replace(**{sensor: getattr(alive(tick // 16), sensor)}) for tick in range(200)]
    assert first_alarm(frozen, states) == (-1, 0)


@pytest.mark.parametrize(("sensor", "axis"), [("quaternion", 3), ("gyroscope", 2), ("accelerometer", 0)])
def test_one_moving_axis_is_life(frozen: FrozenSensors, sensor: str, axis: int) -> None:
    states = []
    for tick in range(60):
        values = list(getattr(alive(0), sensor))
        values[axis] += 1e-7 * (tick % 2)
        states.append(alive(tick)._replace(**{sensor: values}))
    assert first_alarm(frozen, states) == (-1, 0)


class TestWholeState:
    def test_it_is_given_longer(self, frozen: FrozenSensors) -> None:
        states = [alive(min(tick, 3)) for tick in range(100)]
        assert first_alarm(frozen, states) == (3 + 48, Reason.IMU_FROZEN)

    def test_a_link_that_repeats_itself_for_a_while_lives(self, frozen: FrozenSensors) -> None:
        assert first_alarm(frozen, [alive(tick // 47) for tick in range(400)]) == (-1, 0)

    def test_it_neither_blames_nor_acquits_a_single_sensor(self, frozen: FrozenSensors) -> None:
        """10 ticks alone, 30 with all others, 6 alone: those are the sixteen."""
        clock = [*range(10), *[10] * 31, *range(11, 60)]
        states = [alive(tick)._replace(gyroscope=[0.3, 0.2, 0.1]) for tick in clock]
        assert first_alarm(frozen, states) == (46, Reason.IMU_FROZEN)

    @pytest.mark.parametrize(("gap_ticks", "expected"), [(3, 16), (5, 10)])
    def test_a_gap_counts_as_long_as_it_is_told(self, frozen: FrozenSensors, gap_ticks: int, expected: int) -> None:
        """16 gaps of 3 are 48 ticks, 10 of 5 are more than that."""
        assert first_alarm(frozen, [alive(0)] * 100, gap_s=gap_ticks * TICK_S) == (expected, Reason.IMU_FROZEN)


@pytest.mark.parametrize("joint", [0, 11])
class TestVelocity:
    @pytest.mark.parametrize(("velocity", "expected"), [(0.051, 16), (-0.051, 16), (0.05, -1), (-0.05, -1), (0.0, -1)])
    def test_at_a_speed(self, frozen: FrozenSensors, joint: int, velocity: float, expected: int) -> None:
        states = [with_joint(tick, joint, None, velocity) for tick in range(60)]
        assert first_alarm(frozen, states)[0] == expected

    @pytest.mark.parametrize(("speed", "expected"), [(1.0, 16), (-1.0, 16), (0.5, 21), (0.02, -1)])
    def test_while_the_position_moves(self, frozen: FrozenSensors, joint: int, speed: float, expected: int) -> None:
        """Zero velocity; 0.02 rad are 20.48 ticks at 0.5 rad/s, and never reached in 59 ticks at 0.02 rad/s."""
        states = [with_joint(tick, joint, speed * tick * TICK_S, 0.0) for tick in range(60)]
        tick, faults = first_alarm(frozen, states)
        assert tick == expected
        assert faults == (Reason.JOINT_FROZEN if expected > 0 else 0)

    def test_a_sign_of_life_starts_anew(self, frozen: FrozenSensors, joint: int) -> None:
        states = [with_joint(tick, joint, None, 1.0 + 0.1 * (tick % 16 == 0)) for tick in range(200)]
        assert first_alarm(frozen, states) == (-1, 0)


def test_a_sign_of_life_of_all_velocities_starts_anew(frozen: FrozenSensors) -> None:
    states = [alive(tick)._replace(velocity=[1.0 + 0.1 * (tick % 16 == 0)] * 12) for tick in range(200)]
    assert first_alarm(frozen, states) == (-1, 0)


def test_all_velocities_at_once(frozen: FrozenSensors) -> None:
    states = [alive(tick)._replace(velocity=[2.0] * 12) for tick in range(60)]
    assert first_alarm(frozen, states) == (16, Reason.JOINT_FROZEN)


@pytest.mark.parametrize(("velocity", "expected"), [(2.0, (10 + 16, Reason.JOINT_FROZEN)), (0.0, (-1, 0))])
def test_a_joint_begins_at_its_own_last_sign_of_life(
    frozen: FrozenSensors, velocity: float, expected: tuple[int, int]
) -> None:
    """Joint 4 rests all the time, joint 7 lives until tick 10."""
    states = [with_joint(tick, 4, None, 0.0) for tick in range(100)]
    for state in states[10:]:
        state.velocity[7] = velocity
    assert first_alarm(frozen, states) == expected


@pytest.mark.parametrize(("missed_rad", "faults"), [(0.02, 0), (math.nextafter(0.02, 1.0), Reason.JOINT_FROZEN)])
def test_what_a_joint_at_rest_may_miss_to_the_bit(frozen: FrozenSensors, missed_rad: float, faults: int) -> None:
    """One step leaves it unexplained, the 15 others nothing."""
    frozen.reset()
    for tick in range(1, 17):
        error = MotionError([missed_rad if tick == 1 else 0.0] * 12, [0.0] * 3)
        before, now = with_joint(tick - 1, 4, None, 0.0), with_joint(tick, 4, None, 0.0)
        assert frozen.faults(before, now, error, TICK_S) == (faults if tick == 16 else 0)


@pytest.mark.parametrize("joint", [0, 11])
class TestPosition:
    @pytest.mark.parametrize(("speed", "expected"), [(1.0, 16), (-1.0, 16), (0.5, 21), (0.02, -1)])
    def test_while_the_velocity_moves(self, frozen: FrozenSensors, joint: int, speed: float, expected: int) -> None:
        states = [with_joint(tick, joint, 0.3, speed + 1e-6 * (tick % 7)) for tick in range(60)]
        assert first_alarm(frozen, states)[0] == expected

    def test_to_and_fro_within_the_noise_of_the_encoder(self, frozen: FrozenSensors, joint: int) -> None:
        """1 rad/s for 8 ticks one way, 8 the other: 0.016 rad."""
        states = [with_joint(tick, joint, 0.3, 1.0 if tick // 8 % 2 else -1.0 + 1e-6 * tick) for tick in range(200)]
        states = [with_joint(tick, joint, 0.3, s.velocity[joint] + 1e-7 * (tick % 7)) for tick, s in enumerate(states)]
        assert first_alarm(frozen, states) == (-1, 0)

    def test_what_happens_in_gaps_is_not_known(self, frozen: FrozenSensors, joint: int) -> None:
        states = [with_joint(tick, joint, 0.3, 1.0 + 1e-6 * (tick % 7)) for tick in range(60)]
        assert first_alarm(frozen, states, gap_s=3 * TICK_S) == (-1, 0)


def test_both_at_once(frozen: FrozenSensors) -> None:
    """One joint's velocity and another one's position."""
    states = []
    for tick in range(40):
        state = with_joint(tick, 4, None, 2.0)
        state.position[7], state.velocity[7] = 0.3, 1.0 + 1e-6 * (tick % 7)
        states.append(state)
    assert first_alarm(frozen, states) == (16, Reason.JOINT_FROZEN)


def test_nothing_is_said_before_the_time(frozen: FrozenSensors) -> None:
    frozen.reset()
    before = alive(0)
    now = alive(1)._replace(velocity=[2.0] * 12)
    far = MotionError([5.0] * 12, [0.0] * 3)
    assert frozen.faults(now._replace(gyroscope=before.gyroscope), now, far, TICK_S) == 0
