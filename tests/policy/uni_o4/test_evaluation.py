"""Offline policy evaluation: sums, fixed starts, intervals over episodes, and the right order of policies."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from policy.transitions import TransitionsError
from policy.uni_o4.critics import Critics
from policy.uni_o4.dynamics import DynamicsPrediction
from policy.uni_o4.ensemble_rollouts import BranchStarts, ModelWorld
from policy.uni_o4.evaluation import EvaluationSet, EvaluationSettings, am_q, bootstrap_interval, compare, model_return
from policy.uni_o4.value import RewardScale
from tests.policy.uni_o4.conftest import DISCOUNT, Study
from tests.policy.uni_o4.point_mass import DirectObserver, linear_actor, true_return
from tests.policy.uni_o4.test_ensemble_rollouts import Drift, draw, pushing_actor, starts_at

torch.set_num_threads(1)


class ActionItself(nn.Module):
    """Q(s, a) = a: makes every action that is asked about visible in the score."""

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        return action[:, 0]


class Constant(nn.Module):
    """V(s) = 10."""

    def forward(self, observation: Tensor) -> Tensor:
        return torch.full(observation.shape[:-1], 10.0)


CRITICS = Critics(ActionItself(), ActionItself(), Constant())  # type: ignore[arg-type]


def fixed_set(positions: list[float], horizon: int, **settings: float) -> EvaluationSet:
    chosen = EvaluationSettings(starts=len(positions), horizon=horizon, exploration=0.0, **settings)  # type: ignore[arg-type]
    return EvaluationSet(starts_at(positions), draw(horizon, len(positions)), chosen, 7)


def drift(limit: float) -> ModelWorld:
    return ModelWorld(Drift(), DirectObserver(), lambda state: state[:, 0] > limit)


def test_mistake_06_am_q_sums_over_the_horizon_and_clamps_no_action():
    score = am_q(pushing_actor(8.0), drift(1e9), CRITICS, fixed_set([0.0, 0.0], horizon=5))
    assert score.per_start.tolist() == [40.0, 40.0]  # 5 steps of Q = 8, neither a mean nor a clamp to 1


def test_am_q_counts_nothing_behind_a_fall():
    score = am_q(pushing_actor(1.0), drift(2.5), CRITICS, fixed_set([0.0, -9.0], horizon=5))
    assert score.per_start.tolist() == [3.0, 5.0]


def test_model_return_by_hand_with_and_without_a_fall():
    # reward 1 a step, gamma 0.5, three steps: 1.75; the survivor adds 0.125 * V / scale = 0.125 * 10 / 2
    score = model_return(
        pushing_actor(1.0),
        drift(1.5),
        Constant(),  # type: ignore[arg-type]
        RewardScale(2.0),
        fixed_set([0.0, -9.0], 3, discount=0.5),
    )
    assert score.per_start.tolist() == [1.5, 1.75 + 0.125 * 10.0 / 2.0]


def test_mistake_06_the_same_policy_scores_the_same_every_time(study: Study):
    fixed = EvaluationSet.draw(study.transitions, EvaluationSettings(starts=200), torch.Generator().manual_seed(0))
    once, again = (model_return(study.behavior, study.world, study.value, study.scale, fixed) for _ in range(2))
    assert torch.equal(once.per_start, again.per_start)
    difference = compare(once, again, fixed)
    assert (difference.mean, difference.lower, difference.upper) == (0.0, 0.0, 0.0)


def test_mistake_06_the_interval_resamples_episodes_not_starts():
    """100 starts that say the same within each of 4 episodes are 4 pieces of evidence, not 100."""
    episode = torch.arange(4).repeat_interleave(25)
    values = torch.tensor([0.0, 0.0, 1.0, 1.0])[episode]

    def width(labels: Tensor) -> float:
        zeros = torch.zeros(100, 1)
        starts = BranchStarts(zeros, zeros, zeros, zeros, labels)
        interval = bootstrap_interval(values, EvaluationSet(starts, draw(1, 100), EvaluationSettings(), 7))
        assert interval.mean == pytest.approx(0.5)
        return interval.upper - interval.lower

    # Exact: mean of 4 resampled episodes is Binomial(4, 1/2) / 4, whose 2.5 % and 97.5 % quantiles are 0 and 1.
    assert width(episode) == 1.0
    assert width(torch.arange(100)) == pytest.approx(2 * 1.96 * 0.05, abs=0.03)


def test_one_episode_gives_no_interval():
    zeros = torch.zeros(5, 1)
    starts = BranchStarts(zeros, zeros, zeros, zeros, torch.zeros(5, dtype=torch.long))
    with pytest.raises(TransitionsError, match="at least 2 episodes"):
        bootstrap_interval(torch.ones(5), EvaluationSet(starts, draw(1, 5), EvaluationSettings(), 7))


def test_pairing_narrows_the_interval_of_a_difference(study: Study):
    fixed = EvaluationSet.draw(study.transitions, EvaluationSettings(starts=400), torch.Generator().manual_seed(0))
    one = model_return(linear_actor(-0.5, -0.5), study.world, study.value, study.scale, fixed)
    other = model_return(linear_actor(-0.6, -0.5), study.world, study.value, study.scale, fixed)
    paired = compare(other, one, fixed)
    alone = other.interval.upper - other.interval.lower
    assert paired.upper - paired.lower < 0.5 * alone


def test_the_model_return_orders_policies_as_the_true_world_does(study: Study):
    settings = EvaluationSettings(starts=400, horizon=25, discount=DISCOUNT)
    fixed = EvaluationSet.draw(study.transitions, settings, torch.Generator().manual_seed(0))
    policies = [linear_actor(gain, gain) for gain in (0.2, -0.1, -0.4, -1.0)]
    scores = [model_return(actor, study.world, study.value, study.scale, fixed).mean for actor in policies]
    truths = [true_return(actor) for actor in policies]
    assert truths == sorted(truths)
    assert scores == sorted(scores)


def test_branches_may_leave_the_first_steps_of_episodes_and_nothing_else(study: Study):
    settings = EvaluationSettings(starts=1000, horizon=1, from_beginning=True)
    fixed = EvaluationSet.draw(study.transitions, settings, torch.Generator().manual_seed(0))
    first = study.transitions.select(study.transitions.first_rows())
    assert sorted(fixed.starts.episode.tolist()) == sorted(first.episode.tolist()) == list(range(60))
    for state, episode in zip(fixed.starts.physical, fixed.starts.episode, strict=True):
        assert torch.equal(state, first.physical[episode])


def test_the_spread_of_outcomes_is_scaled(study: Study):
    def outcome(share: float) -> Tensor:
        settings = EvaluationSettings(starts=50, horizon=3, outcome_noise=share)
        return EvaluationSet.draw(study.transitions, settings, torch.Generator().manual_seed(0)).noise.outcome

    assert not outcome(0.0).any()
    torch.testing.assert_close(outcome(0.5), 0.5 * outcome(1.0))


def test_the_member_in_which_the_policy_earns_least_is_believed():
    # Member k rewards each step with 1 + 100 k: three steps of the first are worth 3, however the rows are dealt.
    world = ModelWorld(Drift(3), DirectObserver(), lambda state: state[:, 0] > 1e9)

    def score(worst_member: bool) -> list[float]:
        fixed = fixed_set([0.0, -9.0], 3, discount=1.0, worst_member=worst_member)
        scale = RewardScale(1.0)
        return model_return(pushing_actor(1.0), world, Constant(), scale, fixed).per_start.tolist()  # type: ignore[arg-type]

    assert score(worst_member=True) == [3.0 + 10.0, 3.0 + 10.0]  # and V = 10 behind them
    assert min(score(worst_member=False)) > 13.0


class Disagreeing(Drift):
    """Two members; in the second the position moves twice as far."""

    def predict(self, features: Tensor, physical: Tensor) -> DynamicsPrediction:
        once = super().predict(features, physical)
        twice = once.outcome.clone()
        twice[1, :, 0] += features[1, :, 4]
        return DynamicsPrediction(twice, once.std, once.fall_probability)


def test_a_member_follows_its_branches_from_start_to_end():
    """The second member falls after two steps where the first one takes three: by its own steps alone."""
    world = ModelWorld(Disagreeing(2), DirectObserver(), lambda state: state[:, 0] > 2.5)
    score = am_q(pushing_actor(1.0), world, CRITICS, fixed_set([0.0, -9.0, 0.0], 5, worst_member=True))
    assert score.per_start.tolist() == [2.0, 5.0, 2.0]
