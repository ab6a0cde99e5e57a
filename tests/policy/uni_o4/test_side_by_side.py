"""Members as one batch of matrices: step for step what a loop over networks of their own does, and nobody left out."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from policy.networks import GaussianActor, QNetwork, ValueNetwork, mlp
from policy.objective import expectile_loss
from policy.uni_o4.cloning import BehaviorEnsemble, CloningSettings, CloningTraining, cloning_loss
from policy.uni_o4.critics import CriticBatch, CriticSettings, CriticTraining
from policy.uni_o4.side_by_side import MemberNetworks

torch.set_num_threads(1)
OBSERVATION_DIM, ACTION_DIM, STEPS = 5, 2, 6


def batches(seed: int) -> list[tuple[Tensor, Tensor]]:
    """Observations (16, O) and actions (16, A) of several steps."""
    generator = torch.Generator().manual_seed(seed)
    return [
        (torch.randn(16, OBSERVATION_DIM, generator=generator), torch.randn(16, ACTION_DIM, generator=generator))
        for _ in range(STEPS)
    ]


def assert_same_weights(some: Sequence[nn.Module], others: Sequence[nn.Module]) -> None:
    for one, other in zip(some, others, strict=True):
        for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_networks_side_by_side_answer_as_on_their_own_and_go_back_unchanged():
    torch.manual_seed(0)
    networks = [mlp(4, (8, 6), 3) for _ in range(3)]
    batch = MemberNetworks(3, 4, (8, 6), 3, functional.elu, torch.Generator())
    batch.read_from(networks)
    shared, own = torch.randn(7, 4), torch.randn(3, 7, 4)
    torch.testing.assert_close(batch.outputs(shared), torch.stack([each(shared) for each in networks]))
    apart = torch.stack([each(values) for each, values in zip(networks, own, strict=True)])
    torch.testing.assert_close(batch.outputs(own), apart)
    returned = [mlp(4, (8, 6), 3) for _ in range(3)]
    batch.write_to(returned)
    for one, other in zip(networks, returned, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("disagreement", [0.0, 0.3])
def test_cloning_side_by_side_is_a_loop_over_members(disagreement: float):
    settings = CloningSettings(members=3, hidden_dims=(8, 6), disagreement=disagreement, learning_rate=1e-2)
    training = CloningTraining(OBSERVATION_DIM, ACTION_DIM, settings, torch.Generator().manual_seed(1))
    members = training.ensemble.members()
    assert not torch.equal(*(next(each.mean_network.parameters()) for each in members[:2]))
    started = copy.deepcopy(members)
    optimizers = [torch.optim.Adam(each.parameters(), settings.learning_rate) for each in members]
    for observation, action in batches(2):
        training.step(observation, action)
        for optimizer in optimizers:
            optimizer.zero_grad()
        cloning_loss(members, observation, action, disagreement).backward()
        for optimizer in optimizers:
            optimizer.step()
    assert_same_weights(training.ensemble.members(), members)
    for before, after in zip(started, members, strict=True):
        assert all(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_every_clone_has_a_gradient_in_every_layer():
    torch.manual_seed(0)
    ensemble = BehaviorEnsemble([GaussianActor(OBSERVATION_DIM, ACTION_DIM, (8, 6), 0.5) for _ in range(4)])
    observation, action = batches(3)[0]
    cloning_loss(ensemble, observation, action, 0.1).backward()
    for name, parameter in ensemble.named_parameters():
        assert parameter.grad is not None
        assert (parameter.grad.abs().flatten(1).amax(1) > 0.0).all(), name


def test_members_taken_out_are_not_trained_any_further():
    training = CloningTraining(
        OBSERVATION_DIM, ACTION_DIM, CloningSettings(members=2), torch.Generator().manual_seed(1)
    )
    taken = training.ensemble.members()
    kept = copy.deepcopy(taken)
    training.step(*batches(2)[0])
    training.ensemble.members()
    for one, other in zip(taken, kept, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def critic_batches() -> list[CriticBatch]:
    """As many steps; one in three ends in a fall."""
    generator = torch.Generator().manual_seed(4)
    return [
        CriticBatch(
            observation,
            action,
            torch.randn(16, generator=generator),
            torch.randn(16, OBSERVATION_DIM, generator=generator),
            torch.randn(16, ACTION_DIM, generator=generator),
            torch.arange(16) % 3 == 0,
        )
        for observation, action in batches(5)
    ]


class PlainCritics:
    """The same critics, one network after the other."""

    def __init__(self, twins: list[QNetwork], value: ValueNetwork, settings: CriticSettings) -> None:
        self.twins, self.value, self.settings = twins, value, settings
        self.slow = copy.deepcopy(twins)
        self.optimizers = [torch.optim.Adam(each.parameters(), settings.learning_rate) for each in (*twins, value)]

    def step(self, batch: CriticBatch) -> None:
        settings = self.settings
        with torch.no_grad():
            wanted = torch.minimum(*(each(batch.observation, batch.action) for each in self.slow))
            if settings.method == "iql":
                beyond = self.value(batch.next_observation)
            else:
                beyond = torch.minimum(*(each(batch.next_observation, batch.following_action) for each in self.slow))
            backup = batch.reward + settings.discount * torch.where(batch.terminated, 0.0, beyond)
        expectile = settings.expectile if settings.method == "iql" else 0.5
        loss = expectile_loss(wanted - self.value(batch.observation), expectile)
        for twin in self.twins:
            loss = loss + (twin(batch.observation, batch.action) - backup).square().mean()
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            for old, new in zip(self.slow, self.twins, strict=True):
                for before, after in zip(old.parameters(), new.parameters(), strict=True):
                    before.mul_(1.0 - settings.target_rate).add_(settings.target_rate * after)


@pytest.mark.parametrize("method", ["iql", "sarsa"])
def test_twin_critics_side_by_side_are_a_loop_over_networks(method: str):
    settings = CriticSettings(
        method=method,  # type: ignore[arg-type]
        target_rate=0.3,
        learning_rate=1e-2,
        action_value_dims=(8, 6),
        value_dims=(7,),
    )
    training = CriticTraining(OBSERVATION_DIM, ACTION_DIM, settings, torch.Generator().manual_seed(1))
    start = copy.deepcopy(training.critics())
    for network in (start.first, start.second, start.value):
        network.requires_grad_(True)
    plain = PlainCritics([start.first, start.second], start.value, settings)
    for batch in critic_batches():
        training.step(batch)
        plain.step(batch)
    found = training.critics()
    assert_same_weights([found.first, found.second, found.value], [*plain.twins, plain.value])
    assert not torch.equal(*(next(each.parameters()) for each in (found.first, found.second)))


def test_each_twin_and_the_value_have_a_gradient_in_every_layer():
    settings = CriticSettings(action_value_dims=(8, 6), value_dims=(7,))
    training = CriticTraining(OBSERVATION_DIM, ACTION_DIM, settings, torch.Generator().manual_seed(1))
    training.step(critic_batches()[0])
    for name, parameter in training.twins.named_parameters():
        assert parameter.grad is not None
        assert (parameter.grad.abs().flatten(1).amax(1) > 0.0).all(), name
    for name, parameter in training.value.named_parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0.0, name
