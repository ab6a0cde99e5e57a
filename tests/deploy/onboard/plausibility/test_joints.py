"""Positions beside velocities: sums of small errors by hand, lying sensors, and what must not alarm."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import List

import pytest

from deploy.onboard.plausibility import PlausibilityMonitor
from deploy.onboard.reasons import Reason
from tests.deploy.onboard.motions import POSITION, TICK_S, VELOCITY, changed, first_alarm, robot_with, standing


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

    @pytest.mark.parametrize(("jump", "faults"), [(0.25, 0), (math.nextafter(0.25, 1.0), Reason.JOINT_MISMATCH)])
    def test_the_limit_itself_is_allowed(self, jump: float, faults: int) -> None:
        """A quarter is not rounded."""
        monitor = PlausibilityMonitor(robot_with(joint_mismatch_limit_rad=0.25, joint_velocity_lag_s=0.0))
        monitor.observe(standing(0), TICK_S)
        assert monitor.observe(changed(2, {POSITION + 3: jump}), TICK_S) == faults

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
