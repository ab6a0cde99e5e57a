"""Both clocks: deadlines are kept and never anticipated, whatever sleeping does; virtual time moves when told to."""

from __future__ import annotations

import math
import time
from typing import List

import pytest

from deploy.onboard import clock as clock_module
from deploy.onboard.clock import SPIN_S, ClockError, MonotonicClock, VirtualClock

GLANCE_S = 1e-6
"""How long one look at the fake clock takes."""


class FakeTime:
    """Stands in for the module `time`: sleeping lasts `oversleep_s` longer than asked for."""

    def __init__(self, oversleep_s: float) -> None:
        self.now_s, self._oversleep_s = 100.0, oversleep_s
        self.sleeps: List[float] = []

    def monotonic(self) -> float:
        self.now_s += GLANCE_S
        return self.now_s

    def sleep(self, duration_s: float) -> None:
        assert duration_s > 0.0, "time.sleep refuses negative durations"
        self.sleeps.append(duration_s)
        self.now_s += max(duration_s + self._oversleep_s, GLANCE_S)


@pytest.mark.parametrize("oversleep_s", [0.0, 60e-6, SPIN_S - 3e-6])
def test_oversleeping_by_less_than_the_spin_is_made_good(oversleep_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(oversleep_s)
    monkeypatch.setattr(clock_module, "time", fake)
    MonotonicClock().sleep_until(100.002)
    assert 100.002 <= fake.now_s <= 100.002 + 2 * GLANCE_S
    assert len(fake.sleeps) == 1
    assert fake.sleeps[0] == pytest.approx(0.002 - SPIN_S, abs=2 * GLANCE_S)


def test_oversleeping_by_more_is_lateness_and_nothing_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(oversleep_s=0.005)
    monkeypatch.setattr(clock_module, "time", fake)
    MonotonicClock().sleep_until(100.002)
    assert fake.now_s == pytest.approx(100.002 - SPIN_S + 0.005, abs=5 * GLANCE_S)


def test_a_sleep_that_is_cut_short_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(oversleep_s=-0.5)  # half a second too early, each time
    monkeypatch.setattr(clock_module, "time", fake)
    MonotonicClock().sleep_until(101.2)
    assert 101.2 <= fake.now_s <= 101.2 + 2 * GLANCE_S
    assert len(fake.sleeps) > 2


@pytest.mark.parametrize("deadline_s", [99.0, 100.0, -math.inf])
def test_a_deadline_that_has_passed_costs_no_sleep(deadline_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(oversleep_s=0.0)
    monkeypatch.setattr(clock_module, "time", fake)
    MonotonicClock().sleep_until(deadline_s)
    assert fake.sleeps == []
    assert fake.now_s <= 100.0 + 3 * GLANCE_S


def test_the_last_stretch_is_spent_awake(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTime(oversleep_s=0.0)
    monkeypatch.setattr(clock_module, "time", fake)
    MonotonicClock().sleep_until(100.0 + 0.9 * SPIN_S)
    assert fake.sleeps == []
    assert fake.now_s >= 100.0 + 0.9 * SPIN_S


def test_the_real_clock_never_returns_early() -> None:
    clock = MonotonicClock()
    for duration_s in (0.0, 1e-6, SPIN_S, 2 * SPIN_S, 0.01):
        deadline_s = clock.now_s() + duration_s
        clock.sleep_until(deadline_s)
        assert time.monotonic() >= deadline_s


def test_virtual_time_jumps_to_deadlines_and_never_back() -> None:
    clock = VirtualClock(5.0)
    clock.sleep_until(7.0)
    assert clock.now_s() == 7.0
    clock.sleep_until(6.0)
    assert clock.now_s() == 7.0
    clock.advance(0.0)
    clock.advance(0.25)
    assert clock.now_s() == 7.25


@pytest.mark.parametrize("duration_s", [-1e-9, math.nan, -math.inf])
def test_virtual_time_refuses_to_run_backwards(duration_s: float) -> None:
    with pytest.raises(ClockError, match="at least 0 s"):
        VirtualClock().advance(duration_s)
