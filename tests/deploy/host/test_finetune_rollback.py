"""Comparing what two rounds logged: hand-computed returns, intervals and boundaries."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from deploy.host.finetune_rollback import (
    COMPLETE_SHARE,
    MINIMUM_EPISODES,
    LoggedEpisode,
    compare_logged_returns,
    logged_episodes,
)
from offline_data.dataset import Dataset, Episode


class Columns(SimpleNamespace):
    """The part of a data set that counts here."""

    def __getitem__(self, name: str) -> np.ndarray:
        return getattr(self, name)


def walks(*returns: float, steps: int = 100) -> tuple[LoggedEpisode, ...]:
    """Episodes of the planned length."""
    return tuple(LoggedEpisode(value, steps, fell=False) for value in returns)


def test_returns_are_summed_over_each_episodes_own_steps() -> None:
    data = Columns(
        #                 walked             |   fell        |  masked
        reward=np.array([1.0, 2.0, 9.0, 50.0, 0.5, -1.0, 50.0, 7.0, 50.0], dtype=np.float32),
        valid=np.array([1, 1, 0, 0, 1, 1, 0, 0, 0], dtype=bool),
        episodes=(
            Episode(0, 4, "truncated", "a.mcap"),
            Episode(4, 7, "terminated", "a.mcap"),
            Episode(7, 9, "stopped", "a.mcap"),
        ),
    )
    # The masked third step counts as the mean of the two that are trusted; a final row's reward never does.
    assert logged_episodes(cast(Dataset, data)) == (LoggedEpisode(4.5, 3, False), LoggedEpisode(-0.5, 2, True))


@pytest.mark.parametrize(("after", "worse"), [(3.0, True), (10.0, False), (11.0, False)])
def test_walks_that_are_all_alike_leave_no_doubt(after: float, worse: bool) -> None:
    difference = compare_logged_returns(walks(*[10.0] * 6), walks(*[after] * 6))
    assert difference is not None
    assert (difference.mean, difference.lower, difference.upper) == (after - 10.0, after - 10.0, after - 10.0)
    assert difference.clearly_worse is worse


def test_the_interval_of_a_coin() -> None:
    """Later: four walks of -1 and one of 0, so a resampled mean is -k/5 with k ~ B(5, 0.8).

    P(k = 5) = 0.33 > 0.025, so the lower end is -1; P(k <= 1) = 0.007 < 0.025 < P(k <= 2) = 0.058: the upper is -2/5.
    """
    difference = compare_logged_returns(walks(*[0.0] * 5), walks(-1.0, -1.0, -1.0, -1.0, 0.0))
    assert difference is not None
    assert difference.mean == pytest.approx(-0.8)
    assert (difference.lower, difference.upper) == pytest.approx((-1.0, -0.4))
    assert difference.clearly_worse


def test_chance_on_the_earlier_side_counts_as_well() -> None:
    """The same coin before, nothing but zeros after: the mirror image."""
    difference = compare_logged_returns(walks(-1.0, -1.0, -1.0, -1.0, 0.0), walks(*[0.0] * 5))
    assert difference is not None
    assert (difference.lower, difference.upper) == pytest.approx((0.4, 1.0))


def test_lower_on_average_is_not_clearly_worse() -> None:
    difference = compare_logged_returns(walks(9.0, 11.0, 8.0, 12.0, 10.0), walks(7.0, 11.0, 8.0, 12.0, 10.0))
    assert difference is not None
    assert difference.mean == pytest.approx(-0.4)
    assert not difference.clearly_worse


@pytest.mark.parametrize("few_first", [True, False])
def test_too_few_walks_on_either_side_say_nothing(few_first: bool) -> None:
    few, enough = walks(*[1.0] * (MINIMUM_EPISODES - 1)), walks(*[1.0] * MINIMUM_EPISODES)
    assert compare_logged_returns(*((few, enough) if few_first else (enough, few))) is None
    assert compare_logged_returns(enough, enough) is not None
    assert compare_logged_returns((), ()) is None


def test_a_walk_that_was_cut_short_does_not_count_and_a_fall_does() -> None:
    """Longest: 100 steps. One of 89 that did not fall is no evidence, one of 90 is, and a fall at step 3 is."""
    planned = walks(*[10.0] * 5)
    cut = LoggedEpisode(0.0, round(100 * COMPLETE_SHARE) - 1, fell=False)
    long_enough = LoggedEpisode(4.0, round(100 * COMPLETE_SHARE), fell=False)
    fall = LoggedEpisode(-2.0, 3, fell=True)
    for episode, mean in ((cut, 0.0), (long_enough, -1.0), (fall, -2.0)):
        difference = compare_logged_returns(planned, (*planned, episode))
        assert difference is not None
        assert difference.mean == pytest.approx(mean)


def test_the_longest_of_both_sides_is_the_measure() -> None:
    """After: nothing but walks that a person broke off at a tenth; they prove nothing against the policy."""
    assert compare_logged_returns(walks(*[10.0] * 5), walks(*[1.0] * 5, steps=10)) is None
