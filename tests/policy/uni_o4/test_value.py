"""The value of the logged behaviour and the reward scale on chains whose values are known."""

from __future__ import annotations

import pytest
import torch

from policy.networks import ValueNetwork
from policy.uni_o4.settings import SettingsError
from policy.uni_o4.value import RewardScale, ValueSettings, fit_reward_scale, fit_value, value_targets
from tests.policy.uni_o4.point_mass import linear_actor, log_episodes

torch.set_num_threads(1)


def zero_value() -> ValueNetwork:
    value = ValueNetwork(2, ())
    for parameter in value.parameters():
        parameter.data.zero_()
    return value


def test_targets_are_scaled_discounted_returns_when_the_trace_is_full():
    transitions = log_episodes(linear_actor(-0.8, -0.4), 2, 4, torch.Generator().manual_seed(0))
    _, target = value_targets(zero_value(), transitions, RewardScale(2.0), 0.5, 1.0)
    reward = transitions.reward
    expected = 2.0 * (reward[0] + 0.5 * reward[1] + 0.25 * reward[2] + 0.125 * reward[3])
    assert target[0].item() == pytest.approx(expected.item())
    assert target[3].item() == pytest.approx(2.0 * reward[3].item())  # the second episode adds nothing to the first


def test_scaled_returns_have_unit_spread_whatever_the_unit_of_the_reward():
    transitions = log_episodes(linear_actor(-0.8, -0.4), 20, 40, torch.Generator().manual_seed(0))
    scale = fit_reward_scale(transitions, 0.95)
    hundredfold = transitions.select(torch.arange(len(transitions)))
    object.__setattr__(hundredfold, "reward", 100.0 * transitions.reward)
    assert fit_reward_scale(hundredfold, 0.95).factor == pytest.approx(scale.factor / 100.0, rel=1e-4)


def test_the_fitted_value_explains_returns_of_held_out_episodes():
    transitions = log_episodes(linear_actor(-0.8, -0.4), 60, 40, torch.Generator().manual_seed(0))
    settings = ValueSettings(hidden_dims=(32,), discount=0.9, rounds=20, batch_size=128, learning_rate=3e-3)
    fit = fit_value(transitions, fit_reward_scale(transitions, 0.9), settings, torch.Generator().manual_seed(1))
    assert fit.explained_variance > 0.85


def test_a_warm_start_goes_on_from_the_value_given_and_leaves_it_alone():
    transitions = log_episodes(linear_actor(-0.8, -0.4), 10, 20, torch.Generator().manual_seed(0))
    start = zero_value()
    settings = ValueSettings(rounds=1, learning_rate=0.0)
    fit = fit_value(transitions, RewardScale(1.0), settings, torch.Generator().manual_seed(1), start)
    assert fit.value is not start
    for fitted, given in zip(fit.value.parameters(), start.parameters(), strict=True):
        assert torch.equal(fitted, given)


def test_a_discount_of_one_has_no_finite_value_and_is_refused():
    with pytest.raises(SettingsError, match="discount"):
        ValueSettings(discount=1.0)
