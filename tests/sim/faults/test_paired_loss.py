"""Walks with and without loss, in pairs."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.faults.paired_loss import PairedLoss, Walk, walk


def test_differences_are_paired_and_falls_are_counted() -> None:
    sound = (Walk(0.1, 0.2, False), Walk(0.3, 0.2, True))
    lossy = (Walk(0.2, 0.2, False), Walk(0.4, 0.1, False))
    pairs = PairedLoss(0.1, 8.0, sound, lossy)
    assert pairs.difference("linear_error_m_s") == pytest.approx((0.1, 0.1, 0.1))
    assert pairs.difference("yaw_error_rad_s") == pytest.approx((-0.05, -0.1, 0.0))
    assert pairs.falls() == (1, 0)


@pytest.mark.slow
def test_loss_changes_a_walk_and_the_same_loss_changes_it_alike(bundle_path: Path) -> None:
    sound, lossy, again = (walk(bundle_path, 7000, loss, 2.0) for loss in (0.0, 0.1, 0.1))
    assert lossy == again != sound
    assert not lossy.fell
    assert abs(lossy.linear_error_m_s - sound.linear_error_m_s) < 0.05
