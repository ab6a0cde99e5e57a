"""Shares of a gap by hand, and what their intervals are over."""

import numpy as np
import pytest

from benchmarks.twin_conditions_gaps import ConditionReturns, mean_gain, mean_of
from sim.twin_batch.resampling import draw_weights, mean_interval

EPISODES = 40
LEVEL = np.random.default_rng(1).normal(500.0, 80.0, EPISODES)
OWN = np.arange(EPISODES)


def returns(gain: float, learned: dict[int, float], grounds: np.ndarray = OWN) -> ConditionReturns:
    """An oracle and learned policies that are better by so much in every episode, give or take a point."""
    noise = np.random.default_rng(2).normal(0.0, 1.0, (2 + len(learned), EPISODES))
    after = {seed: LEVEL + more + noise[index] for index, (seed, more) in enumerate(learned.items())}
    return ConditionReturns(LEVEL + noise[-2], LEVEL + gain + noise[-1], after, grounds)


def test_shares_by_hand():
    """Of a gap of 100: 50 and 75 points are 0.5 and 0.75, a loss is negative, and more than the oracle more than 1."""
    measured = returns(100.0, {1: 50.0, 2: 75.0, 3: -10.0, 4: 125.0})
    assert list(measured.shares().values()) == pytest.approx([0.5, 0.75, -0.1, 1.25], abs=0.01)
    assert measured.closed(0).value == pytest.approx(0.6, abs=0.01)


def test_a_gap_is_paired_and_has_to_be_larger_than_its_interval():
    """Episodes differ by 80 points, which is +-25 on their mean; the pairs differ by 1.4, which is +-0.4."""
    assert returns(5.0, {}).gap().interval == pytest.approx((4.6, 5.4), abs=0.5)
    assert returns(5.0, {}).gap().is_above_its_interval
    assert not returns(0.3, {}).gap().is_above_its_interval
    assert not returns(-50.0, {}).gap().is_above_its_interval


def test_the_interval_of_a_share_knows_how_much_seeds_differ():
    """Three seeds alike: +-1 %. At 0.2, 0.5 and 0.8 a bootstrap over seeds reaches from one to the other."""
    alike, apart = returns(100.0, {1: 50.0, 2: 50.0, 3: 50.0}), returns(100.0, {1: 20.0, 2: 50.0, 3: 80.0})
    low, high = alike.closed(0).interval
    assert high - low < 0.03
    low, high = apart.closed(0).interval
    assert low == pytest.approx(0.2, abs=0.05) and high == pytest.approx(0.8, abs=0.05)


def test_the_mean_over_conditions_is_surer_than_each():
    closed = [returns(100.0, {1: 20.0, 2: 50.0, 3: 80.0}).closed(index) for index in range(4)]
    mean = mean_of(closed)
    assert mean.value == pytest.approx(0.5, abs=0.01)
    width, own = (one.interval[1] - one.interval[0] for one in (mean, closed[0]))
    assert width == pytest.approx(own / 2.0, rel=0.2)


def test_a_gain_is_paired_and_its_interval_knows_the_seeds():
    """Differences of 10, 20 and 30 in every episode: 20, from 10 to 30; the spread of the episodes is in no pair."""
    gain = mean_gain({seed: np.full(EPISODES, 10.0 * seed) for seed in (1, 2, 3)}, OWN, 0)
    assert gain.value == pytest.approx(20.0)
    assert gain.interval == pytest.approx((10.0, 30.0), abs=4.0)
    assert mean_gain({1: np.full(EPISODES, -5.0)}, OWN, 0).interval == pytest.approx((-5.0, -5.0))


def test_episodes_on_one_ground_are_one_witness():
    """Eight grounds of five episodes each that agree: as wide as eight episodes, not as forty."""
    ground = np.repeat(np.arange(8), 5)
    values = np.random.default_rng(3).normal(0.0, 1.0, 8)[ground]
    alone, together = (np.diff(mean_interval(values, which))[0] for which in (OWN, ground))
    assert together == pytest.approx(alone * np.sqrt(5.0), rel=0.1)


def test_weights_draw_grounds_whole():
    """A ground of two episodes among three: if it comes k times, 2 k of the k + 3 episodes drawn are on it."""
    weights = draw_weights(np.array([7, 7, 3, 9]), np.random.default_rng(0), draws=500)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    assert set(np.round(weights[:, 0] * 2.0, 6)) <= {np.round(2.0 * k / (k + 3.0), 6) for k in range(4)}
