"""One PPO update: gradients where they must be, the budget exactly, masked steps nowhere."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from policy.objective import clipped_surrogate
from policy.uni_o4.offline import behavior_budget
from policy.uni_o4.online import logged_batch
from policy.uni_o4.ppo import ActorCritic, KlBudget, PpoSettings, SequenceBatch, update, warm_up_value
from tests.policy.uni_o4.conftest import DISCOUNT, Study
from tests.policy.uni_o4.point_mass import linear_actor

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
