"""The log's own returns, by hand, and the model's figure beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from policy.transitions import Transitions
from policy.uni_o4.behavior_check import BehaviorCheck, check_behavior, logged_return
from policy.uni_o4.evaluation import EvaluationSettings
from policy.uni_o4.value import RewardScale
from tests.policy.uni_o4.conftest import DISCOUNT, Study
from tests.policy.uni_o4.point_mass import linear_actor, log_episodes

torch.set_num_threads(1)
BY_HAND = EvaluationSettings(horizon=3, discount=0.5)


class Constant(nn.Module):
    """V(s) = 10 in scaled units: 5 in logged ones at a scale of 2."""

    def forward(self, observation: Tensor) -> Tensor:
        return torch.full(observation.shape[:-1], 10.0)


def two_episodes() -> Transitions:
    """Rewards 1 2 3 4, then the recording stopped; 5 6 7, then a fall."""
    logged = log_episodes(linear_actor(-0.8, -0.4), 1, 7, torch.Generator().manual_seed(0))
    assert len(logged) == 7
    row = torch.arange(7)
    return replace(
        logged, reward=row + 1.0, truncated=row == 3, terminated=row == 6, episode=torch.tensor([0] * 4 + [1] * 3)
    )


def test_the_logged_return_by_hand():
    found, cut_early = logged_return(
        two_episodes(),
        torch.arange(7),
        Constant(),  # type: ignore[arg-type]
        RewardScale(2.0),
        BY_HAND,
    )
    wanted = [
        1 + 1.0 + 0.75 + 0.125 * 5,
        2 + 1.5 + 1.0 + 0.125 * 5,  # its third step is the last that was recorded
        3 + 2.0 + 0.25 * 5,  # two steps to the cut
        4 + 0.5 * 5,
        5 + 3.0 + 1.75,  # a fall: nothing behind it
        6 + 3.5,
        7.0,
    ]
    torch.testing.assert_close(found, torch.tensor(wanted))
    assert cut_early.tolist() == [False, False, True, True, False, False, False]


def checked(study: Study, position_gain: float, speed_gain: float) -> BehaviorCheck:
    settings = EvaluationSettings(starts=400, horizon=20, discount=DISCOUNT, resamples=300)
    return check_behavior(
        linear_actor(position_gain, speed_gain, 0.5), study.world, study.value, study.scale, study.transitions,
        settings, torch.Generator().manual_seed(0),
    )  # fmt: skip


def test_the_behaviour_is_predicted_to_earn_about_what_it_earned(study: Study):
    found = checked(study, -0.3, -0.3)  # the policy that logged
    width = found.logged.upper - found.logged.lower
    assert abs(found.difference.mean) < 0.25 * width
    assert found.difference.mean == pytest.approx(found.predicted.mean - found.logged.mean, abs=1e-4)
    assert found.difference.lower < found.difference.mean < found.difference.upper
    assert found.starts == 400
    assert 0 < found.cut_early < 200  # episodes of 50 steps, horizon 20: two starts in five


def test_another_policy_is_predicted_to_earn_something_else(study: Study):
    worse, better = checked(study, 0.6, 0.3), checked(study, -2.0, -2.0)
    assert worse.difference.upper < 0.0 < better.difference.lower
    assert worse.logged == better.logged  # the same starts
