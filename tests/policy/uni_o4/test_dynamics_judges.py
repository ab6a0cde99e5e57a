"""Which episodes a transition model is judged on: ones that neither taught it nor chose anything of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from policy.transitions import Transitions
from policy.uni_o4.dynamics import DynamicsFit, DynamicsSettings, fit_dynamics
from policy.uni_o4.dynamics_report import CHOOSERS, UNSEEN, DynamicsReport, report_dynamics
from policy.uni_o4.episode_split import split_with_report
from policy.uni_o4.settings import SettingsError
from tests.policy.uni_o4.point_mass import DirectObserver, linear_actor, log_episodes

torch.set_num_threads(1)
EPISODES, STEPS = 20, 12
SMALL = DynamicsSettings(members=2, elites=1, hidden_dims=(8,), batch_size=32, epochs=2, holdout_fraction=0.2)


@pytest.fixture(scope="module")
def logged() -> Transitions:
    return log_episodes(linear_actor(-0.8, -0.4), EPISODES, STEPS, torch.Generator().manual_seed(0))


def fit(logged: Transitions, report_fraction: float) -> DynamicsFit:
    settings = replace(SMALL, report_fraction=report_fraction)
    return fit_dynamics(logged, settings, torch.Generator().manual_seed(1))


def report(found: DynamicsFit, logged: Transitions) -> DynamicsReport:
    return report_dynamics(found, logged, DirectObserver(), horizon=3)


def test_three_parts_share_no_episode_and_leave_none_out(logged: Transitions):
    split = split_with_report(logged, 0.2, 0.15, torch.Generator().manual_seed(0))
    parts = [set(logged.episode[rows].tolist()) for rows in (split.train, split.holdout, split.report)]
    assert [len(part) for part in parts] == [13, 4, 3]
    assert set.union(*parts) == set(range(EPISODES))
    assert len(split.train) + len(split.holdout) + len(split.report) == len(logged)


def test_with_nothing_set_aside_the_split_and_the_luck_behind_it_are_as_ever(logged: Transitions):
    generator, same = torch.Generator().manual_seed(0), torch.Generator().manual_seed(0)
    split = split_with_report(logged, 0.2, 0.0, generator)
    names = logged.episode.unique()
    held = names[torch.randperm(len(names), generator=same)[:4]]
    assert torch.equal(split.holdout, torch.isin(logged.episode, held).nonzero().squeeze(1))
    assert len(split.report) == 0
    assert torch.equal(generator.get_state(), same.get_state())


@pytest.mark.parametrize(("episodes", "set_aside"), [(2, 0), (3, 1), (4, 2)])
def test_one_episode_always_teaches(episodes: int, set_aside: int):
    few = log_episodes(linear_actor(-0.8, -0.4), episodes, STEPS, torch.Generator().manual_seed(0))
    split = split_with_report(few, 0.1, 0.5, torch.Generator().manual_seed(0))
    assert len(few.episode[split.report].unique()) == set_aside
    assert len(split.train) >= STEPS


def test_what_happened_in_the_report_s_episodes_changes_no_weight_and_no_choice(logged: Transitions):
    first = fit(logged, 0.15)
    changed = replace(logged, next_physical=logged.next_physical.clone(), reward=logged.reward.clone())
    changed.next_physical[first.report_rows] += 5.0
    changed.reward[first.report_rows] = -100.0
    second = fit(changed, 0.15)
    assert first.holdout_error == second.holdout_error
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
    good, bad = report(first, logged), report(second, changed)
    assert bad.one_step["position"].ensemble < good.one_step["position"].ensemble - 0.5


def test_the_report_is_on_episodes_of_its_own_and_says_so(logged: Transitions):
    found = fit(logged, 0.15)
    judged = report(found, logged)
    assert (judged.judged_on, judged.episodes, judged.steps) == (UNSEEN, 3, len(found.report_rows))
    held = logged.select(found.report_rows)
    begins = torch.arange(len(held)) % STEPS <= STEPS - 3  # with two more steps behind them
    change = (held.next_physical - held.physical)[begins, 1]
    assert judged.group_error["speed"].unchanged[0] == pytest.approx(float(change.square().mean().sqrt()), rel=1e-5)


def test_with_none_set_aside_it_is_on_those_that_chose_and_says_that(logged: Transitions):
    found = fit(logged, 0.0)
    judged = report(found, logged)
    assert (judged.judged_on, judged.episodes, judged.steps) == (CHOOSERS, 4, len(found.holdout_rows))


def test_the_line_learns_from_the_episodes_that_chose_the_model_too(logged: Transitions):
    """Both have then seen the same episodes; a line of the training episodes alone would not notice this change."""
    found = fit(logged, 0.15)
    changed = replace(logged, next_physical=logged.next_physical.clone())
    changed.next_physical[found.holdout_rows] += 5.0
    before, after = report(found, logged), report(found, changed)
    assert after.one_step["position"].linear < before.one_step["position"].linear - 0.5
    assert after.one_step["position"].ensemble == before.one_step["position"].ensemble


def test_a_share_beyond_half_is_refused():
    with pytest.raises(SettingsError, match="report_fraction"):
        DynamicsSettings(report_fraction=0.6)
