"""Improvement inside the model: the true return must rise, the KL budget must hold, nothing worse may win."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch

from policy.networks import GaussianActor
from policy.transitions import TransitionsError
from policy.uni_o4.candidates import Candidate, Improvement
from policy.uni_o4.disagreement import DisagreementLimit
from policy.uni_o4.ensemble_rollouts import BranchStarts, RolloutNoise, roll_out
from policy.uni_o4.evaluation import EvaluationSettings, Interval, PolicyScore
from policy.uni_o4.offline import EnsembleSettings, behavior_budget, improve_in_ensemble, model_batch
from policy.uni_o4.ppo import PpoSettings
from tests.policy.uni_o4.conftest import DISCOUNT, Study
from tests.policy.uni_o4.point_mass import linear_actor, true_return

torch.set_num_threads(1)
SETTINGS = EnsembleSettings(
    iterations=5,
    branches=256,
    horizon=20,
    kl_budget=0.15,
    budget_states=512,
    ppo=PpoSettings(discount=DISCOUNT, epochs=4, minibatch_size=1024, actor_learning_rate=1e-2),
    evaluation=EvaluationSettings(starts=300, discount=DISCOUNT, resamples=200),
)


@pytest.fixture(scope="module")
def improvement(study: Study) -> Improvement:
    return improve_in_ensemble(
        study.behavior,
        study.value,
        study.world,
        study.transitions,
        study.scale,
        SETTINGS,
        torch.Generator().manual_seed(5),
    )


def test_the_true_return_rises(study: Study, improvement: Improvement):
    before, after = true_return(study.behavior), true_return(improvement.best.actor)
    optimum = true_return(linear_actor(-3.0, -3.0))
    assert improvement.accepted
    assert after > before + 0.2 * (optimum - before)


def test_the_kl_budget_holds_for_every_candidate(study: Study, improvement: Improvement):
    budget = behavior_budget(study.transitions, 4096, SETTINGS.kl_budget, torch.Generator().manual_seed(9))
    assert improvement.start.kl == pytest.approx(0.0, abs=1e-5)
    assert all(candidate.kl <= SETTINGS.kl_budget for candidate in improvement.candidates)
    assert improvement.best.kl == pytest.approx(budget.spent(improvement.best.actor), rel=0.1)
    assert improvement.candidates[-1].kl > 0.5 * SETTINGS.kl_budget


def test_the_budget_goes_into_the_mean_and_none_of_it_into_less_noise(study: Study, improvement: Improvement):
    best = improvement.best.actor
    assert torch.equal(best.std(), study.behavior.std())
    moved = [not torch.equal(a, b) for a, b in zip(best.parameters(), study.behavior.parameters(), strict=True)]
    assert any(moved)


def test_the_networks_given_are_left_as_they_were(study: Study):
    before = copy.deepcopy(study.behavior.state_dict())
    improve_in_ensemble(
        study.behavior,
        study.value,
        study.world,
        study.transitions,
        study.scale,
        replace(SETTINGS, iterations=1),
        torch.Generator().manual_seed(5),
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in study.behavior.state_dict().items())


def test_equal_seeds_give_equal_policies(study: Study):
    def run() -> GaussianActor:
        settings = replace(SETTINGS, iterations=1)
        found = improve_in_ensemble(
            study.behavior, study.value, study.world, study.transitions, study.scale, settings,
            torch.Generator().manual_seed(5),
        )  # fmt: skip
        return found.candidates[-1].actor

    one, other = run(), run()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def candidate(name: str, mean: float, lower: float) -> Candidate:
    score = PolicyScore(torch.tensor([mean]), Interval(mean, mean, mean))
    return Candidate(name, linear_actor(0.0, 0.0), 0.0, score, Interval(mean, lower, mean + 1.0), None)


def test_mistake_08_the_best_by_evaluation_is_kept_and_not_the_last(study: Study):
    found = Improvement(
        (candidate("start", 0.0, 0.0), candidate("good", 2.0, 1.0), candidate("last", 1.0, 0.5)), study.value
    )
    assert found.best.name == "good"


def test_mistake_12_a_gain_that_may_be_luck_does_not_replace_the_start(study: Study):
    found = Improvement((candidate("start", 0.0, 0.0), candidate("lucky", 2.0, -0.1)), study.value)
    assert found.best.name == "start"
    assert not found.accepted
    assert replace(found, gate="mean").best.name == "lucky"  # what the published gate would have taken


def test_unknown_behaviour_is_refused(study: Study):
    nan = torch.full_like(study.transitions.action, float("nan"))
    unknown = study.transitions.with_behavior(nan, nan, nan[:, 0])
    with pytest.raises(TransitionsError, match="Clone the behaviour"):
        behavior_budget(unknown, 10, 0.1, torch.Generator())


def test_branches_end_in_a_bootstrap_unless_they_fell(study: Study):
    starts = BranchStarts.at(study.transitions, torch.arange(50))
    noise = RolloutNoise.draw(6, 50, 1, 2, torch.Generator().manual_seed(0))
    rollout = roll_out(study.world, study.behavior, starts, noise)
    batch = model_batch(rollout, study.scale)
    assert batch.episode_end[-1].all()
    assert torch.equal(batch.episode_end[:-1], rollout.terminated[:-1])
    torch.testing.assert_close(batch.reward, rollout.reward * study.scale.factor)


def test_candidates_are_judged_by_the_value_of_the_logs_and_not_by_one_that_learned_with_them(study: Study):
    """An actor with a rate of zero stays the start, and scores as the start, however far V has gone meanwhile."""
    still = replace(SETTINGS.ppo, actor_learning_rate=0.0, value_learning_rate=0.1)
    found = improve_in_ensemble(
        study.behavior,
        study.value,
        study.world,
        study.transitions,
        study.scale,
        replace(SETTINGS, iterations=2, ppo=still),
        torch.Generator().manual_seed(5),
    )
    its_own = found.candidates[-1].value
    assert its_own is not None and not torch.equal(next(its_own.parameters()), next(study.value.parameters()))
    assert len(found.candidates) == 3
    for candidate in found.candidates:
        assert torch.equal(candidate.score.per_start, found.start.score.per_start)


def weights(candidate: Candidate) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in candidate.actor.parameters()]


def improved(study: Study, **changes: Any) -> Improvement:
    return improve_in_ensemble(
        study.behavior, study.value, study.world, study.transitions, study.scale,
        replace(SETTINGS, iterations=3, patience=9, kl_budget=5.0, **changes), torch.Generator().manual_seed(5),
    )  # fmt: skip


def test_candidates_are_averages_of_the_policies_on_the_way(study: Study):
    """Kept 0 of the start in the first round, 1/2 in the second, then the 0.6 that were asked for."""
    plain, averaged = improved(study).candidates[1:], improved(study, averaging=0.6).candidates[1:]
    one, two, three = (weights(candidate) for candidate in plain)
    for place in range(len(one)):
        after_two = 0.5 * one[place] + 0.5 * two[place]
        torch.testing.assert_close(weights(averaged[0])[place], one[place])
        torch.testing.assert_close(weights(averaged[1])[place], after_two)
        torch.testing.assert_close(weights(averaged[2])[place], 0.6 * after_two + 0.4 * three[place])


def test_the_kl_of_a_candidate_is_its_own(study: Study):
    plain, averaged = improved(study).candidates[-1], improved(study, averaging=0.9).candidates[-1]
    assert averaged.statistics is not None and averaged.kl < averaged.statistics.kl
    assert plain.statistics is not None and plain.kl == plain.statistics.kl
    assert averaged.statistics.kl == pytest.approx(plain.kl)  # what learns is not averaged


def test_branches_that_go_on_meet_other_states(study: Study):
    """The first rounds begin alike; in the second, branches stand elsewhere, and another policy comes of it."""
    fresh, going_on = improved(study).candidates, improved(study, continuations=3).candidates
    assert all(torch.equal(a, b) for a, b in zip(weights(fresh[1]), weights(going_on[1]), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights(fresh[2]), weights(going_on[2]), strict=True))


def test_halts_end_branches_that_teach_and_none_that_judges(study: Study):
    """A limit that every step exceeds: no step has a future, and the start scores as without it."""
    halted = replace(study, world=replace(study.world, halts=DisagreementLimit(torch.ones(2), -1.0)))
    one, other = improved(study), improved(halted)
    assert torch.equal(one.start.score.per_start, other.start.score.per_start)
    assert not all(torch.equal(a, b) for a, b in zip(weights(one.best), weights(other.best), strict=True))
