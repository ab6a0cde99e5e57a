"""States beside the states before them: sums of small errors by hand, lying sensors, and what must not alarm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import List

import numpy as np
import pytest

from deploy.onboard.plausibility import PlausibilityMonitor
from deploy.onboard.reasons import Reason
from robot_configs.robot import GRAVITY_M_S2, RobotModel
from tests.deploy.onboard.motions import POSITION, TICK_S, VELOCITY, changed, first_alarm, robot_with, standing


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    """Held here so that the numbers below stay true when go1.yaml is tuned."""
    return robot_with(
        mismatch_memory_s=0.2,
        mismatch_gap_limit_ms=6.0,
        joint_mismatch_limit_rad=0.3,
        joint_velocity_lag_s=0.0,
        rotation_mismatch_limit_rad=0.2,
        gravity_memory_s=0.3,
        gravity_mismatch_limit_m_s2=6.0,
    )


@pytest.fixture
def monitor(robot: RobotModel) -> PlausibilityMonitor:
    return PlausibilityMonitor(robot)


def test_a_robot_that_stands_still_is_plausible(monitor: PlausibilityMonitor) -> None:
    assert first_alarm(monitor, standing) == (400, 0)


@pytest.mark.parametrize("place", [0, 10, 25, 45])
def test_the_first_state_is_compared_with_nothing(monitor: PlausibilityMonitor, place: int) -> None:
    assert monitor.observe(changed(0, {place: 30.0}), TICK_S) == 0


def test_after_a_reset_nothing_is_remembered(monitor: PlausibilityMonitor) -> None:
    assert first_alarm(monitor, lambda tick: changed(tick, {9: 0.0, POSITION: 0.04 * tick, VELOCITY + 3: 7.0}))[1]
    monitor.reset()
    assert first_alarm(monitor, standing) == (400, 0)


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


class TestLateVelocities:
    """A lag of 12 ms is allowed for, by the fastest velocity of the last moments."""

    @pytest.fixture
    def monitor(self) -> PlausibilityMonitor:
        robot = robot_with(
            mismatch_memory_s=0.2, mismatch_gap_limit_ms=6.0, joint_mismatch_limit_rad=0.12, joint_velocity_lag_s=0.012
        )
        return PlausibilityMonitor(robot)

    @pytest.mark.parametrize("joint", [0, 11])
    @pytest.mark.parametrize("sign", [1.0, -1.0])
    @pytest.mark.parametrize(("speed", "most"), [(0.0, 0.12), (5.0, 0.18), (10.0, 0.24)])
    def test_a_jump_at_a_speed(
        self, monitor: PlausibilityMonitor, joint: int, sign: float, speed: float, most: float
    ) -> None:
        for jump, faults in ((most - 1e-6, 0), (most + 1e-6, Reason.JOINT_MISMATCH)):
            monitor.reset()
            monitor.observe(changed(0, {VELOCITY + joint: sign * speed}), TICK_S)
            moved = sign * speed * TICK_S
            after = changed(1, {POSITION + joint: moved + jump, VELOCITY + joint: sign * speed})
            assert monitor.observe(after, TICK_S) == faults

    @pytest.mark.parametrize(("pause", "faults"), [(0, 0), (60, Reason.JOINT_MISMATCH)])
    def test_the_speed_is_forgotten_as_the_error_is(
        self, monitor: PlausibilityMonitor, pause: int, faults: int
    ) -> None:
        """10 rad/s allow 0.24 rad; after 60 ticks at rest 0.55 of it are left: 0.12 + 0.066."""
        monitor.observe(changed(0, {VELOCITY: 10.0}), TICK_S)
        monitor.observe(changed(1, {POSITION: 0.01}), TICK_S)
        for tick in range(pause):
            monitor.observe(changed(tick, {POSITION: 0.01}), TICK_S)
        assert monitor.observe(changed(1, {POSITION: 0.01 + 0.22}), TICK_S) == faults

    def test_over_a_gap_as_well(self, monitor: PlausibilityMonitor) -> None:
        """100 ms leave half of 10 rad/s: 0.18 rad."""
        for jump, faults in ((0.17, 0), (0.19, Reason.JOINT_MISMATCH)):
            monitor.reset()
            monitor.observe(changed(0, {VELOCITY: 10.0}), TICK_S)
            monitor.observe(changed(1, {POSITION: 0.02, VELOCITY: 0.0}), 0.1)
            assert monitor.observe(changed(2, {POSITION: 0.02 + jump}), TICK_S) == faults


class TestTogether:
    """Each check has a file of its own; here only that the monitor asks it."""

    @pytest.mark.parametrize(
        ("limits", "faults"),
        [
            ({"joint_position_jump_rad": 0.02, "joint_velocity_error_rad_s": 15.0}, Reason.SENSOR_JUMP),
            ({"joint_mismatch_limit_rad": 0.3}, Reason.JOINT_MISMATCH),
            ({}, 0),
        ],
    )
    @pytest.mark.parametrize(("gap_s", "judged"), [(TICK_S, True), (0.006, True), (0.0061, False)])
    def test_a_jump(self, limits: dict[str, float], faults: int, gap_s: float, judged: bool) -> None:
        monitor = PlausibilityMonitor(robot_with(mismatch_gap_limit_ms=6.0, joint_velocity_lag_s=0.0, **limits))
        monitor.observe(standing(0), TICK_S)
        assert monitor.observe(changed(1, {POSITION + 5: 0.5}), gap_s) == (faults if judged else 0)

    def test_a_frozen_sensor_and_that_gaps_count_as_six_milliseconds(self) -> None:
        """17 x 6 ms are the first to exceed 100 ms."""
        monitor = PlausibilityMonitor(robot_with(mismatch_gap_limit_ms=6.0, frozen_after_s=0.1))
        assert first_alarm(monitor, lambda tick: standing(0), step_s=0.05) == (17, Reason.IMU_FROZEN)

    def test_a_frozen_joint_by_its_own_error(self) -> None:
        """At 1 rad/s 0.02 rad are passed after 20 ms, told after the 40 that a freeze must last: 20 or 21 ticks."""
        monitor = PlausibilityMonitor(robot_with(frozen_alone_after_s=0.04, frozen_joint_travel_rad=0.02))
        tick, faults = first_alarm(
            monitor, lambda tick: changed(tick, {POSITION + 3: 0.1, VELOCITY + 3: 1.0 + 1e-6 * (tick % 3)})
        )
        assert faults == Reason.JOINT_FROZEN
        assert tick in (20, 21)


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
