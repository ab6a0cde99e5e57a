"""A point mass world learned once from logs, shared by the tests that stand on it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from policy.networks import GaussianActor, ValueNetwork
from policy.transitions import Transitions
from policy.uni_o4.dynamics import DynamicsSettings, fit_dynamics
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.value import RewardScale, ValueSettings, fit_reward_scale, fit_value
from tests.policy.uni_o4.point_mass import linear_actor, log_episodes, world_of

DISCOUNT = 0.95


@dataclass(frozen=True)
class Study:
    """A weak behaviour, its logs, and what was fitted to them."""

    behavior: GaussianActor
    transitions: Transitions
    world: ModelWorld
    value: ValueNetwork
    scale: RewardScale


@pytest.fixture(scope="session")
def study() -> Study:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    behavior = linear_actor(-0.3, -0.3, 0.5)
    transitions = log_episodes(behavior, 60, 50, generator)
    scale = fit_reward_scale(transitions, DISCOUNT)
    value = fit_value(
        transitions, scale, ValueSettings((64, 64), DISCOUNT, rounds=20, batch_size=256, learning_rate=3e-3), generator
    ).value
    settings = DynamicsSettings(members=3, elites=2, hidden_dims=(32, 32), batch_size=64, epochs=25, learning_rate=3e-3)
    model = fit_dynamics(transitions, settings, generator).model
    return Study(behavior, transitions, world_of(model), value, scale)
