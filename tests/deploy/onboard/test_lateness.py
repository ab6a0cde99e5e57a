"""The lateness histogram."""

from __future__ import annotations

import pytest

from deploy.onboard.lateness import BINS, LatenessHistogram


def test_nothing_counted_yet() -> None:
    report = LatenessHistogram().to_dict()
    assert (report["ticks"], report["mean_s"], report["p99_s"], report["maximum_s"]) == (0, 0.0, 0.0, 0.0)


def test_bins_by_hand() -> None:
    """Bin 0 is below 1 us; 1 us opens bin 1; each bin is sqrt(2) wide, so 2 us opens bin 3."""
    histogram = LatenessHistogram()
    for lateness_s in (-5.0, 0.0, 0.99e-6, 1.0e-6, 1.41e-6, 1.42e-6, 1.99e-6, 2.0001e-6):
        histogram.add(lateness_s)
    assert histogram.counts[:4] == [3, 2, 2, 1]
    assert sum(histogram.counts) == histogram.total == 8


def test_the_last_bin_takes_everything_longer() -> None:
    histogram = LatenessHistogram()
    histogram.add(1e6)
    assert histogram.counts[BINS - 1] == 1
    assert histogram.maximum_s == 1e6


def test_quantiles_are_right_to_within_a_bin() -> None:
    histogram = LatenessHistogram()
    for _ in range(98):
        histogram.add(100e-6)
    for _ in range(2):
        histogram.add(3e-3)
    assert 100e-6 <= histogram.quantile_s(0.5) <= 100e-6 * 2**0.5
    assert histogram.quantile_s(0.98) <= 100e-6 * 2**0.5
    assert histogram.quantile_s(0.99) == pytest.approx(3e-3)  # never above the maximum
    assert histogram.to_dict()["mean_s"] == pytest.approx((98 * 100e-6 + 2 * 3e-3) / 100)
