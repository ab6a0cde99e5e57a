"""States beside the states before them: the monitor asks every check, and forgets when told."""

from __future__ import annotations

import pytest

from deploy.onboard.plausibility import PlausibilityMonitor
from deploy.onboard.reasons import Reason
from tests.deploy.onboard.motions import POSITION, TICK_S, VELOCITY, changed, first_alarm, robot_with, standing


def test_a_robot_that_stands_still_is_plausible(monitor: PlausibilityMonitor) -> None:
    assert first_alarm(monitor, standing) == (400, 0)


@pytest.mark.parametrize("place", [0, 10, 25, 45])
def test_the_first_state_is_compared_with_nothing(monitor: PlausibilityMonitor, place: int) -> None:
    assert monitor.observe(changed(0, {place: 30.0}), TICK_S) == 0


def test_after_a_reset_nothing_is_remembered(monitor: PlausibilityMonitor) -> None:
    assert first_alarm(monitor, lambda tick: changed(tick, {9: 0.0, POSITION: 0.04 * tick, VELOCITY + 3: 7.0}))[1]
    monitor.reset()
    assert first_alarm(monitor, standing) == (400, 0)


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

    @pytest.mark.parametrize("step_s", [TICK_S, 0.1])
    def test_gravity_over_ticks_and_over_gaps(self, step_s: float) -> None:
        monitor = PlausibilityMonitor(robot_with(gravity_memory_s=TICK_S, gravity_mismatch_limit_m_s2=6.0))
        monitor.observe(standing(0), TICK_S)
        assert monitor.observe(changed(1, {7: 5.9}), step_s) == 0
        assert monitor.observe(changed(2, {7: 6.1}), step_s) == Reason.GRAVITY_MISMATCH
