"""States beside the states before them: the arithmetic by hand, frozen and lying sensors, and what must not alarm."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import List

import numpy as np
import pytest

from deploy.onboard.plausibility import GRAVITY_M_S2, PlausibilityMonitor
from deploy.onboard.reasons import Reason
from robot_configs.robot import RobotModel, load_robot

TICK_S = 0.002
POSITION, VELOCITY = 10, 22
Motion = Callable[[int], List[float]]


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    """Held here so that the numbers below stay true when go1.yaml is tuned."""
    model = load_robot()
    limits = replace(
        model.plausibility,
        frozen_after_s=0.1,
        frozen_joint_speed_rad_s=0.05,
        mismatch_memory_s=0.2,
        mismatch_gap_limit_ms=6.0,
        joint_mismatch_limit_rad=0.3,
        rotation_mismatch_limit_rad=0.2,
        gravity_memory_s=0.3,
        gravity_mismatch_limit_m_s2=6.0,
        free_fall_below_m_s2=3.0,
        free_fall_after_s=0.15,
    )
    return replace(model, plausibility=limits)


@pytest.fixture
def monitor(robot: RobotModel) -> PlausibilityMonitor:
    return PlausibilityMonitor(robot)


def standing(tick: int) -> List[float]:
    """Level and still, with noise in the IMU's last digits; q, dq and torque are zero."""
    noise = 1e-6 * (tick % 2)
    return [1.0, noise, 0.0, 0.0, noise, 0.0, 0.0, noise, 0.0, GRAVITY_M_S2] + [0.0] * 36


def changed(tick: int, changes: dict[int, float]) -> List[float]:
    values = standing(tick)
    for place, value in changes.items():
        values[place] = value
    return values


def first_alarm(
    monitor: PlausibilityMonitor, motion: Motion, ticks: int = 400, step_s: float = TICK_S
) -> tuple[int, int]:
    """Ticks after the first state at which something is wrong, and what; (ticks, 0) if nothing is."""
    for tick in range(ticks):
        faults = monitor.observe(motion(tick), step_s)
        if faults:
            return tick, faults
    return ticks, 0


def test_a_robot_that_stands_still_is_plausible(monitor: PlausibilityMonitor) -> None:
    assert first_alarm(monitor, standing) == (400, 0)


@pytest.mark.parametrize("place", [0, 10, 25, 45])
def test_the_first_state_is_compared_with_nothing(monitor: PlausibilityMonitor, place: int) -> None:
    assert monitor.observe(changed(0, {place: 30.0}), TICK_S) == 0


def test_after_a_reset_nothing_is_remembered(monitor: PlausibilityMonitor) -> None:
    assert first_alarm(monitor, lambda tick: changed(tick, {9: 0.0, POSITION: 0.04 * tick, VELOCITY + 3: 7.0}))[1]
    monitor.reset()
    assert first_alarm(monitor, standing) == (400, 0)


class TestFrozen:
    @pytest.mark.parametrize(
        ("places", "value"), [(slice(0, 4), 0.5), (slice(4, 7), 0.0), (slice(7, 10), GRAVITY_M_S2 / math.sqrt(3))]
    )
    def test_each_sensor_of_the_imu(self, monitor: PlausibilityMonitor, places: slice, value: float) -> None:
        """50 repetitions in 100 ms; the direction of the force is wrong only later."""

        def motion(tick: int) -> List[float]:
            values = standing(tick)
            values[places] = [value] * len(values[places])
            return values

        tick, faults = first_alarm(monitor, motion)
        assert (tick, faults & Reason.IMU_FROZEN) == (50, Reason.IMU_FROZEN)

    def test_one_moving_axis_is_life(self, monitor: PlausibilityMonitor) -> None:
        """`standing` moves one of each sensor's axes only."""
        assert first_alarm(monitor, standing) == (400, 0)

    def test_a_sensor_slower_than_the_link_repeats_itself_and_lives(self, monitor: PlausibilityMonitor) -> None:
        assert first_alarm(monitor, lambda tick: standing(tick // 49)) == (400, 0)

    def test_repetitions_across_gaps_count_as_six_milliseconds(self, monitor: PlausibilityMonitor) -> None:
        """17 x 6 ms are the first to exceed 100 ms."""
        assert first_alarm(monitor, lambda tick: standing(0), step_s=0.05) == (17, Reason.IMU_FROZEN)

    @pytest.mark.parametrize("joint", [0, 11])
    @pytest.mark.parametrize(("velocity", "frozen"), [(0.051, True), (-0.051, True), (0.049, False), (0.0, False)])
    def test_a_joint_that_moves_may_not_repeat_its_velocity(
        self, monitor: PlausibilityMonitor, joint: int, velocity: float, frozen: bool
    ) -> None:
        """The other joints' velocities vary."""

        def motion(tick: int) -> List[float]:
            others = {VELOCITY + other: 0.01 * (tick % 2) for other in range(12)}
            return changed(tick, {**others, VELOCITY + joint: velocity})

        assert first_alarm(monitor, motion, 200) == ((50, Reason.JOINT_FROZEN) if frozen else (200, 0))

    def test_a_joint_that_comes_to_life_starts_anew(self, monitor: PlausibilityMonitor) -> None:
        def motion(tick: int) -> List[float]:
            return changed(tick, {VELOCITY + 4: 0.06 + 0.01 * (tick % 50 == 49)})

        assert first_alarm(monitor, motion) == (400, 0)

    def test_all_joints_alive_for_one_tick_start_anew(self, monitor: PlausibilityMonitor) -> None:
        def motion(tick: int) -> List[float]:
            alive = 0.01 * (tick % 50 == 49)
            return changed(tick, {VELOCITY + joint: 0.06 + alive for joint in range(12)})

        assert first_alarm(monitor, motion) == (400, 0)


def swing(tick: int, amplitude: float, hz: float) -> tuple[float, float]:
    """Angle and rate of a sine."""
    phase = 2.0 * math.pi * hz * tick * TICK_S
    return amplitude * math.sin(phase), amplitude * 2.0 * math.pi * hz * math.cos(phase)


class TestJoints:
    """Amplitude 0.5 rad at 2 Hz: a brisk walk's thigh."""

    def test_position_and_velocity_of_one_motion_agree(self, monitor: PlausibilityMonitor) -> None:
        def motion(tick: int) -> List[float]:
            angle, rate = swing(tick, 0.5, 2.0)
            return changed(tick, {POSITION + 7: angle, VELOCITY + 7: rate})

        assert first_alarm(monitor, motion) == (400, 0)

    def test_a_velocity_that_lags_by_eight_milliseconds_is_a_real_robots(self, monitor: PlausibilityMonitor) -> None:
        """0.8 rad at 4 Hz reaches 20 rad/s."""

        def motion(tick: int) -> List[float]:
            return changed(tick, {POSITION + 7: swing(tick, 0.8, 4.0)[0], VELOCITY + 7: swing(tick - 4, 0.8, 4.0)[1]})

        assert first_alarm(monitor, motion) == (400, 0)

    @pytest.mark.parametrize("joint", [0, 11])
    @pytest.mark.parametrize(
        ("jump", "faults"), [(0.29, 0), (0.31, Reason.JOINT_MISMATCH), (-0.31, Reason.JOINT_MISMATCH)]
    )
    def test_a_jump_of_the_position(self, monitor: PlausibilityMonitor, joint: int, jump: float, faults: int) -> None:
        monitor.observe(standing(0), TICK_S)
        assert monitor.observe(changed(1, {POSITION + joint: jump}), TICK_S) == faults

    def test_the_trapezoidal_rule_by_hand(self, monitor: PlausibilityMonitor) -> None:
        """From 0 to 130 rad/s in 2 ms are 0.13 rad, two such ticks with 130 between them 0.13 + 0.26 rad."""
        monitor.observe(standing(0), TICK_S)
        assert monitor.observe(changed(1, {VELOCITY + 2: 130.0}), TICK_S) == 0
        assert monitor.observe(changed(2, {VELOCITY + 2: 130.0}), TICK_S) == Reason.JOINT_MISMATCH
        monitor.reset()
        monitor.observe(standing(0), TICK_S)
        assert monitor.observe(changed(1, {VELOCITY + 2: -130.0}), TICK_S) == 0
        assert monitor.observe(changed(2, {VELOCITY + 2: -130.0}), TICK_S) == Reason.JOINT_MISMATCH

    def test_an_error_is_forgotten_within_a_fifth_of_a_second(self, monitor: PlausibilityMonitor) -> None:
        """A jump of 0.29 rad, one more of 0.2: told if the first has not faded below 0.1, by 0.99 a tick."""
        for pause, faults in ((100, Reason.JOINT_MISMATCH), (112, 0)):
            monitor.reset()
            monitor.observe(standing(0), TICK_S)
            for tick in range(1, pause):
                assert monitor.observe(changed(tick, {POSITION + 1: 0.29}), TICK_S) == 0
            assert monitor.observe(changed(pause, {POSITION + 1: 0.49}), TICK_S) == faults

    def test_over_a_long_gap_everything_is_forgotten(self, monitor: PlausibilityMonitor) -> None:
        monitor.observe(standing(0), TICK_S)
        monitor.observe(changed(1, {POSITION + 1: 0.29}), TICK_S)
        monitor.observe(changed(2, {POSITION + 1: 0.29}), 0.3)
        assert monitor.observe(changed(3, {POSITION + 1: 0.0}), TICK_S) == 0

    def test_errors_fade_over_gaps_too(self, monitor: PlausibilityMonitor) -> None:
        """A gap of 100 ms leaves half of 0.29 rad."""
        for jump, faults in ((0.15, 0), (0.16, Reason.JOINT_MISMATCH)):
            monitor.reset()
            monitor.observe(standing(0), TICK_S)
            monitor.observe(changed(1, {POSITION + 1: 0.29}), TICK_S)
            monitor.observe(changed(2, {POSITION + 1: 0.29}), 0.1)
            assert monitor.observe(changed(3, {POSITION + 1: 0.29 + jump}), TICK_S) == faults

    @pytest.mark.parametrize(("gap_s", "faults"), [(0.006, Reason.JOINT_MISMATCH), (0.0061, 0)])
    def test_what_happens_in_a_gap_is_not_judged(self, monitor: PlausibilityMonitor, gap_s: float, faults: int) -> None:
        monitor.observe(standing(0), TICK_S)
        assert monitor.observe(changed(1, {POSITION + 5: 0.5}), gap_s) == faults

    @pytest.mark.parametrize(
        ("lie", "latest_s"),
        [
            (lambda angle, rate: (0.0, rate), 0.12),
            (lambda angle, rate: (angle, 0.0), 0.12),
            (lambda angle, rate: (angle, -rate), 0.06),
            (lambda angle, rate: (-angle, rate), 0.06),
            (lambda angle, rate: (angle, rate + 5.0), 0.1),
        ],
        ids=["position stuck", "velocity off", "velocity's sign", "position's sign", "velocity's bias"],
    )
    def test_lies_are_told_within_the_swing(
        self, monitor: PlausibilityMonitor, lie: Callable[[float, float], tuple[float, float]], latest_s: float
    ) -> None:
        def motion(tick: int) -> List[float]:
            angle, rate = lie(*swing(tick, 0.5, 2.0))
            return changed(tick, {POSITION + 7: angle, VELOCITY + 7: rate})

        tick, faults = first_alarm(monitor, motion)
        assert faults == Reason.JOINT_MISMATCH
        assert tick * TICK_S <= latest_s


def turning(tick: int, rate: float, axis: int, told_rate: float) -> List[float]:
    """Turning about one axis at `rate`, while the gyroscope tells `told_rate`."""
    half = 0.5 * rate * tick * TICK_S
    noise = 1e-6 * (tick % 2)
    values = [math.cos(half), 0.0, 0.0, 0.0, noise, noise, noise, noise, 0.0, GRAVITY_M_S2] + [0.0] * 36
    values[1 + axis] = math.sin(half)
    values[4 + axis] = told_rate + noise
    # What gravity looks like from the turned trunk.
    angle = 2.0 * half
    values[7:10] = [
        [noise, GRAVITY_M_S2 * math.sin(angle), GRAVITY_M_S2 * math.cos(angle)],
        [-GRAVITY_M_S2 * math.sin(angle), noise, GRAVITY_M_S2 * math.cos(angle)],
        [noise, 0.0, GRAVITY_M_S2],
    ][axis]
    return values


class TestRotation:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("rate", [3.0, -3.0])
    def test_a_true_gyroscope(self, monitor: PlausibilityMonitor, axis: int, rate: float) -> None:
        """Two turns a second for two seconds: the quaternion changes its sign on the way."""
        assert first_alarm(monitor, lambda tick: turning(tick, rate, axis, rate)) == (400, 0)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("rate", [3.0, -3.0])
    @pytest.mark.parametrize(("told", "latest_s"), [(0.0, 0.09), (-1.0, 0.045), (2.0, 0.09)])
    def test_a_false_one(
        self, monitor: PlausibilityMonitor, axis: int, rate: float, told: float, latest_s: float
    ) -> None:
        """Silent, of the wrong sign, of twice the size: an error of 3 rad/s reaches 0.2 rad after 82 ms."""
        tick, faults = first_alarm(monitor, lambda tick: turning(tick, rate, axis, told * rate))
        assert faults == Reason.ROTATION_MISMATCH
        assert tick * TICK_S <= latest_s

    def test_a_stuck_quaternion(self, monitor: PlausibilityMonitor) -> None:
        tick, faults = first_alarm(monitor, lambda tick: turning(0, 0.0, 0, 3.0 + 1e-6 * tick))
        assert faults == Reason.ROTATION_MISMATCH
        assert tick * TICK_S <= 0.09

    @pytest.mark.parametrize(("error", "faults"), [(0.95, 0), (1.05, Reason.ROTATION_MISMATCH)])
    def test_a_constant_error_is_told_from_one_radian_a_second_on(
        self, monitor: PlausibilityMonitor, error: float, faults: int
    ) -> None:
        """It settles at the error times the memory of 0.2 s."""
        assert first_alarm(monitor, lambda tick: turning(tick, 2.0, 1, 2.0 + error))[1] == faults

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    @pytest.mark.parametrize(("angle", "faults"), [(0.19, 0), (0.21, Reason.ROTATION_MISMATCH)])
    def test_a_jump_of_the_quaternion(
        self, monitor: PlausibilityMonitor, axis: int, sign: float, angle: float, faults: int
    ) -> None:
        monitor.observe(standing(0), TICK_S)
        values = standing(1)
        values[0:4] = [sign * math.cos(angle / 2), 0.0, 0.0, 0.0]
        values[1 + axis] = sign * math.sin(angle / 2)
        assert monitor.observe(values, TICK_S) == faults

    @pytest.mark.parametrize(
        ("before", "now", "told"),
        [
            # A quarter turn about x has been made: a further 0.3 rad about the trunk's own y or z is one about the
            # world's z or -y, and the gyroscope tells the trunk's.
            ((0.5**0.5, 0.5**0.5, 0.0, 0.0), "y", (0.0, 0.3, 0.0)),
            ((0.5**0.5, 0.5**0.5, 0.0, 0.0), "z", (0.0, 0.0, 0.3)),
            ((0.5**0.5, 0.0, 0.5**0.5, 0.0), "x", (0.3, 0.0, 0.0)),
            ((0.5**0.5, 0.0, 0.0, -(0.5**0.5)), "y", (0.0, 0.3, 0.0)),
            ((0.5, 0.5, 0.5, 0.5), "x", (0.3, 0.0, 0.0)),
            ((0.5, -0.5, 0.5, 0.5), "z", (0.0, 0.0, 0.3)),
        ],
    )
    def test_rotations_are_told_in_the_trunk(
        self,
        monitor: PlausibilityMonitor,
        before: tuple[float, ...],
        now: str,
        told: tuple[float, float, float],
    ) -> None:
        small = [math.cos(0.15), 0.0, 0.0, 0.0]
        small["xyz".index(now) + 1] = math.sin(0.15)
        first, second = standing(0), standing(1)
        first[0:4], second[0:4] = before, hamilton(before, small)
        for axis in range(3):  # 0.3 rad within one tick of 2 ms
            first[4 + axis] = second[4 + axis] = told[axis] / TICK_S
        monitor.observe(first, TICK_S)
        assert monitor.observe(second, TICK_S) & Reason.ROTATION_MISMATCH == 0
        monitor.reset()
        first[4:7] = second[4:7] = [0.0, 0.0, 0.0]
        monitor.observe(first, TICK_S)
        assert monitor.observe(second, TICK_S) & Reason.ROTATION_MISMATCH

    @pytest.mark.parametrize(("gap_s", "faults"), [(0.006, Reason.ROTATION_MISMATCH), (0.0061, 0)])
    def test_what_happens_in_a_gap_is_not_judged(self, monitor: PlausibilityMonitor, gap_s: float, faults: int) -> None:
        monitor.observe(standing(0), TICK_S)
        values = standing(1)
        values[0:2] = [math.cos(0.2), math.sin(0.2)]
        assert monitor.observe(values, gap_s) == faults

    def test_an_error_is_forgotten_over_a_gap(self, monitor: PlausibilityMonitor) -> None:
        """0.19 rad, halved by a gap of 100 ms; then another 0.12 rad do not reach 0.2."""
        for second, faults in ((0.10, 0), (0.12, Reason.ROTATION_MISMATCH)):
            monitor.reset()
            monitor.observe(standing(0), TICK_S)
            for tick, (angle, step_s) in enumerate(((0.19, TICK_S), (0.19, 0.1), (0.19 + second, TICK_S))):
                values = standing(tick + 1)
                values[0:2] = [math.cos(angle / 2), math.sin(angle / 2)]
                found = monitor.observe(values, step_s)
            assert found == faults


def hamilton(p: tuple[float, ...], q: List[float]) -> List[float]:
    """The product of two quaternions (w x y z), from its definition."""
    pw, qw, pv, qv = p[0], q[0], np.array(p[1:]), np.array(q[1:])
    return [float(pw * qw - pv @ qv), *(pw * qv + qw * pv + np.cross(pv, qv)).tolist()]


class TestGravity:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize(("excess", "faults"), [(5.9, 0), (-5.9, 0), (6.1, Reason.GRAVITY_MISMATCH)])
    def test_a_lasting_acceleration(self, monitor: PlausibilityMonitor, axis: int, excess: float, faults: int) -> None:
        def motion(tick: int) -> List[float]:
            values = standing(tick)
            values[7 + axis] += excess
            return values

        assert first_alarm(monitor, motion, 1000)[1] == faults

    @pytest.mark.parametrize(("second", "faults"), [(4.1, 0), (4.4, Reason.GRAVITY_MISMATCH)])
    def test_two_axes_add_up(self, monitor: PlausibilityMonitor, second: float, faults: int) -> None:
        pushed = {7: 4.2, 8: second}
        assert (
            first_alarm(monitor, lambda tick: changed(tick, {**pushed, 9: GRAVITY_M_S2 + 1e-6 * tick}), 1000)[1]
            == faults
        )

    @pytest.mark.parametrize("axis", [0, 1])
    def test_how_long_it_takes_by_hand(self, monitor: PlausibilityMonitor, axis: int) -> None:
        """12 m/s^2 through a filter of 0.3 s reach 6 after 0.3 ln 2 = 0.208 s: tick 104."""
        tick, faults = first_alarm(monitor, lambda tick: changed(tick, {7 + axis: 12.0 + 1e-6 * (tick % 2)}))
        assert (tick, faults) == (104, Reason.GRAVITY_MISMATCH)

    def test_a_stride_averages_out(self, monitor: PlausibilityMonitor) -> None:
        """Landing with 3 g in a quarter of each 0.25 s, weight the rest: 5 m/s^2 more than gravity on average."""

        def motion(tick: int) -> List[float]:
            return changed(tick, {9: 3 * GRAVITY_M_S2 if tick % 125 < 31 else 1e-6 * tick + 9.0})

        assert first_alarm(monitor, motion) == (400, 0)

    def test_upside_down_by_the_accelerometer(self, monitor: PlausibilityMonitor) -> None:
        tick, faults = first_alarm(monitor, lambda tick: changed(tick, {9: -GRAVITY_M_S2}))
        assert faults == Reason.GRAVITY_MISMATCH
        assert tick * TICK_S <= 0.12

    @pytest.mark.parametrize("quaternion", [(0.5**0.5, 0.5**0.5, 0.0), (0.5**0.5, 0.0, 0.5**0.5)])
    def test_a_quaternion_that_lies_by_a_quarter_turn(
        self, monitor: PlausibilityMonitor, quaternion: tuple[float, float, float]
    ) -> None:
        w, x, y = quaternion
        tick, faults = first_alarm(monitor, lambda tick: changed(tick, {0: w, 1: x + 1e-9 * (tick % 2), 2: y}))
        assert faults == Reason.GRAVITY_MISMATCH
        assert tick * TICK_S <= 0.2

    @pytest.mark.parametrize(
        ("quaternion", "force"),
        [
            # Rolled by a quarter turn about x the trunk's y points up; pitched about y, its -x does; and so on.
            ((0.5**0.5, 0.5**0.5, 0.0, 0.0), (0.0, 1.0, 0.0)),
            ((0.5**0.5, -(0.5**0.5), 0.0, 0.0), (0.0, -1.0, 0.0)),
            ((0.5**0.5, 0.0, 0.5**0.5, 0.0), (-1.0, 0.0, 0.0)),
            ((0.5**0.5, 0.0, -(0.5**0.5), 0.0), (1.0, 0.0, 0.0)),
            ((0.0, 1.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
            ((0.5**0.5, 0.0, 0.0, 0.5**0.5), (0.0, 0.0, 1.0)),
            # A third of a turn about (1, 1, 1) takes x to y, y to z, z to x.
            ((0.5, 0.5, 0.5, 0.5), (0.0, 1.0, 0.0)),
            ((-0.5, 0.5, 0.5, 0.5), (1.0, 0.0, 0.0)),
        ],
    )
    def test_gravity_as_the_turned_trunk_feels_it(
        self, monitor: PlausibilityMonitor, quaternion: tuple[float, ...], force: tuple[float, ...]
    ) -> None:
        def motion(tick: int) -> List[float]:
            noise = 1e-6 * (tick % 2)
            values = standing(tick)
            values[0:4] = [entry + noise for entry in quaternion]
            values[7:10] = [GRAVITY_M_S2 * entry + noise for entry in force]
            return values

        assert first_alarm(monitor, motion) == (400, 0)

    @pytest.mark.parametrize(
        ("quaternion", "force", "told"),
        [
            # Heading must not matter to the size, but the mean is taken in the world: forwards east, then forwards
            # west, is no lasting acceleration.
            (((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)), (8.0, 0.0), 0),
            (((1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0)), (0.0, 8.0), 0),
            (((1.0, 0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 1e-6)), (8.0, 0.0), Reason.GRAVITY_MISMATCH),
        ],
    )
    def test_the_mean_is_taken_in_the_world(
        self,
        robot: RobotModel,
        quaternion: tuple[tuple[float, ...], tuple[float, ...]],
        force: tuple[float, float],
        told: int,
    ) -> None:
        """A huge limit of rotation lets the heading jump."""
        free = replace(robot, plausibility=replace(robot.plausibility, rotation_mismatch_limit_rad=1e9))

        def motion(tick: int) -> List[float]:
            values = changed(tick, {7: force[0] + 1e-6 * (tick % 2), 8: force[1]})
            values[0:4] = quaternion[tick % 2]
            return values

        assert first_alarm(PlausibilityMonitor(free), motion)[1] == told

    def test_over_a_gap_longer_than_its_memory_only_the_new_state_counts(self, monitor: PlausibilityMonitor) -> None:
        monitor.observe(standing(0), TICK_S)
        assert monitor.observe(changed(1, {7: 5.9}), 0.5) == 0
        assert monitor.observe(changed(2, {7: 6.1}), 0.5) == Reason.GRAVITY_MISMATCH


class TestFreeFall:
    def test_after_a_tenth_and_a_half_of_a_second(self, monitor: PlausibilityMonitor) -> None:
        """75 ticks of 2 ms, give or take the last of the sum's digits."""
        tick, faults = first_alarm(monitor, lambda tick: changed(tick, {9: 2.9 + 1e-6 * tick}))
        assert faults == Reason.FREE_FALL
        assert tick in (75, 76)

    @pytest.mark.parametrize("place", [7, 8])
    def test_along_any_axis(self, monitor: PlausibilityMonitor, place: int) -> None:
        faults = first_alarm(monitor, lambda tick: changed(tick, {9: 0.0, place: 2.9 + 1e-6 * tick}))[1]
        assert faults & Reason.FREE_FALL

    def test_a_third_of_gravity_is_no_free_fall(self, monitor: PlausibilityMonitor) -> None:
        assert first_alarm(monitor, lambda tick: changed(tick, {9: 3.9 + 1e-6 * tick}), 1000)[1] == 0

    def test_its_bound(self, monitor: PlausibilityMonitor) -> None:
        def motion(tick: int) -> List[float]:
            return changed(tick, {8: 2.0, 9: math.sqrt(5.0) + 1e-3 + 1e-6 * (tick % 2)})

        tick, faults = first_alarm(monitor, motion)
        assert faults == Reason.GRAVITY_MISMATCH

    def test_a_leap_is_no_free_fall(self, monitor: PlausibilityMonitor) -> None:
        def motion(tick: int) -> List[float]:
            return changed(tick, {9: 0.5 + 1e-6 * tick if tick % 150 < 70 else 15.0})

        assert first_alarm(monitor, motion) == (400, 0)

    def test_gaps_count_as_six_milliseconds(self, monitor: PlausibilityMonitor) -> None:
        """25 x 6 ms."""
        monitor.observe(standing(0), TICK_S)
        found = [monitor.observe(changed(tick, {9: 2.9 + 1e-6 * tick}), 0.01) for tick in range(1, 40)]
        first = next(index for index, faults in enumerate(found) if faults & Reason.FREE_FALL)
        assert first in (24, 25)
