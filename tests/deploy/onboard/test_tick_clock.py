"""The robot's clock beside ours: repetitions, late packets, jumps, wraps, and delays that grow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.onboard.reasons import Reason
from deploy.onboard.tick_clock import TickClock
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
        (1101, (0, Reason.TICK_JUMP)),
        (1000, None),
        (999, None),
        (900, None),
        (899, (0, Reason.TICK_JUMP)),
        (0, (0, Reason.TICK_JUMP)),
        (1000 + 2**31, (0, Reason.TICK_JUMP)),
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


def test_after_a_jump_it_counts_from_there(clock: TickClock) -> None:
    clock.take(50_000, 5.0)
    assert clock.take(10, 5.002) == (0, Reason.TICK_JUMP)
    assert clock.take(12, 5.004) == (2, 0)


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
        """100 s in steps of 100 ms: 1 ms/s is forgiven, of 1.1 ms/s 10 ms remain, of 1.5 ms/s 50 ms."""
        clock.take(0, 0.0)
        advances = [clock.take(100 * n, 0.1 * n * (1.0 + drift)) for n in range(1, 1001)]
        assert advances[-1] == (100, faults)

    def test_a_clock_that_runs_ahead_is_no_delay(self, clock: TickClock) -> None:
        clock.take(0, 0.0)
        assert all(clock.take(100 * n, 0.09 * n) == (100, 0) for n in range(1, 100))

    def test_after_a_jump_the_delay_is_not_known(self, clock: TickClock) -> None:
        clock.take(1000, 5.0)
        clock.take(5000, 5.9)
        assert clock.take(5002, 5.902) == (2, 0)
        assert clock.take(5004, 5.925) == (2, Reason.STATE_DELAYED)


def test_a_delay_of_exactly_the_limit_is_none(robot: RobotModel) -> None:
    """In numbers that binary fractions hold: an eighth of a second of the robot's, 9/64 of ours, a limit of 1/64."""
    exact = replace(
        robot,
        safety=replace(robot.safety, state_age_limit_s=1 / 64, max_tick_gap_ms=1000.0),
        plausibility=replace(robot.plausibility, clock_drift_s_per_s=0.0),
    )
    for late_s, faults in ((0.0, 0), (1e-12, Reason.STATE_DELAYED)):
        clock = TickClock(exact)
        clock.take(0, 0.0)
        assert clock.take(125, 9 / 64 + late_s) == (125, faults)
