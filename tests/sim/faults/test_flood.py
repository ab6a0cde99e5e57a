"""Floods of datagrams on real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.faults.flood import FLOOD_TARGETS, FloodTarget, walk_under_flood


@pytest.mark.slow
@pytest.mark.parametrize("target", FLOOD_TARGETS)
def test_a_flood_moves_nothing_beyond_its_limits(bundle_path: Path, target: FloodTarget) -> None:
    result = walk_under_flood(bundle_path, target, walk_s=0.5)
    assert result.datagrams > 1000
    assert result.violations == {}
    # Strangers do not get past the runner's connected socket. A robot that drowns in packets answers late: damped.
    assert result.faults == () or target == "robot"
    assert result.walked_s == pytest.approx(0.5) or target == "robot"
