"""The figures that offline evaluation is judged by."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.uni_o4.estimates import Estimate, rank_correlation
from benchmarks.uni_o4.ope import RANKED, WITH_INTERVAL, initial_rows, mean_by_start, summarize
from benchmarks.uni_o4.policy_zoo import perturbed
from policy.networks import GaussianActor


@pytest.mark.parametrize(
    ("first", "second", "wanted"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 1e9], 1.0),  # ranks only
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3], [1, 3, 2], 0.5),  # 1 - 6 * 2 / (3 * 8)
        ([1, 1, 2], [1, 2, 3], math.sqrt(0.75)),  # ranks 1.5, 1.5, 3
        ([1, 1, 1], [1, 2, 3], 0.0),
    ],
)
def test_rank_correlation_by_hand(first: list[float], second: list[float], wanted: float):
    assert rank_correlation(np.array(first), np.array(second)) == pytest.approx(wanted)


def test_an_estimate_carries_the_spread_of_members_and_of_starts():
    """Members' means 2 and 4: variance 2. Starts' means 1 and 5: variance 8, over two starts 4."""
    found = Estimate.of_members(torch.tensor([[0.0, 4.0], [2.0, 6.0]]))
    assert found.mean == pytest.approx(3.0)
    assert found.deviation == pytest.approx(math.sqrt(6.0))


def test_the_interval_is_the_normal_one():
    low, high = Estimate(10.0, 2.0).interval(0.9)
    assert low == pytest.approx(10.0 - 2.0 * 1.644854)
    assert high == pytest.approx(10.0 + 2.0 * 1.644854)


def test_estimates_that_disagree_are_wider_together_than_apart():
    mixed = Estimate(0.0, 1.0).mixed_with(Estimate(6.0, 1.0))
    assert mixed.mean == 3.0
    assert mixed.deviation == pytest.approx(math.sqrt(10.0))
    agreed = Estimate(2.0, 3.0).mixed_with(Estimate(2.0, 3.0))
    assert agreed.mean == 2.0
    assert agreed.deviation == pytest.approx(3.0)


def test_the_truth_is_taken_for_one_more_member():
    """Members' means 2, 4 and 6: mean 4, std 2; three values, so 2.920 times 2 sqrt(4 / 3) to each side at 90 %."""
    found = Estimate.of_one_more(torch.tensor([[1.0, 3.0], [4.0, 4.0], [6.0, 6.0]]))
    low, high = found.interval(0.9)
    assert (low, high) == pytest.approx((4.0 - 2.920 * 2.0 * math.sqrt(4 / 3), 4.0 + 2.920 * 2.0 * math.sqrt(4 / 3)))
    assert found.by_rank == 2.0 and Estimate(3.0, 1.0).by_rank == 3.0


def test_whole_episodes_are_held_against_undiscounted_returns():
    told = {**policy(1.0, 1.0, True), "true_return": 50.0}
    assert summarize([told], 0.9)["coverage"] == {**dict.fromkeys(WITH_INTERVAL, 1.0), "whole_episodes": 0.0}


def policy(score: float, guess: float, held: bool, error: float = 0.0) -> dict[str, Any]:
    interval = [score - 1.0, score + 1.0] if held else [score + 1.0, score + 2.0]
    return {
        "true_score": score,
        "true_return": score,
        "true_return_error": error,
        "true_discounted_return": score,
        "true_discounted_return_error": error,
        "estimates": dict.fromkeys(RANKED, guess),
        "intervals": dict.fromkeys(WITH_INTERVAL, interval),
    }


def test_correlation_and_coverage_over_policies():
    found = summarize(
        [policy(1.0, 5.0, True), policy(2.0, 6.0, True), policy(3.0, 7.0, True), policy(4.0, 1.0, False)], 0.9
    )
    assert found["coverage"] == dict.fromkeys(WITH_INTERVAL, 0.75)
    # Ranks 2, 3, 4, 1 against 1, 2, 3, 4: one less six times twelve over sixty.
    assert found["rank_correlation"]["am_q"] == pytest.approx(1.0 - 6.0 * 12.0 / 60.0)


def test_an_interval_is_widened_by_the_error_of_the_measured_truth():
    """It ends 1 beside the truth and is 0.5 wide to each side: 1.5 from its middle, which 1.645 errors of 1 reach."""
    found = summarize([policy(1.0, 5.0, False, error=1.0), policy(1.0, 5.0, False, error=0.5)], 0.9)
    assert found["coverage_of_exact_truth"] == dict.fromkeys(WITH_INTERVAL, 0.0)
    assert found["coverage"] == dict.fromkeys(WITH_INTERVAL, 0.5)


def test_starts_are_drawn_from_all_and_equally_often():
    starts, generator = torch.arange(0, 1000, 10), torch.Generator().manual_seed(0)
    few = initial_rows(starts, 8, generator)
    assert len(few.unique()) == 8 and not torch.equal(few.sort().values, starts[:8])
    many = initial_rows(starts, 256, generator)
    assert many.unique(return_counts=True)[1].tolist() == [2] * 100


def test_branches_of_one_start_are_one_piece_of_evidence():
    values = torch.tensor([[1.0, 3.0, 10.0, 10.0]])
    averaged = mean_by_start(values, torch.tensor([4, 4, 7, 7]))
    assert averaged.tolist() == [[2.0, 10.0]]
    # Doubling every branch adds nothing to what is known.
    doubled = mean_by_start(values.repeat_interleave(2, dim=1), torch.tensor([4, 4, 4, 4, 7, 7, 7, 7]))
    assert Estimate.of_members(doubled) == Estimate.of_members(averaged)


def test_a_perturbed_policy_is_another_one_and_leaves_the_first_alone():
    actor = GaussianActor(3, 2, (8,), 0.2)
    before = {name: value.clone() for name, value in actor.state_dict().items()}
    changed = perturbed(actor, 0.1, torch.Generator().manual_seed(0))
    assert all(torch.equal(value, actor.state_dict()[name]) for name, value in before.items())
    weight = "mean_network.0.weight"
    assert not torch.equal(changed.state_dict()[weight], before[weight])
    assert torch.equal(changed.log_std, actor.log_std)
    same = perturbed(actor, 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(same.state_dict()[weight], before[weight])
