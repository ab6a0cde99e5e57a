"""Floods of datagrams on real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.faults.flood import FLOOD_TARGETS, FloodTarget, walk_under_flood


@pytest.mark.slow
@pytest.mark.parametrize("target", FLOOD_TARGETS)
def test_the_robot_walks_on_under_a_flood(bundle_path: Path, target: FloodTarget) -> None:
    result = walk_under_flood(bundle_path, target, walk_s=0.5)
    assert result.datagrams > 1000
    assert (result.faults, result.violations) == ((), {})
    assert result.walked_s == pytest.approx(0.5)
