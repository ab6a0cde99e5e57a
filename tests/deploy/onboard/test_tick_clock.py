"""The robot's clock beside ours: repetitions, late packets, jumps, wraps, and delays that grow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.onboard.reasons import Reason
from deploy.onboard.tick_clock import ROUNDING_S, STEADY_S, TickClock
from robot_configs.robot import RobotModel, load_robot


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    """Held here so that the numbers below stay true when go1.yaml is tuned."""
    model = load_robot()
    return replace(
        model,
        safety=replace(model.safety, max_tick_gap_ms=100.0, state_age_limit_s=0.02),
        plausibility=replace(model.plausibility, clock_drift_s_per_s=0.001),
    )


LEAST_S = 2.0**-40
"""Longer than nothing: numbers of a few seconds differ by a thousandth of it."""


@pytest.fixture
def exact(robot: RobotModel) -> RobotModel:
    """A limit of 1/64 s with its slack of a microsecond, and no drift: in binary fractions sums are exact."""
    return replace(
        robot,
        safety=replace(robot.safety, state_age_limit_s=1 / 64 - 1e-6, max_tick_gap_ms=1000.0),
        plausibility=replace(robot.plausibility, clock_drift_s_per_s=0.0),
    )


@pytest.fixture
def clock(robot: RobotModel) -> TickClock:
    return TickClock(robot)


@pytest.mark.parametrize("tick_ms", [0, 7, 2**31, 2**32 - 1])
def test_any_count_may_be_the_first(clock: TickClock, tick_ms: int) -> None:
    assert clock.take(tick_ms, 5.0) == (0, 0)
    assert clock.take((tick_ms + 2) % 2**32, 5.002) == (2, 0)


@pytest.mark.parametrize(
    ("tick_ms", "expected"),
    [
        (1001, (1, 0)),
        (1002, (2, 0)),
        (1100, (100, 0)),
        (1101, None),
        (1000, None),
        (999, None),
        (900, None),
        (899, None),
        (0, None),
        (1000 + 2**31, None),
    ],
)
def test_what_may_follow(clock: TickClock, tick_ms: int, expected: object) -> None:
    clock.take(1000, 5.0)
    assert clock.take(tick_ms, 5.002) == expected


def test_after_a_late_packet_the_newest_one_still_counts(clock: TickClock) -> None:
    clock.take(1000, 5.0)
    assert clock.take(998, 5.001) is None
    assert clock.take(1002, 5.002) == (2, 0)
    assert clock.take(1001, 5.003) is None


def test_the_count_may_wrap(clock: TickClock) -> None:
    clock.take(2**32 - 3, 5.0)
    assert clock.take(2**32 - 1, 5.002) == (2, 0)
    assert clock.take(1, 5.004) == (2, 0)
    assert clock.take(2**32 - 1, 5.006) is None


class TestOutOfLine:
    """More than 100 ms before or behind the robot's own count; it is believed when nothing else comes for 20 ms."""

    @pytest.mark.parametrize("tick_ms", [1500, 899, 0, 1000 + 2**31, 2**32 - 1])
    def test_it_counts_as_lost_while_the_robots_own_states_come(self, clock: TickClock, tick_ms: int) -> None:
        clock.take(1000, 5.0)
        for number in range(1, 200):
            assert clock.take(tick_ms, 5.0 + 0.002 * number - 0.001) is None
            assert clock.take(1000 + 2 * number, 5.0 + 0.002 * number) == (2, 0)

    @pytest.mark.parametrize("tick_ms", [1101, 899, 0, 1000 + 2**31])
    @pytest.mark.parametrize(("silence_s", "is_believed"), [(0.0199, False), (0.0201, True)])
    def test_it_is_believed_when_nothing_else_has_come(
        self, clock: TickClock, tick_ms: int, silence_s: float, is_believed: bool
    ) -> None:
        clock.take(1000, 5.0)
        assert clock.take(tick_ms, 5.0 + silence_s) == ((0, Reason.TICK_JUMP) if is_believed else None)

    @pytest.mark.parametrize(("newest_ms", "late_ms"), [(1000, 1000), (1000, 900), (50, 2**32 - 50)])
    def test_up_to_a_hundred_behind_it_is_a_late_state_however_long_the_silence(
        self, clock: TickClock, newest_ms: int, late_ms: int
    ) -> None:
        clock.take(newest_ms, 5.0)
        assert clock.take(late_ms, 7.0) is None

    def test_silence_of_exactly_the_limit_is_not_long_enough(self, exact: RobotModel) -> None:
        for silence_s, expected in ((1 / 64, None), (1 / 64 + LEAST_S, (0, Reason.TICK_JUMP))):
            clock = TickClock(exact)
            clock.take(5000, 0.0)
            assert clock.take(10, silence_s) == expected

    def test_late_states_of_its_own_count_do_not_keep_it_alive(self, clock: TickClock) -> None:
        clock.take(1000, 5.0)
        assert clock.take(998, 5.015) is None
        assert clock.take(10, 5.021) == (0, Reason.TICK_JUMP)

    def test_a_controller_that_started_anew_is_followed_from_there(self, clock: TickClock) -> None:
        """Its states come on at once: ten are lost, the eleventh is the new count's first."""
        clock.take(50_000, 5.0)
        taken = [clock.take(2 * number, 5.0 + 0.002 * number) for number in range(1, 14)]
        assert taken == [None] * 10 + [(0, Reason.TICK_JUMP), (2, 0), (2, 0)]

    def test_after_a_jump_too_it_is_silence_that_counts(self, clock: TickClock) -> None:
        clock.take(50_000, 5.0)
        assert clock.take(10, 5.1) == (0, Reason.TICK_JUMP)
        assert clock.take(50_100, 5.101) is None
        assert clock.take(12, 5.102) == (2, 0)


class TestDelay:
    @pytest.mark.parametrize(("delay_s", "fault"), [(0.0199, 0), (0.0201, Reason.STATE_DELAYED)])
    def test_a_delay_shows_by_its_growth(self, clock: TickClock, delay_s: float, fault: int) -> None:
        clock.take(1000, 5.0)
        assert clock.take(1002, 5.002 + delay_s) == (2, fault)

    def test_the_delay_of_the_first_packets_is_not_known(self, clock: TickClock) -> None:
        """The first was under way for 10 ms, the second for nothing: the growth counts from there."""
        clock.take(1000, 5.010)
        clock.take(1002, 5.002)
        assert clock.take(1004, 5.0235) == (2, 0)
        assert clock.take(1006, 5.0265) == (2, Reason.STATE_DELAYED)

    def test_it_recovers(self, clock: TickClock) -> None:
        clock.take(1000, 5.0)
        assert clock.take(1002, 5.1) == (2, Reason.STATE_DELAYED)
        assert clock.take(1100, 5.1) == (98, 0)

    @pytest.mark.parametrize(("drift", "faults"), [(0.0009, 0), (0.0011, 0), (0.0015, Reason.STATE_DELAYED)])
    def test_clocks_that_drift_apart_are_no_delay(self, clock: TickClock, drift: float, faults: int) -> None:
        """40.1 s in steps of 100 ms: 1 ms/s is forgiven, of 1.1 ms/s 4 ms remain, of 1.5 ms/s 20.05 ms."""
        clock.take(0, 0.0)
        advances = [clock.take(100 * n, 0.1 * n * (1.0 + drift)) for n in range(1, 402)]
        assert advances[-1] == (100, faults)

    def test_a_clock_that_runs_ahead_is_no_delay(self, clock: TickClock) -> None:
        clock.take(0, 0.0)
        assert all(clock.take(100 * n, 0.09 * n) == (100, 0) for n in range(1, 100))

    def test_after_a_jump_the_delay_is_not_known(self, clock: TickClock) -> None:
        clock.take(1000, 5.0)
        assert clock.take(5000, 5.9) == (0, Reason.TICK_JUMP)
        assert clock.take(5002, 5.902) == (2, 0)
        assert clock.take(5004, 5.925) == (2, Reason.STATE_DELAYED)


def test_a_delay_of_exactly_the_limit_is_none(exact: RobotModel) -> None:
    """An eighth of a second of the robot's, 9/64 of ours."""
    for late_s, faults in ((0.0, 0), (LEAST_S, Reason.STATE_DELAYED)):
        clock = TickClock(exact)
        clock.take(0, 0.0)
        assert clock.take(125, 9 / 64 + late_s) == (125, faults)


class TestLostTime:
    """The robot stood still for a while: from then on everything is late, and stays so."""

    LOST_S = 0.25

    def late_states(self, clock: TickClock, duration_s: float, delay_of: object = None) -> list[int]:
        """Faults of the states of `duration_s` at 500 Hz that follow the pause, the first one at its end."""
        delay_of = delay_of if callable(delay_of) else lambda number: self.LOST_S
        clock.take(1000, 5.0)
        faults = []
        for number in range(1, round(duration_s * 500) + 1):
            advance = clock.take(1000 + 2 * number, 5.0 + 0.002 * number + delay_of(number))
            assert advance is not None and advance.advance_ms == 2
            faults.append(advance.faults)
        return faults

    def test_after_a_steady_second_the_count_starts_over(self, clock: TickClock) -> None:
        """The first late state is number 1; 500 states later the second is over (in states, for rounding, +-1)."""
        faults = self.late_states(clock, STEADY_S + 0.2)
        assert faults[:499] == [Reason.STATE_DELAYED] * 499
        assert faults[502:] == [0] * (len(faults) - 502)

    def test_a_delay_that_grows_after_that_is_one_again(self, clock: TickClock) -> None:
        self.late_states(clock, STEADY_S + 0.2)
        now_s, tick_ms = 5.0 + STEADY_S + 0.2 + self.LOST_S, 1000 + 1200
        assert clock.take(tick_ms + 2, now_s + 0.002 + 0.019) == (2, 0)
        assert clock.take(tick_ms + 4, now_s + 0.004 + 0.022) == (2, Reason.STATE_DELAYED)

    @pytest.mark.parametrize(("swing_s", "forgiven"), [(0.019, True), (0.021, False)])
    def test_jitter_within_the_limit_is_steady_and_beyond_it_is_not(
        self, clock: TickClock, swing_s: float, forgiven: bool
    ) -> None:
        """Every hundredth packet comes later by `swing_s` than the others. The quickest is the new baseline."""
        faults = self.late_states(clock, 2.5, lambda number: self.LOST_S + (swing_s if number % 100 == 0 else 0.0))
        assert (faults[-1] == 0) is forgiven
        assert (set(faults[510:]) == {0}) is forgiven

    @pytest.mark.parametrize(("growth_s_per_s", "forgiven"), [(0.015, True), (0.030, False)])
    def test_a_queue_that_fills_is_not_forgiven(self, clock: TickClock, growth_s_per_s: float, forgiven: bool) -> None:
        faults = self.late_states(clock, 1.2, lambda number: self.LOST_S + growth_s_per_s * 0.002 * number)
        assert (faults[-1] == 0) is forgiven

    def test_the_quickest_of_the_steady_stretch_is_the_new_baseline(self, clock: TickClock) -> None:
        """The first 100 come 15 ms quicker than the rest: the limit of 20 ms counts from them."""
        self.late_states(clock, STEADY_S + 0.2, lambda number: self.LOST_S + (0.0 if number <= 100 else 0.015))
        now_s, tick_ms = 5.0 + STEADY_S + 0.2 + self.LOST_S, 1000 + 1200
        assert clock.take(tick_ms + 2, now_s + 0.002 + 0.0225) == (2, Reason.STATE_DELAYED)

    def test_a_delay_that_is_over_must_begin_its_second_anew(self, clock: TickClock) -> None:
        """Late for 0.6 s, in time for one state, late again: 0.6 s and 0.6 s are not one second."""
        faults = self.late_states(clock, 1.2, lambda number: 0.0 if number == 301 else self.LOST_S)
        assert faults[300] == 0
        assert faults[299] == faults[-1] == Reason.STATE_DELAYED

    def test_a_jump_of_the_count_begins_it_anew_as_well(self, clock: TickClock) -> None:
        self.late_states(clock, 0.6)
        assert clock.take(50_000, 6.9) == (0, Reason.TICK_JUMP)
        late = [clock.take(50_000 + 2 * n, 7.2 + 0.002 * n) for n in range(1, 300)]
        assert all(advance == (2, Reason.STATE_DELAYED) for advance in late)


def test_the_slack_is_for_rounding_only() -> None:
    """A microsecond: float64 keeps a monotonic clock of a year to a hundredth of it, and nothing here is so exact."""
    assert ROUNDING_S == 1e-6


def test_a_steady_second_is_over_to_the_bit(exact: RobotModel) -> None:
    """States every 1/8 s after a pause of 2 s."""
    for swing_s, expected in ((1 / 64, 0), (1 / 64 + LEAST_S, Reason.STATE_DELAYED)):
        clock = TickClock(exact)
        clock.take(0, 0.0)
        faults = []
        for number in range(1, 10):
            advance = clock.take(125 * number, number / 8 + 2.0 + (swing_s if number == 4 else 0.0))
            assert advance is not None
            faults.append(advance.faults)
        assert faults == [Reason.STATE_DELAYED] * 8 + [expected]
