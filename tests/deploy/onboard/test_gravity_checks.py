"""The accelerometer beside gravity: means by hand, lies of the quaternion, falling and leaping."""

from __future__ import annotations

import math
from typing import List

import pytest

from deploy.onboard.gravity_checks import GravityChecks
from deploy.onboard.plausibility import PlausibilityMonitor
from deploy.onboard.reasons import Reason
from deploy.onboard.signal_lists import SignalLists, taken_apart
from robot_configs.robot import GRAVITY_M_S2
from tests.deploy.onboard.motions import TICK_S, changed, first_alarm, robot_with, standing


@pytest.fixture
def monitor() -> PlausibilityMonitor:
    """Held here so that the numbers below stay true when go1.yaml is tuned."""
    return PlausibilityMonitor(
        robot_with(
            mismatch_gap_limit_ms=6.0,
            gravity_memory_s=0.3,
            gravity_mismatch_limit_m_s2=6.0,
            free_fall_below_m_s2=3.0,
            free_fall_after_s=0.15,
        )
    )


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
            ((0.0, 0.0, 1.0, 0.0), (0.0, 0.0, -1.0)),
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
        monitor: PlausibilityMonitor,
        quaternion: tuple[tuple[float, ...], tuple[float, ...]],
        force: tuple[float, float],
        told: int,
    ) -> None:
        """The heading may jump here: the other checks are silent."""

        def motion(tick: int) -> List[float]:
            values = changed(tick, {7: force[0] + 1e-6 * (tick % 2), 8: force[1]})
            values[0:4] = quaternion[tick % 2]
            return values

        assert first_alarm(monitor, motion)[1] == told

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


def feeling(x: float, y: float, z: float) -> SignalLists:
    """Level and still, with this specific force."""
    return taken_apart(changed(0, {7: x, 8: y, 9: z}))


class TestLimitsThemselves:
    """Limits met to the last bit, in numbers that are not rounded."""

    FALL, WEIGHT = feeling(0.0, 0.0, 2.0), feeling(0.0, 0.0, GRAVITY_M_S2)

    @pytest.fixture
    def checks(self) -> GravityChecks:
        return GravityChecks(
            robot_with(
                gravity_memory_s=0.5, gravity_mismatch_limit_m_s2=6.0, free_fall_below_m_s2=3.0, free_fall_after_s=0.25
            )
        )

    def test_a_mismatch_of_the_limit_is_allowed(self, checks: GravityChecks) -> None:
        assert checks.faults(feeling(6.0, 0.0, GRAVITY_M_S2), 0.5, 0.125) == 0
        beyond = feeling(math.nextafter(6.0, 7.0), 0.0, GRAVITY_M_S2)
        assert checks.faults(beyond, 0.5, 0.125) == Reason.GRAVITY_MISMATCH

    def test_the_limits_force_is_weight(self, checks: GravityChecks) -> None:
        """1 + 4 + 4 = 3 x 3."""
        for _ in range(4):
            assert checks.faults(feeling(1.0, 2.0, 2.0), 0.001, 0.125) == 0

    @pytest.mark.parametrize(
        ("states", "told"),
        [
            ([FALL, FALL], [0, Reason.FREE_FALL]),
            ([FALL, WEIGHT, FALL, FALL], [0, 0, 0, Reason.FREE_FALL]),
        ],
    )
    def test_a_fall_is_told_when_it_has_lasted_long_enough_since_the_last_weight(
        self, checks: GravityChecks, states: List[SignalLists], told: List[int]
    ) -> None:
        """An eighth of a second each, a quarter is too long."""
        assert [checks.faults(state, 0.001, 0.125) for state in states] == told
