"""IQL and SARSA critics on a world whose action values can be written down."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from policy.transitions import Transitions
from policy.uni_o4.critics import Critics, CriticSettings, fit_critics
from policy.uni_o4.value import RewardScale
from tests.policy.uni_o4.point_mass import GROUPS

torch.set_num_threads(1)


def bandit(count: int = 2000) -> Transitions:
    """One step, then the end: reward 1 - (a - 0.5)^2 for actions uniform in [-1, 1], the state means nothing."""
    generator = torch.Generator().manual_seed(0)
    observation = torch.randn(count, 2, generator=generator)
    action = 2.0 * torch.rand(count, 1, generator=generator) - 1.0
    return Transitions(
        observation=observation,
        next_observation=observation,
        action=action,
        action_mean=torch.zeros(count, 1),
        action_std=torch.ones(count, 1),
        log_prob=torch.zeros(count),
        reward=1.0 - (action[:, 0] - 0.5).square(),
        terminated=torch.ones(count, dtype=torch.bool),
        truncated=torch.zeros(count, dtype=torch.bool),
        episode=torch.arange(count),
        physical=observation,
        next_physical=observation,
        command=torch.zeros(count, 1),
        memory=torch.zeros(count, 1),
        past=torch.zeros(count, 0, 3),
        groups=GROUPS,
    )


def chain(reward_at_end: float, episodes: int = 200) -> Transitions:
    """Two steps with the same action: state 0, then state 1, then the end with the reward."""
    observation = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(episodes, 1)
    count = 2 * episodes
    ends = torch.tensor([False, True]).repeat(episodes)
    return Transitions(
        observation=observation,
        next_observation=observation.roll(-1, 0),
        action=torch.zeros(count, 1),
        action_mean=torch.zeros(count, 1),
        action_std=torch.ones(count, 1),
        log_prob=torch.zeros(count),
        reward=torch.where(ends, reward_at_end, 0.0),
        terminated=ends,
        truncated=torch.zeros(count, dtype=torch.bool),
        episode=torch.arange(episodes).repeat_interleave(2),
        physical=observation,
        next_physical=observation,
        command=torch.zeros(count, 1),
        memory=torch.zeros(count, 1),
        past=torch.zeros(count, 0, 3),
        groups=GROUPS,
    )


def fitted(transitions: Transitions, method: str, expectile: float = 0.7) -> Critics:
    settings = CriticSettings(
        method=method,  # type: ignore[arg-type]
        expectile=expectile,
        discount=0.5,
        target_rate=0.05,
        updates=400,
        batch_size=128,
        learning_rate=5e-3,
        action_value_dims=(32,),
        value_dims=(32,),
    )
    return fit_critics(transitions, RewardScale(1.0), settings, torch.Generator().manual_seed(3))


def test_q_learns_the_reward_and_v_rises_with_the_expectile():
    low, high = fitted(bandit(), "iql", 0.5), fitted(bandit(), "iql", 0.95)
    state = torch.zeros(1, 2)
    assert high.action_value(state, torch.tensor([[0.5]])).item() == pytest.approx(1.0, abs=0.15)
    # E[1 - (a - 1/2)^2] = 1 - (1/3 + 1/4) = 5/12; a high expectile approaches the best action's 1.
    assert low.value(state).item() == pytest.approx(5.0 / 12.0, abs=0.15)
    assert high.value(state).item() > low.value(state).item() + 0.15


@pytest.mark.parametrize("method", ["iql", "sarsa"])
def test_value_is_backed_up_one_step_and_stops_at_the_end(method: str):
    critics = fitted(chain(2.0), method)
    action = torch.zeros(1, 1)
    assert critics.action_value(torch.tensor([[1.0, 0.0]]), action).item() == pytest.approx(2.0, abs=0.15)
    assert critics.action_value(torch.tensor([[0.0, 1.0]]), action).item() == pytest.approx(1.0, abs=0.15)


def test_critics_come_back_frozen():
    critics = fitted(chain(1.0, 10), "iql")
    for network in (critics.first, critics.second, critics.value):
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_mistake_06_the_action_value_is_asked_about_the_action_itself():
    """Actions of the robot go to 8; a critic behind a clamp to [-1, 1] would answer the same for 1 and 8."""
    critics = fitted(chain(1.0, 10), "iql")
    state = torch.zeros(1, 2)
    at_limit, beyond = torch.tensor([[1.0]]), torch.tensor([[8.0]])
    assert critics.action_value(state, at_limit).item() != critics.action_value(state, beyond).item()


def test_where_a_recording_stopped_the_next_state_still_has_a_value():
    """One state that leads to itself and earns 1, every recording a single step: worth 2 at gamma 1/2, not 1."""
    ended = chain(1.0).select(torch.arange(400) % 2 == 1)
    stopped = replace(ended, next_observation=ended.observation, terminated=ended.truncated, truncated=ended.terminated)
    found = fitted(stopped, "iql").action_value(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 1))
    assert found.item() == pytest.approx(2.0, abs=0.2)


class Column(nn.Module):
    """Answers with one column of the observation, whatever the action."""

    def __init__(self, column: int) -> None:
        super().__init__()
        self.column = column

    def forward(self, observation: Tensor, action: Tensor | None = None) -> Tensor:
        return observation[:, self.column]


def test_the_action_value_is_the_smaller_twin_and_the_advantage_is_over_the_value():
    critics = Critics(Column(0), Column(1), Column(2))  # type: ignore[arg-type]
    observation, action = torch.tensor([[3.0, 5.0, 10.0], [8.0, 2.0, -1.0]]), torch.zeros(2, 1)
    assert critics.action_value(observation, action).tolist() == [3.0, 2.0]
    assert critics.advantage(observation, action).tolist() == [-7.0, 3.0]
