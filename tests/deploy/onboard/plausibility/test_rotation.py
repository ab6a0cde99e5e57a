"""Quaternions beside the gyroscope: true ones, false ones, jumps and gaps."""

from __future__ import annotations

import math
from typing import List

import numpy as np
import pytest

from deploy.onboard.plausibility import PlausibilityMonitor
from deploy.onboard.reasons import Reason
from robot_configs.robot import GRAVITY_M_S2
from tests.deploy.onboard.motions import TICK_S, changed, first_alarm, robot_with, standing


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

    @pytest.mark.parametrize("sign", [1.0, -1.0])
    @pytest.mark.parametrize(("rate", "faults"), [(64.0, 0), (math.nextafter(64.0, 65.0), Reason.ROTATION_MISMATCH)])
    def test_the_limit_itself_is_allowed(self, sign: float, rate: float, faults: int) -> None:
        """Told to turn at 64 rad/s for 1/256 s, a quarter of a radian, and not turned: nothing of it is rounded."""
        monitor = PlausibilityMonitor(robot_with(rotation_mismatch_limit_rad=0.25))
        monitor.observe(changed(0, {5: sign * rate}), 1 / 256)
        assert monitor.observe(changed(2, {5: sign * rate}), 1 / 256) == faults

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
