"""One PPO update: gradients where they must be, the budget exactly, masked steps nowhere."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from policy.networks import GaussianActor, ValueNetwork
from policy.objective import clipped_surrogate, generalized_advantage
from policy.uni_o4.led_rate import BOUNDS, led_rate
from policy.uni_o4.offline import behavior_budget
from policy.uni_o4.online import logged_batch
from policy.uni_o4.ppo import ActorCritic, KlBudget, PpoSettings, SequenceBatch, update, warm_up_value
from policy.uni_o4.settings import SettingsError
from policy.uni_o4.value import RewardScale
from tests.policy.uni_o4.conftest import DISCOUNT, Study
from tests.policy.uni_o4.point_mass import linear_actor, log_episodes

torch.set_num_threads(1)
SETTINGS = PpoSettings(discount=DISCOUNT, epochs=3, minibatch_size=512, actor_learning_rate=1e-2)


def networks_of(study: Study) -> ActorCritic:
    return ActorCritic(copy.deepcopy(study.behavior), copy.deepcopy(study.value), SETTINGS)


def budget_of(study: Study, limit: float) -> KlBudget:
    return behavior_budget(study.transitions, 512, limit, torch.Generator().manual_seed(0))


def test_mistake_01_the_mean_network_learns_from_samples_and_cannot_from_means(study: Study):
    transitions, actor = study.transitions, copy.deepcopy(study.behavior)

    def mean_gradient(action: torch.Tensor) -> float:
        old = actor.log_prob(transitions.observation, action).detach()
        advantage = transitions.action[:, 0] * transitions.observation[:, 0]  # anything but constant
        loss, _ = clipped_surrogate(actor.log_prob(transitions.observation, action), old, advantage, 0.2)
        parts = torch.autograd.grad(loss, list(actor.mean_network.parameters()))
        return float(torch.cat([part.flatten() for part in parts]).norm())

    assert mean_gradient(actor(transitions.observation)[0].detach()) == 0.0
    assert mean_gradient(transitions.action) > 1e-3


def test_an_update_stops_exactly_inside_its_budget(study: Study):
    networks, budget = networks_of(study), budget_of(study, 0.001)
    statistics = update(networks, logged_batch(study.transitions, study.scale), budget, SETTINGS, torch.Generator())
    assert statistics.stopped
    assert statistics.kl <= 0.001
    assert statistics.kl == pytest.approx(budget.spent(networks.actor))


def test_a_budget_of_zero_leaves_the_actor_and_still_teaches_the_value(study: Study):
    networks, before = networks_of(study), copy.deepcopy(study.value)
    update(networks, logged_batch(study.transitions, study.scale), budget_of(study, 0.0), SETTINGS, torch.Generator())
    for after, given in zip(networks.actor.parameters(), study.behavior.parameters(), strict=True):
        assert torch.equal(after, given)
    moved = [not torch.equal(a, b) for a, b in zip(networks.value.parameters(), before.parameters(), strict=True)]
    assert any(moved)


def test_steps_that_do_not_count_teach_nothing(study: Study):
    batch = logged_batch(study.transitions, study.scale)
    half = len(study.transitions) // 2
    counted = torch.arange(len(study.transitions)) < half
    end = batch.episode_end.clone()
    end[half - 1] = True

    def actor_after(reward_behind: float) -> list[torch.Tensor]:
        networks = networks_of(study)
        changed = replace(
            batch, counted=counted, episode_end=end, reward=torch.where(counted, batch.reward, reward_behind)
        )
        update(networks, changed, budget_of(study, 1.0), SETTINGS, torch.Generator().manual_seed(1))
        return list(networks.actor.parameters())

    for one, other in zip(actor_after(0.0), actor_after(1e3), strict=True):
        assert torch.equal(one, other)


def test_a_cold_value_is_warmed_up_without_touching_the_actor(study: Study):
    networks = networks_of(study)
    for parameter in networks.value.parameters():
        parameter.data.mul_(0.1)
    batch: SequenceBatch = logged_batch(study.transitions, study.scale)
    before = warm_up_value(networks, batch, 30, SETTINGS, torch.Generator().manual_seed(0))
    after = warm_up_value(networks, batch, 1, SETTINGS, torch.Generator().manual_seed(0))
    assert after > before + 0.1
    assert torch.equal(networks.actor.log_std, study.behavior.log_std)


def test_kl_is_counted_from_the_reference_in_its_own_states(study: Study):
    # Means that differ by 0.5 std in every state: KL = 1/2 * 0.25
    actor = linear_actor(-0.3, -0.3, 0.5)
    list(actor.mean_network.parameters())[1].data.fill_(0.25)
    assert budget_of(study, 1.0).spent(actor) == pytest.approx(0.125, rel=1e-4)


def rate_after(study: Study, desired_kl: float | None, rate: float) -> tuple[float, float]:
    """The actor's rate after one update that began with `rate`, and the KL that the update moved it by."""
    settings = replace(SETTINGS, actor_learning_rate=rate, desired_kl=desired_kl)
    networks = ActorCritic(copy.deepcopy(study.behavior), copy.deepcopy(study.value), settings)
    batch = logged_batch(study.transitions, study.scale)
    mean, std = study.behavior(batch.observation)
    everywhere = KlBudget(batch.observation, mean.detach(), std.detach(), float("inf"))
    update(networks, batch, everywhere, settings, torch.Generator().manual_seed(1))
    return networks.actor_optimizer.param_groups[0]["lr"], everywhere.spent(networks.actor)


@pytest.mark.parametrize(("of_the_kl", "factor"), ((0.4, 1 / 1.5), (0.6, 1.0), (1.8, 1.0), (2.2, 1.5)))
def test_the_rate_is_led_towards_the_desired_kl(study: Study, of_the_kl: float, factor: float):
    """A desired KL of so many times the one that the update makes: beyond twice or half of it the rate is changed."""
    rate, moved = rate_after(study, None, 1e-3)
    assert rate == 1e-3 and moved > 0.0
    assert rate_after(study, of_the_kl * moved, 1e-3)[0] == pytest.approx(factor * 1e-3)


def test_the_rate_stays_within_its_bounds_and_is_not_led_out_of_them():
    lower, upper = BOUNDS
    assert led_rate(1.2 * lower, 1.0, 0.1) == lower and led_rate(upper / 1.2, 0.01, 0.1) == upper
    assert led_rate(0.1 * lower, 1.0, 0.1) == 0.1 * lower and led_rate(9.0 * upper, 0.01, 0.1) == 9.0 * upper


# ---- Episodes of one step, in which the advantage is the reward itself -----------------------------------------------


def one_step_batch(actor: GaussianActor, reward: torch.Tensor, log_ratio: torch.Tensor) -> SequenceBatch:
    """Steps (N,) that all end their episode; log_ratio is how far the actor has gone since, log pi - log pi_old."""
    generator = torch.Generator().manual_seed(0)
    observation = torch.randn(len(reward), 2, generator=generator)
    action = torch.randn(len(reward), 1, generator=generator)
    with torch.no_grad():
        log_prob = actor.log_prob(observation, action) - log_ratio
    ends = torch.ones(len(reward), dtype=torch.bool)
    return SequenceBatch(observation, observation, action, log_prob, reward, ends, ends, ends)


def updated(batch: SequenceBatch, epochs: int = 1, value_clip: float | None = None) -> ActorCritic:
    """The networks after so many gradient steps on the whole batch, from a value of zero everywhere."""
    settings = replace(SETTINGS, epochs=epochs, minibatch_size=len(batch.reward), value_clip=value_clip)
    networks = ActorCritic(linear_actor(-0.3, -0.3, 0.5), ValueNetwork(2, ()), settings)
    for parameter in networks.value.parameters():
        parameter.data.zero_()
    mean, std = networks.actor(batch.observation)
    budget = KlBudget(batch.observation, mean.detach(), std.detach(), float("inf"))
    update(networks, batch, budget, settings, torch.Generator().manual_seed(0))
    return networks


def test_a_ratio_beyond_the_clip_teaches_no_more():
    """Every ratio is already as far as its advantage wants it, e where it is good and 1/e where it is bad."""
    actor, reward = linear_actor(-0.3, -0.3, 0.5), torch.tensor([1.0, -1.0]).repeat(16)
    beyond = updated(one_step_batch(actor, reward, reward)).actor
    assert all(torch.equal(a, b) for a, b in zip(beyond.parameters(), actor.parameters(), strict=True))
    # On the other side of the interval nothing holds a step back.
    wrong = updated(one_step_batch(actor, reward, -reward)).actor
    assert not any(torch.equal(a, b) for a, b in zip(wrong.parameters(), actor.parameters(), strict=True))


def test_only_what_is_better_than_the_rest_of_the_batch_counts():
    """The same preferences on another level and in another unit: not one step of the actor differs."""
    actor, reward = linear_actor(-0.3, -0.3, 0.5), torch.linspace(-1.0, 1.0, 32)
    nothing = torch.zeros_like(reward)
    plain = updated(one_step_batch(actor, reward, nothing)).actor
    shifted = updated(one_step_batch(actor, 5.0 * reward + 100.0, nothing)).actor
    for one, other in zip(plain.parameters(), shifted.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0.0)
    moved = updated(one_step_batch(actor, -reward, nothing)).actor
    assert not torch.allclose(moved(torch.ones(1, 2))[0], plain(torch.ones(1, 2))[0], atol=1e-3)


def test_a_clipped_value_stays_where_it_was_before_the_update_give_or_take_the_clip():
    """Rewards of 10 where V said 0, in a hundred steps of about 1e-3; Adam coasts on for some ten more of them."""
    actor = linear_actor(-0.3, -0.3, 0.5)
    batch = one_step_batch(actor, torch.full((32,), 10.0), torch.zeros(32))

    def mean_value(value_clip: float | None) -> float:
        return float(updated(batch, 100, value_clip).value(batch.observation).detach().mean())

    assert mean_value(None) > 0.09
    assert 0.03 < mean_value(0.03) < 0.05
    with pytest.raises(SettingsError, match="value_clip"):
        replace(SETTINGS, value_clip=0.0)


def test_a_logged_step_that_was_cut_short_is_an_end_of_the_trace_and_not_of_the_episode():
    """Two steps that earn 1 before a value of 10 at gamma 0.95: both bootstrap, and the first knows of the second."""
    transitions = log_episodes(linear_actor(-0.3, -0.3), 1, 2, torch.Generator().manual_seed(0))
    batch = logged_batch(replace(transitions, reward=torch.ones(2)), RewardScale(3.0))
    assert batch.terminated.tolist() == [False, False]
    assert batch.episode_end.tolist() == [False, True]
    assert batch.reward.tolist() == [3.0, 3.0]
    ten = torch.full((2,), 10.0)
    advantage = generalized_advantage(batch.reward, ten, ten, batch.terminated, batch.episode_end, 0.95, 1.0)
    torch.testing.assert_close(advantage, torch.tensor([2.5 + 0.95 * 2.5, 2.5]))
