"""The course of an improvement: when it stops, and which V goes on with the policy that was chosen."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

import policy.uni_o4.offline as offline
from policy.networks import ValueNetwork
from policy.uni_o4.candidates import Improvement
from policy.uni_o4.dynamics import DynamicsSettings
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.evaluation import EvaluationSettings, Interval, PolicyScore
from policy.uni_o4.offline import EnsembleSettings, improve_in_ensemble
from policy.uni_o4.online import ModelSettings, OnlineLearner, OnlineSettings
from policy.uni_o4.ppo import PpoSettings
from policy.uni_o4.settings import SettingsError
from policy.uni_o4.value import ValueSettings
from tests.policy.uni_o4.conftest import DISCOUNT, Study
from tests.policy.uni_o4.point_mass import DirectObserver, has_fallen

torch.set_num_threads(1)
SETTINGS = EnsembleSettings(
    iterations=3,
    branches=64,
    horizon=5,
    budget_states=64,
    ppo=PpoSettings(discount=DISCOUNT, epochs=2, minibatch_size=256, actor_learning_rate=1e-2),
    evaluation=EvaluationSettings(starts=100, horizon=5, discount=DISCOUNT, resamples=100),
)
STILL = replace(SETTINGS, ppo=replace(SETTINGS.ppo, actor_learning_rate=0.0))


def improved(study: Study, settings: EnsembleSettings) -> Improvement:
    return improve_in_ensemble(
        study.behavior, study.value, study.world, study.transitions, study.scale, settings,
        torch.Generator().manual_seed(5),
    )  # fmt: skip


def flat(value: ValueNetwork | None) -> torch.Tensor:
    assert value is not None
    return torch.cat([parameter.detach().flatten() for parameter in value.parameters()])


# ---- V ---------------------------------------------------------------------------------------------------------------


def test_each_candidate_keeps_the_value_that_was_trained_along_with_it(study: Study):
    whole = improved(study, SETTINGS)
    assert len(whole.candidates) == 4
    for count in (1, 2):  # equal seeds: the shorter course is the beginning of the longer one
        part = improved(study, replace(SETTINGS, iterations=count))
        assert torch.equal(flat(part.candidates[-1].value), flat(whole.candidates[count].value))
        assert not torch.equal(flat(whole.candidates[count].value), flat(whole.candidates[count + 1].value))


def test_the_value_that_goes_on_is_that_of_the_chosen_policy_and_not_the_last(study: Study):
    found = improved(study, SETTINGS)
    celebrated = replace(
        found.candidates[2],
        score=PolicyScore(torch.zeros(1), Interval(1e9, 1e9, 1e9)),
        gain=Interval(1.0, 0.5, 2.0),
    )
    chosen = replace(found, candidates=(*found.candidates[:2], celebrated, found.candidates[3]))
    assert chosen.best.name == "iteration 2"
    assert torch.equal(flat(chosen.value), flat(found.candidates[2].value))


def test_where_the_start_stays_the_value_of_the_logs_stays_too(study: Study):
    found = improved(study, STILL)
    assert not found.accepted
    assert torch.equal(flat(found.value), flat(study.value))
    assert not torch.equal(flat(found.candidates[-1].value), flat(study.value))  # V itself did go on learning


def test_online_a_rejected_update_leaves_the_value_of_the_logs(study: Study):
    learner = OnlineLearner(study.behavior, study.value, study.scale, OnlineSettings())
    settings = ModelSettings(
        value=ValueSettings((64, 64), DISCOUNT, rounds=2, batch_size=256),
        dynamics=DynamicsSettings(members=2, elites=2, hidden_dims=(8,), batch_size=256, epochs=1),
        improvement=STILL,
    )
    found = learner.update_in_model(
        study.transitions, 10, lambda model: ModelWorld(model, DirectObserver(), has_fallen), settings
    )
    assert not found.accepted
    assert torch.equal(flat(learner.value), flat(found.fitted_value))


# ---- Stopping --------------------------------------------------------------------------------------------------------


def iterations_made(
    study: Study, monkeypatch: pytest.MonkeyPatch, bounds: list[float], patience: int
) -> tuple[int, Improvement]:
    """How many iterations are made of as many as there are lower bounds, which are given instead of computed."""
    told = iter([0.0, *bounds])

    def scripted(candidate: object, incumbent: object, fixed: object) -> Interval:
        lower = next(told)
        return Interval(lower + 1.0, lower, lower + 2.0)

    monkeypatch.setattr(offline, "compare", scripted)
    found = improved(study, replace(STILL, iterations=len(bounds), patience=patience, horizon=2))
    return len(found.candidates) - 1, found


@pytest.mark.parametrize(
    ("bounds", "patience", "made"),
    [
        ([1.0, 2.0, 1.5, 1.9, 3.0, 4.0], 2, 4),  # two looks without more than 2.0
        ([1.0, 2.0, 1.5, 1.9, 3.0, 4.0], 3, 6),  # one more look, and it rises again
        ([1.0, 1.0, 1.0, 1.0], 2, 3),  # as high is not higher
        ([-3.0, -2.0, -1.0, 0.5], 1, 4),  # below zero, but on its way
        ([-1.0, -2.0, -3.0, 5.0], 2, 3),
    ],
)
def test_the_improvement_ends_where_the_lower_bound_no_longer_rises(
    study: Study, monkeypatch: pytest.MonkeyPatch, bounds: list[float], patience: int, made: int
):
    assert iterations_made(study, monkeypatch, bounds, patience)[0] == made


def test_the_default_patience_outlasts_every_pause_of_the_recorded_runs():
    """Lower bounds of the demo's second seed, iterations 14 to 20: it paused for four looks and rose again."""
    bounds = [1.14, 1.06, 1.03, 1.06, 1.13, 1.16]
    pause = sum(bound <= bounds[0] for bound in bounds[1:])
    assert EnsembleSettings().patience >= 2 * pause


def test_a_patience_of_nothing_is_refused():
    with pytest.raises(SettingsError, match="patience"):
        EnsembleSettings(patience=0)


def test_the_networks_given_are_not_trained(study: Study):
    before = copy.deepcopy(study.value)
    improved(study, SETTINGS)
    assert torch.equal(flat(before), flat(study.value))
