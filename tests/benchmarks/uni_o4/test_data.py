"""What a data set's behaviour earned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.logged_steps import LoggedSteps
from benchmarks.uni_o4.robots import EPISODE_STEPS, benchmark_robot

HOPPER = benchmark_robot("hopper")


def steps(lengths: list[int], terminal: list[bool]) -> LoggedSteps:
    """Episodes of one reward a step; those that are not terminal end in a timeout."""
    count, last = sum(lengths), np.cumsum(lengths) - 1
    terminals, timeouts = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    terminals[last], timeouts[last] = terminal, ~np.array(terminal)
    states, ones = np.zeros((count, 11), dtype=np.float32), np.ones(count, dtype=np.float32)
    return LoggedSteps(states, states, np.zeros((count, 3), dtype=np.float32), ones, terminals, timeouts, ones)


def test_episodes_that_a_recording_cut_do_not_count_wherever_they_are():
    """A fall after 10 steps, a recording cut at 5 and put before another, the clock, and a cut at 7."""
    made = steps([10, 5, EPISODE_STEPS, 7], [True, False, False, False])
    found = DataSet(HOPPER, "medium-expert", made, "").mean_score()
    assert found == pytest.approx(HOPPER.normalized_score((10 + EPISODE_STEPS) / 2))
    cut = DataSet(HOPPER, "medium", steps([5], [False]), "")
    assert cut.mean_score() == pytest.approx(HOPPER.normalized_score(5.0))


def test_the_hash_is_that_of_the_steps():
    made = steps([3], [True])
    first, second = (DataSet(HOPPER, "medium", each, "") for each in (made, replace(made, rewards=made.rewards * 2)))
    assert first.sha256 == made.sha256() != second.sha256
