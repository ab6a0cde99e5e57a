"""The published improvement step: faithful where the paper is right, and its code's slips cannot come back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from policy.uni_o4.critics import Critics
from policy.uni_o4.evaluation import EvaluationSettings
from policy.uni_o4.published import PublishedSettings, improve_published
from tests.policy.uni_o4.conftest import Study
from tests.policy.uni_o4.point_mass import linear_actor, true_return

torch.set_num_threads(1)
EVALUATION = EvaluationSettings(starts=200, horizon=10, resamples=200)


class Wanted(nn.Module):
    """Q(s, a) = -(a + 2 p + v)^2: an action value whose best policy is known."""

    def forward(self, observation: Tensor, action: Tensor) -> Tensor:
        return -(action[:, 0] + 2.0 * observation[:, 0] + observation[:, 1]).square()


class Zero(nn.Module):
    def forward(self, observation: Tensor) -> Tensor:
        return torch.zeros(observation.shape[:-1])


def critics() -> Critics:
    return Critics(Wanted(), Wanted(), Zero())  # type: ignore[arg-type]


def test_true_action_values_lead_to_a_better_policy(study: Study):
    members = [study.behavior, linear_actor(-0.2, -0.4, 0.5)]
    settings = PublishedSettings(updates=150, gate_interval=25, learning_rate=1e-2, evaluation=EVALUATION)
    found = improve_published(
        members, critics(), study.world, study.transitions, settings, torch.Generator().manual_seed(0)
    )
    assert found.accepted
    assert true_return(found.best.actor) > true_return(study.behavior) + 5.0
    assert len(found.candidates) == 3


def test_mistake_08_clip_and_rate_decay_over_the_whole_run():
    settings = PublishedSettings(updates=10_000)
    assert settings.remaining(0) == 1.0
    assert settings.remaining(200) == pytest.approx(0.98)
    assert settings.remaining(5_000) == pytest.approx(0.5)
    assert settings.remaining(9_999) == pytest.approx(1e-4)


def test_mistake_08_updates_that_only_make_it_worse_leave_the_behaviour(study: Study):
    """A learning rate that wrecks the policy: the last one is bad, the best one is the start, and that is returned."""
    settings = PublishedSettings(updates=20, gate_interval=5, learning_rate=30.0, evaluation=EVALUATION)
    found = improve_published(
        [linear_actor(-2.0, -1.0, 0.3)],
        critics(),
        study.world,
        study.transitions,
        settings,
        torch.Generator().manual_seed(0),
    )
    weight = next(found.best.actor.mean_network.parameters()).detach().flatten()
    torch.testing.assert_close(weight, torch.tensor([-2.0, -1.0]))
    assert not found.accepted


def test_without_a_gate_the_behaviour_follows_wherever_it_goes(study: Study):
    """The ablation: the same wrecking rate, and nothing asks whether the policy became better."""
    settings = PublishedSettings(updates=20, gate_interval=5, learning_rate=30.0, gate="always", evaluation=EVALUATION)
    members, generator = [linear_actor(-2.0, -1.0, 0.3)], torch.Generator().manual_seed(0)
    found = improve_published(members, critics(), study.world, study.transitions, settings, generator)
    assert found.accepted
    assert found.best.gain.mean < 0.0


def test_the_members_given_are_left_as_they_were(study: Study):
    member = linear_actor(-0.3, -0.3, 0.5)
    settings = PublishedSettings(updates=5, gate_interval=5, evaluation=EVALUATION)
    improve_published([member], critics(), study.world, study.transitions, settings, torch.Generator().manual_seed(0))
    assert next(member.mean_network.parameters()).tolist() == [[pytest.approx(-0.3), pytest.approx(-0.3)]]


def test_gains_count_from_a_start_that_is_given_and_it_stays_where_no_member_is_better(study: Study):
    """The ideal policy as the start, at a rate of zero: neither member is better, by the gain that each shows."""
    ideal, members = linear_actor(-2.0, -1.0, 0.01), [study.behavior, linear_actor(-0.2, -0.4, 0.5)]
    settings = PublishedSettings(updates=1, gate_interval=1, learning_rate=0.0, evaluation=EVALUATION)
    generator = torch.Generator().manual_seed(0)
    found = improve_published(members, critics(), study.world, study.transitions, settings, generator, start=ideal)
    assert found.start.actor is ideal and found.best is found.start
    for candidate in found.candidates[1:]:
        assert candidate.gain.mean == pytest.approx(candidate.score.mean - found.start.score.mean, abs=1e-4)
        assert candidate.gain.upper < 0.0
