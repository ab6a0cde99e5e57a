"""Intervals and tests by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.uni_o4.significance import (
    Measured,
    difference,
    drop_probability,
    gain_probability,
    mean_figure,
    ratio_to_best,
    share,
)


def test_a_verdict_needs_the_whole_interval():
    assert Measured(1.3, 1.2, 1.4).verdict(1.15) == "met"
    assert Measured(1.3, 1.1, 1.5).verdict(1.15) == "open"
    assert Measured(1.0, 0.9, 1.1).verdict(1.15) == "MISSED"
    assert Measured(1.3, 1.15, 1.4).verdict(1.15) == "met"


def test_a_ratio_without_any_luck_is_exact_and_names_the_best_of_the_others():
    sets = [{"ours": [[60.0, 60.0]], "a": [[40.0]], "b": [[50.0, 50.0]]}] * 3
    best, ratio = ratio_to_best(sets, "ours", ["a", "b"])
    assert best == "b"
    assert (ratio.value, ratio.lower, ratio.upper) == pytest.approx((1.2, 1.2, 1.2))


def test_a_ratio_carries_the_luck_of_sets_of_seeds_and_of_episodes():
    calm = [{"ours": [[60.0], [60.0]], "peer": [[50.0], [50.0]]}] * 4
    sets = [*calm[:3], {"ours": [[100.0], [100.0]], "peer": [[50.0], [50.0]]}]
    seeds = [{"ours": [[40.0], [80.0]], "peer": [[50.0], [50.0]]}] * 4
    episodes = [{"ours": [[40.0, 80.0], [40.0, 80.0]], "peer": [[50.0], [50.0]]}] * 4
    widths = []
    for each in (calm, sets, seeds, episodes):
        _, ratio = ratio_to_best(each, "ours", ["peer"])
        assert ratio.lower <= ratio.value <= ratio.upper
        widths.append(ratio.upper - ratio.lower)
    assert widths[0] == pytest.approx(0.0)
    assert min(widths[1:]) > 0.1


def test_a_difference_is_that_of_the_means_over_seeds():
    found = difference([[10.0, 20.0], [30.0, 40.0]], [[5.0]])
    assert found.value == pytest.approx(20.0)  # 25 - 5
    assert found.lower < 20.0 < found.upper
    assert difference([[7.0]], [[5.0]]) == Measured(2.0, 2.0, 2.0)


def test_a_gain_of_every_episode_is_one_pattern_of_all():
    assert gain_probability([0.0, 0.0, 0.0], [1.0, 2.0, 3.0]) == 1 / 8
    assert gain_probability([0.0] * 10, [1.0] * 10) == 1 / 1024
    assert gain_probability([0.0] * 10, [-1.0] * 10) == 1.0
    assert gain_probability([0.0, 0.0], [1.0, -1.0]) == 0.75  # the mean 0 is reached by ++, +- and -+


def test_a_drop_is_judged_against_the_deepest_of_as_many_points():
    """One point, four episodes, all lower: 1 of 16 patterns. A second that goes the other way doubles the luck."""
    assert drop_probability([[0.0] * 4, [-1.0] * 4]) == 1 / 16
    assert drop_probability([[0.0] * 4, [-1.0] * 4, [1.0] * 4]) == 2 / 16
    assert drop_probability([[5.0] * 4, [6.0] * 4]) == 1.0
    assert drop_probability([[5.0] * 4]) == 1.0  # no point but the start


def test_many_episodes_are_sampled_and_not_counted_out():
    assert gain_probability([0.0] * 30, [1.0] * 30) < 0.001
    noise = [(-1.0) ** place for place in range(30)]
    assert gain_probability([0.0] * 30, noise) == pytest.approx(0.57, abs=0.05)  # ties with zero count


def test_a_share_has_wilsons_interval():
    """By hand at 1.96 deviations: centre (k + 1.92) / (n + 3.84), half width 1.96 sqrt(k (n - k) / n + 0.96) / it."""
    found = share([True] * 3 + [False])
    assert found.value == 0.75
    assert (found.lower, found.upper) == pytest.approx((0.3006, 0.9544), abs=1e-3)
    assert share([True] * 4).lower == pytest.approx(4.0 / (4.0 + 1.96**2), abs=1e-3)
    assert share([False] * 4).upper == pytest.approx(1.96**2 / (4.0 + 1.96**2), abs=1e-3)


def test_a_mean_figure_carries_the_luck_of_rows_and_of_seeds():
    def spread(rows: np.ndarray) -> float:
        return float(rows.mean())

    alike, rows, seeds = [np.full((6, 1), 0.5)] * 2, [np.eye(6)[:, :1]] * 2, [np.zeros((6, 1)), np.ones((6, 1))]
    assert mean_figure(alike, spread) == Measured(0.5, 0.5, 0.5)
    found = mean_figure(rows, spread)
    assert found.value == pytest.approx(1 / 6) and found.lower < 0.05 < 0.3 < found.upper
    found = mean_figure(seeds, spread)
    assert (found.value, found.lower, found.upper) == (0.5, 0.0, 1.0)
