"""A wall clock that jumps, while time itself does not."""

from __future__ import annotations

import time

import pytest

from sim.faults.wall_clock import WallClock


@pytest.mark.parametrize("jump_s", [3600.0, -1e9])
def test_the_wall_clock_jumps_and_the_monotonic_clock_does_not(jump_s: float) -> None:
    clock = WallClock()
    true_time, true_time_ns = time.time, time.time_ns
    with clock.installed():
        assert time.time() == pytest.approx(true_time(), abs=5.0)
        before_s = time.monotonic()
        clock.jump(jump_s)
        assert time.time() - true_time() == pytest.approx(jump_s, abs=5.0)
        assert (time.time_ns() - true_time_ns()) / 1e9 == pytest.approx(jump_s, abs=5.0)
        assert 0.0 <= time.monotonic() - before_s < 60.0
    assert (time.time, time.time_ns) == (true_time, true_time_ns)
