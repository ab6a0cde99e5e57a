"""The KL budget of an update: looked at once an epoch, held to the step, and a step taken back leaves no trace."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import nn

from policy.networks import GaussianActor
from policy.objective import clipped_surrogate, generalized_advantage, normalize_advantage
from policy.trainer_state import pack_adam
from policy.uni_o4.offline import behavior_budget
from policy.uni_o4.online import logged_batch
from policy.uni_o4.ppo import ActorCritic, KlBudget, PpoSettings, update
from tests.policy.uni_o4.conftest import DISCOUNT, Study

torch.set_num_threads(1)
SETTINGS = PpoSettings(discount=DISCOUNT, epochs=3, minibatch_size=512, actor_learning_rate=3e-3)


@dataclass(frozen=True)
class CountedBudget(KlBudget):
    """A budget that counts how often the policy is held against it."""

    looks: list[float] = field(default_factory=list)

    def spent(self, actor: GaussianActor) -> float:
        self.looks.append(super().spent(actor))
        return self.looks[-1]


def budget_of(study: Study, limit: float) -> CountedBudget:
    plain = behavior_budget(study.transitions, 512, limit, torch.Generator().manual_seed(0))
    return CountedBudget(plain.observation, plain.mean, plain.std, limit)


def networks_of(study: Study) -> ActorCritic:
    return ActorCritic(copy.deepcopy(study.behavior), copy.deepcopy(study.value), SETTINGS)


def updated(study: Study, limit: float) -> tuple[ActorCritic, CountedBudget, int]:
    """Networks after one update, its budget, and how many steps the actor took."""
    networks, budget = networks_of(study), budget_of(study, limit)
    batch = logged_batch(study.transitions, study.scale)
    statistics = update(networks, batch, budget, SETTINGS, torch.Generator().manual_seed(3))
    return networks, budget, statistics.gradient_steps


def reference(study: Study, steps: int) -> ActorCritic:
    """The actor after exactly so many steps of the first epoch, by a loop that knows no budget."""
    networks, transitions = networks_of(study), study.transitions
    with torch.no_grad():
        now = study.value(transitions.observation)
        advantage = generalized_advantage(
            study.scale(transitions.reward),
            now,
            study.value(transitions.next_observation),
            transitions.terminated,
            transitions.episode_end,
            DISCOUNT,
            SETTINGS.trace_decay,
        )
    advantage = normalize_advantage(advantage)
    order = torch.randperm(len(transitions), generator=torch.Generator().manual_seed(3)).split(SETTINGS.minibatch_size)
    for rows in order[:steps]:
        log_prob = networks.actor.log_prob(transitions.observation[rows], transitions.action[rows])
        loss, _ = clipped_surrogate(log_prob, transitions.log_prob[rows], advantage[rows], SETTINGS.clip)
        networks.actor_optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(networks.actor.parameters(), SETTINGS.max_gradient_norm)
        networks.actor_optimizer.step()
    return networks


def test_a_budget_that_suffices_is_looked_at_once_an_epoch(study: Study):
    networks, budget, steps = updated(study, 1e3)
    minibatches = -(-len(study.transitions) // SETTINGS.minibatch_size)
    assert steps == SETTINGS.epochs * minibatches > 3 * SETTINGS.epochs
    assert len(budget.looks) == SETTINGS.epochs + 1  # the last one is what the statistics report


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_the_actor_ends_with_the_last_step_inside_its_budget(study: Study, allowed: int):
    """As if each step had been looked at, and with the moments of Adam from before the step that was taken back."""
    plain = behavior_budget(study.transitions, 512, 1.0, torch.Generator().manual_seed(0))
    inside, beyond = (plain.spent(reference(study, count).actor) for count in (allowed, allowed + 1))
    assert beyond > inside
    networks, budget, steps = updated(study, 0.5 * (inside + beyond))
    assert steps == allowed
    wanted = reference(study, allowed)
    for one, other in zip(networks.actor.parameters(), wanted.actor.parameters(), strict=True):
        assert torch.equal(one, other)
    found, expected = (pack_adam("actor", each.actor_optimizer) for each in (networks, wanted))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert budget.looks[-1] <= budget.limit


def test_after_the_budget_ended_only_the_value_goes_on(study: Study):
    """The epochs behind the stop move V and cost no look at the budget."""
    _, budget, _ = updated(study, 0.0)
    assert len(budget.looks) == 3  # the first epoch's end, its first step again, the report
    more = replace(SETTINGS, epochs=6)
    values = []
    for settings in (SETTINGS, more):
        networks = networks_of(study)
        batch = logged_batch(study.transitions, study.scale)
        update(networks, batch, budget_of(study, 0.0), settings, torch.Generator().manual_seed(3))
        values.append(torch.cat([parameter.flatten() for parameter in networks.value.parameters()]))
    assert not torch.equal(*values)
