"""The loops that ours are timed against do the same work: same loss, same gradient."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.uni_o4 import plain_loops
from benchmarks.uni_o4.plain_loops import plain_cloning_losses
from policy.networks import GaussianActor
from policy.transitions import Transitions
from policy.uni_o4.cloning import cloning_loss
from policy.uni_o4.critics import CriticSettings, fit_critics
from policy.uni_o4.dynamics import DynamicsEnsemble, DynamicsSettings, MemberLinear, dynamics_features, member_loss
from policy.uni_o4.value import RewardScale


def test_plain_cloning_has_the_loss_and_the_gradient_of_ours():
    torch.manual_seed(0)
    plain = [GaussianActor(5, 2, (8,), 0.5) for _ in range(4)]
    ours = copy.deepcopy(plain)
    observation, action = torch.randn(64, 5), torch.randn(64, 2)
    first = torch.stack(plain_cloning_losses(plain, observation, action, 0.3)).sum()
    second = cloning_loss(ours, observation, action, 0.3)
    torch.testing.assert_close(first, second)
    first.backward()
    second.backward()
    for one, two in zip(plain, ours, strict=True):
        for mine, theirs in zip(one.parameters(), two.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_single_member_disagrees_with_nobody():
    torch.manual_seed(0)
    member, observation, action = GaussianActor(5, 2, (8,), 0.5), torch.randn(64, 5), torch.randn(64, 2)
    (loss,) = plain_cloning_losses([member], observation, action, 0.3)
    torch.testing.assert_close(loss, -member.log_prob(observation, action).mean())


# ---- Critics ---------------------------------------------------------------------------------------------------------


def one_step_over_and_over(terminated: bool) -> Transitions:
    """Eight times the same step, so that every batch is the same, however its rows are drawn."""
    generator = torch.Generator().manual_seed(0)
    state, following, action = (torch.randn(1, width, generator=generator).expand(8, -1) for width in (5, 5, 2))
    ends = torch.full((8,), terminated)
    return Transitions(
        observation=state, next_observation=following, action=action, action_mean=action, action_std=action.abs(),
        log_prob=torch.zeros(8), reward=torch.full((8,), 0.7), terminated=ends, truncated=~ends,
        episode=torch.arange(8), physical=state, next_physical=following, command=torch.zeros(8, 0),
        memory=torch.zeros(8, 0), past=torch.zeros(8, 0, 7), groups=(("observation", 5),),
    )  # fmt: skip


@pytest.mark.parametrize("terminated", [True, False])
def test_plain_critics_have_the_gradients_of_ours(terminated: bool, monkeypatch: pytest.MonkeyPatch):
    """One step of plain descent from the same networks: what moved, over the rate, is the gradient of each loss.

    The plain loop lets V go first and backs up from it as it is then, which a small rate makes a small difference.
    """
    monkeypatch.setattr(torch.optim, "Adam", lambda parameters, rate, **_: torch.optim.SGD(parameters, rate))
    transitions, rate = one_step_over_and_over(terminated), 1e-3
    settings = CriticSettings(
        updates=1, batch_size=4, learning_rate=rate, expectile=0.8, action_value_dims=(8,), value_dims=(8,)
    )

    def ours(learning_rate: float) -> tuple[nn.Module, ...]:
        changed = replace(settings, learning_rate=learning_rate)
        critics = fit_critics(transitions, RewardScale(1.0), changed, torch.Generator().manual_seed(1))
        return critics.first, critics.second, critics.value

    start, made = ours(0.0), list[nn.Module]()

    def as_ours(*widths: Any) -> nn.Module:
        made.append(copy.deepcopy(start[len(made)]).requires_grad_(True))
        return made[-1]

    monkeypatch.setattr(plain_loops, "QNetwork", as_ours)
    monkeypatch.setattr(plain_loops, "ValueNetwork", as_ours)
    plain_loops.plain_critics(transitions, settings, 1)()
    for before, plain, mine in zip(start, made, ours(rate), strict=True):
        wanted, found = ((flat(before) - flat(after)) / rate for after in (mine, plain))
        torch.testing.assert_close(found, wanted, rtol=0.01, atol=0.01)
        assert float(wanted.abs().max()) > 0.3


def flat(network: nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


# ---- Transition model ------------------------------------------------------------------------------------------------


def test_plain_dynamics_have_the_losses_and_the_gradients_of_ours():
    """Two members, in units in which ours has no line below it and nothing to standardise."""
    settings = DynamicsSettings(members=2, elites=2, hidden_dims=(8, 8), variance_weighting=0.5, termination_weight=3.0)
    model = DynamicsEnsemble(5 + 5 + 2, 5, 2, settings.hidden_dims, torch.Generator().manual_seed(0))
    members = [plain_member(model, place) for place in range(2)]
    torch.manual_seed(0)
    batch = {
        "observation": torch.randn(16, 5), "next_observation": torch.randn(16, 5), "action": torch.randn(16, 2),
        "reward": torch.randn(16), "terminated": torch.arange(16) % 4 == 0,
    }  # fmt: skip
    plain = torch.stack([plain_loops._dynamics_loss(member, batch, settings, 6) for member in members]).sum()
    plain.backward()

    change = batch["next_observation"] - batch["observation"]
    features = dynamics_features(batch["observation"], batch["observation"], batch["action"], torch.zeros(16, 0, 7))
    target, fell = torch.cat([change, batch["reward"][:, None]], dim=1), batch["terminated"].float()
    features, target, fell = (each.expand(2, *each.shape) for each in (features, target, fell))
    ours = member_loss(model, features, target, fell, settings)
    ours.backward()
    torch.testing.assert_close(plain, ours)
    for place, member in enumerate(members):
        linears = [layer for layer in member if isinstance(layer, nn.Linear)]
        for linear, layer in zip(linears, layers_of(model), strict=True):
            assert layer.weight.grad is not None and layer.bias.grad is not None
            torch.testing.assert_close(linear.weight.grad, layer.weight.grad[place].T)
            torch.testing.assert_close(linear.bias.grad, layer.bias.grad[place, 0])


def layers_of(model: DynamicsEnsemble) -> list[MemberLinear]:
    return [layer for layer in model.layers if isinstance(layer, MemberLinear)]


def plain_member(model: DynamicsEnsemble, place: int) -> nn.Sequential:
    """One member as a network of its own."""
    layers: list[nn.Module] = []
    for layer in layers_of(model):
        linear = nn.Linear(layer.weight.shape[1], layer.weight.shape[2])
        linear.weight.data.copy_(layer.weight.data[place].T)
        linear.bias.data.copy_(layer.bias.data[place, 0])
        layers += [linear, nn.SiLU()]
    return nn.Sequential(*layers[:-1])
