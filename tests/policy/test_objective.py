"""The formulas of the shared objective against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.networks import gaussian_log_prob
from policy.objective import (
    clipped_surrogate,
    expectile_loss,
    explained_variance,
    gaussian_entropy,
    gaussian_kl,
    generalized_advantage,
    normalize_advantage,
    value_loss,
)


def _flags(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)


def test_advantage_of_three_steps_by_hand():
    # gamma 0.5, lambda 0.5: delta = (1 + 0.5*4 - 2, 2 + 0.5*6 - 4, 3 + 0.5*8 - 6) = (1, 1, 1); A = (1.3125, 1.25, 1)
    advantage = generalized_advantage(
        torch.tensor([1.0, 2.0, 3.0]),
        torch.tensor([2.0, 4.0, 6.0]),
        torch.tensor([4.0, 6.0, 8.0]),
        _flags(0, 0, 0),
        _flags(0, 0, 1),
        0.5,
        0.5,
    )
    assert advantage.tolist() == [1.3125, 1.25, 1.0]


def test_termination_cuts_the_bootstrap_and_truncation_only_the_trace():
    reward, value, next_value = torch.ones(4), torch.zeros(4), torch.full((4,), 10.0)
    terminated, ended = _flags(0, 1, 0, 0), _flags(0, 1, 0, 1)
    advantage = generalized_advantage(reward, value, next_value, terminated, ended, 0.9, 1.0)
    # The fall is worth its reward alone; the row above it sees the fall; the truncated end still counts on V(s').
    assert advantage[1].item() == pytest.approx(1.0)
    assert advantage[0].item() == pytest.approx(10.0 + 0.9 * 1.0)
    assert advantage[3].item() == pytest.approx(10.0)
    assert advantage[2].item() == pytest.approx(10.0 + 0.9 * 10.0)


def test_a_meaningless_value_behind_a_fall_is_never_read():
    advantage = generalized_advantage(
        torch.tensor([1.0]), torch.tensor([0.5]), torch.tensor([float("nan")]), _flags(1), _flags(1), 0.99, 0.95
    )
    assert advantage.item() == pytest.approx(0.5)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_advantage_equals_the_recursion_it_solves(length: int, seed: int, trace_decay: float):
    generator = torch.Generator().manual_seed(seed)
    reward, value, next_value = torch.randn(3, length, 2, generator=generator, dtype=torch.float64)
    terminated = torch.rand(length, 2, generator=generator) < 0.1
    ended = torch.rand(length, 2, generator=generator) < 0.2
    advantage = generalized_advantage(reward, value, next_value, terminated, ended, 0.97, trace_decay)
    follow = torch.zeros(2, dtype=torch.float64)
    for row in reversed(range(length)):
        error = reward[row] + 0.97 * next_value[row] * ~terminated[row] - value[row]
        follow = error + 0.97 * trace_decay * follow * ~(terminated[row] | ended[row])
        torch.testing.assert_close(advantage[row], follow)


def test_clipped_surrogate_by_hand():
    # ratios 2, 0.5, 2, 0.5 with advantages +1, +1, -1, -1 and clip 0.2: min terms 1.2, 0.5, -2, -0.8
    log_prob = torch.tensor([math.log(2.0), math.log(0.5)] * 2)
    loss, statistics = clipped_surrogate(log_prob, torch.zeros(4), torch.tensor([1.0, 1.0, -1.0, -1.0]), 0.2)
    assert loss.item() == pytest.approx(-(1.2 + 0.5 - 2.0 - 0.8) / 4.0)
    assert statistics.clip_fraction == 1.0
    expected_kl = ((1.0 - math.log(2.0)) + (-0.5 + math.log(2.0))) / 2.0
    assert statistics.approximate_kl == pytest.approx(expected_kl)


def test_clipping_stops_the_gradient_only_where_the_step_went_far_enough():
    log_prob = torch.tensor([math.log(2.0), math.log(0.5), 0.0], requires_grad=True)
    loss, _ = clipped_surrogate(log_prob, torch.zeros(3), torch.ones(3), 0.2)
    (gradient,) = torch.autograd.grad(loss, log_prob)
    assert gradient[0].item() == 0.0
    assert gradient[1].item() == pytest.approx(-0.5 / 3.0)
    assert gradient[2].item() == pytest.approx(-1.0 / 3.0)


def test_gaussian_kl_by_hand_and_its_properties():
    # One dimension: log(2) + (1 + 1) / (2 * 4) - 1/2
    kl = gaussian_kl(torch.tensor([[0.0]]), torch.tensor([1.0]), torch.tensor([[1.0]]), torch.tensor([2.0]))
    assert kl.item() == pytest.approx(math.log(2.0) + 0.25 - 0.5)
    mean, std = torch.randn(5, 3), torch.rand(5, 3) + 0.1
    torch.testing.assert_close(gaussian_kl(mean, std, mean, std), torch.zeros(5))
    assert (gaussian_kl(mean, std, mean + 0.1, std * 1.3) > 0.0).all()


def test_gaussian_kl_and_log_prob_agree_with_torch():
    mean_old, mean_new, action = torch.randn(3, 6, 4)
    std_old, std_new = torch.rand(2, 6, 4) + 0.2
    old, new = torch.distributions.Normal(mean_old, std_old), torch.distributions.Normal(mean_new, std_new)
    expected = torch.distributions.kl_divergence(old, new).sum(-1)
    torch.testing.assert_close(gaussian_kl(mean_old, std_old, mean_new, std_new), expected)
    torch.testing.assert_close(gaussian_log_prob(action, mean_new, std_new), new.log_prob(action).sum(-1))
    torch.testing.assert_close(gaussian_entropy(std_new), new.entropy().sum(-1))


def test_expectile_by_hand():
    # errors +2 and -2 at expectile 0.7: (0.7 * 4 + 0.3 * 4) / 2
    assert expectile_loss(torch.tensor([2.0, -2.0]), 0.7).item() == pytest.approx(2.0)
    assert expectile_loss(torch.tensor([2.0, 2.0]), 0.7).item() == pytest.approx(2.8)


def test_expectile_minimiser_moves_from_the_mean_towards_the_maximum():
    samples = torch.tensor([0.0, 1.0])
    grid = torch.linspace(0.0, 1.0, 1001)

    def minimiser(expectile: float) -> float:
        return float(grid[torch.stack([expectile_loss(samples - value, expectile) for value in grid]).argmin()])

    # 0.5 gives the mean; at tau the minimiser of two equal atoms is tau itself.
    assert minimiser(0.5) == pytest.approx(0.5, abs=2e-3)
    assert minimiser(0.9) == pytest.approx(0.9, abs=2e-3)


def test_value_loss_takes_the_worse_of_clipped_and_unclipped():
    value, target, old_value = torch.tensor([3.0]), torch.tensor([3.0]), torch.tensor([0.0])
    assert value_loss(value, target).item() == 0.0
    assert value_loss(value, target, old_value, 1.0).item() == pytest.approx(0.5 * 4.0)


def test_normalised_advantage_has_unit_spread_and_a_constant_batch_says_nothing():
    advantage = normalize_advantage(torch.tensor([1.0, 2.0, 6.0]))
    assert advantage.mean().item() == pytest.approx(0.0, abs=1e-6)
    assert advantage.square().mean().item() == pytest.approx(1.0)
    assert normalize_advantage(torch.full((3,), 0.3)).tolist() == [0.0, 0.0, 0.0]


def test_explained_variance_bounds():
    target = torch.tensor([1.0, 2.0, 3.0])
    assert explained_variance(target + 5.0, target) == pytest.approx(1.0)
    assert explained_variance(torch.zeros(3), target) == pytest.approx(0.0)
    assert explained_variance(torch.zeros(3), torch.ones(3)) == 0.0
