"""The transition model: better than a linear one where the world is not linear, honest about falls and noise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from policy.transitions import Transitions
from policy.uni_o4.dynamics import (
    LOG_VARIANCE_BOUNDS,
    DynamicsEnsemble,
    DynamicsSettings,
    dynamics_features,
    fit_dynamics,
    member_loss,
)
from policy.uni_o4.dynamics_report import report_dynamics
from policy.uni_o4.ridge import fit_ridge
from policy.uni_o4.settings import SettingsError
from policy.uni_o4.side_by_side import MemberLinear
from tests.policy.uni_o4.point_mass import DirectObserver, linear_actor, log_episodes

torch.set_num_threads(1)
STEPS = 30  # of an episode of the pendulum
SMALL = DynamicsSettings(members=3, elites=2, hidden_dims=(32, 32), batch_size=64, epochs=30, learning_rate=3e-3)


def pendulum_log(episodes: int = 60, steps: int = STEPS, seed: int = 0) -> Transitions:
    """Angle [rad] and speed [rad/s] of a pushed pendulum: w' = w - 0.5 sin(angle) + 0.1 a. A sine is no line."""
    generator = torch.Generator().manual_seed(seed)
    transitions = log_episodes(linear_actor(0.0, 0.0, 0.3), episodes, steps, generator)
    state = torch.stack([4.0 * torch.rand(episodes, generator=generator) - 2.0, torch.zeros(episodes)], dim=1)
    physical, following = [], []
    actions = torch.randn(steps, episodes, 1, generator=generator)
    for action in actions:
        moved = pendulum(state, action)
        physical.append(state)
        following.append(moved)
        state = moved
    now, then = torch.stack(physical, 1).flatten(0, 1), torch.stack(following, 1).flatten(0, 1)
    ends = (torch.arange(len(now)) + 1) % steps == 0
    return Transitions(
        observation=now,
        next_observation=then,
        action=actions.transpose(0, 1).flatten(0, 1),
        action_mean=torch.zeros(len(now), 1),
        action_std=torch.ones(len(now), 1),
        log_prob=torch.zeros(len(now)),
        reward=now[:, 0].cos(),
        terminated=torch.zeros(len(now), dtype=torch.bool),
        truncated=ends,
        episode=torch.arange(episodes).repeat_interleave(steps),
        physical=now,
        next_physical=then,
        command=torch.zeros(len(now), 1),
        memory=torch.zeros(len(now), 1),
        past=torch.zeros(len(now), 0, 3),
        groups=transitions.groups,
    )


def pendulum(state: Tensor, action: Tensor) -> Tensor:
    angle, speed = state[:, :1], state[:, 1:]
    moved = 0.95 * speed - 0.5 * angle.sin() + 0.1 * action
    return torch.cat([angle + 0.3 * moved, moved], dim=1)


@pytest.fixture(scope="module")
def pendulum_fit():
    transitions = pendulum_log()
    return transitions, fit_dynamics(transitions, SMALL, torch.Generator().manual_seed(1))


def test_the_ensemble_beats_the_linear_model_on_a_nonlinear_world(pendulum_fit):
    transitions, fit = pendulum_fit
    report = report_dynamics(fit, transitions, DirectObserver(), horizon=5)
    speed = report.one_step["speed"]
    assert speed.ensemble > 0.95
    assert 1.0 - speed.ensemble < 0.1 * (1.0 - speed.linear)  # a tenth of what the line leaves unexplained
    assert report.one_step["reward"].ensemble > report.one_step["reward"].linear + 0.3
    error = report.horizon_error
    assert error.ensemble[-1] < 0.5 * error.linear[-1] < 0.5 * error.unchanged[-1]


def test_errors_of_a_group_are_in_its_own_unit(pendulum_fit):
    """ "Nothing changes" errs by the change itself: over one step and, from the first row of an episode, over all."""
    transitions, fit = pendulum_fit
    report = report_dynamics(fit, transitions, DirectObserver(), horizon=1)
    assert list(report.group_error) == ["position", "speed"]
    held = transitions.select(fit.holdout_rows)
    change = (held.next_physical - held.physical).square().mean(0).sqrt()
    for column, name in enumerate(report.group_error):
        error = report.group_error[name]
        assert error.unchanged == pytest.approx((float(change[column]),) * 2, rel=1e-5)
        assert error.ensemble[0] < error.linear[0] < error.unchanged[0]
    whole = report_dynamics(fit, transitions, DirectObserver(), horizon=STEPS)
    begin, end = held.physical[::STEPS], held.next_physical[STEPS - 1 :: STEPS]
    assert whole.group_error["speed"].unchanged[1] == pytest.approx(float((end - begin)[:, 1].square().mean().sqrt()))


def test_the_linear_model_is_enough_for_a_linear_world():
    transitions = log_episodes(linear_actor(-0.8, -0.4), 40, 30, torch.Generator().manual_seed(0))
    fit = fit_dynamics(transitions, SMALL, torch.Generator().manual_seed(1))
    report = report_dynamics(fit, transitions, DirectObserver(), horizon=5)
    assert report.one_step["position"].linear > 0.999
    assert report.one_step["speed"].linear > 0.999


def test_held_out_episodes_are_whole_and_unseen(pendulum_fit):
    transitions, fit = pendulum_fit
    assert not set(transitions.episode[fit.train_rows].tolist()) & set(transitions.episode[fit.holdout_rows].tolist())


def test_the_elites_are_the_members_with_the_least_held_out_error(pendulum_fit):
    transitions, fit = pendulum_fit
    assert fit.model.members == 2
    rows = fit.holdout_rows
    features = dynamics_features(
        transitions.observation[rows],
        transitions.physical[rows],
        transitions.action[rows],
        transitions.past[rows],
    )
    target = torch.cat([transitions.next_physical - transitions.physical, transitions.reward[:, None]], dim=1)[rows]
    with torch.no_grad():
        mean, _, _ = fit.model(features)
    standard = (target - fit.model.line(features)) / fit.model.residual_std
    error = (mean - standard).square().mean((1, 2))
    torch.testing.assert_close(error, torch.tensor(sorted(fit.holdout_error)[:2]), rtol=1e-3, atol=1e-6)


def test_falls_in_the_log_become_likely_where_they_happened():
    transitions = log_episodes(linear_actor(0.9, 0.5), 80, 60, torch.Generator().manual_seed(0))  # runs away
    assert transitions.terminated.sum() > 40
    fit = fit_dynamics(transitions, SMALL, torch.Generator().manual_seed(1))
    state = torch.tensor([[2.9, 3.0], [0.0, 0.0]])
    action = torch.tensor([[4.1], [0.0]])  # as the behaviour would act there
    features = dynamics_features(state, state, action, torch.zeros(2, 0, 3))
    probability = fit.model.predict(features, state).fall_probability.mean(0)
    assert probability[0].item() > 0.5
    assert probability[1].item() < 0.02


def test_predictions_are_in_physical_units_and_relative_to_the_state():
    model = DynamicsEnsemble(3, 2, 2, (4,), torch.Generator().manual_seed(0))
    for parameter in model.parameters():
        parameter.data.zero_()
    model.line_bias.copy_(torch.tensor([1.0, 2.0, 5.0]))
    model.residual_std.copy_(torch.tensor([2.0, 2.0, 2.0]))
    prediction = model.predict(torch.zeros(1, 3), torch.tensor([[10.0, 20.0]]))
    assert prediction.outcome[0, 0].tolist() == [11.0, 22.0, 5.0]
    assert prediction.fall_probability[0].item() == 0.5


def test_the_log_variance_stays_inside_its_bounds():
    model = DynamicsEnsemble(3, 2, 2, (4,), torch.Generator().manual_seed(0))
    for size in (-1e4, 1e4):
        _, log_variance, _ = model(torch.full((1, 3), size))
        assert (log_variance >= LOG_VARIANCE_BOUNDS[0] - 1e-4).all()
        assert (log_variance <= LOG_VARIANCE_BOUNDS[1] + 1e-4).all()


def test_members_learn_on_their_own():
    """The loss of one member has no gradient in another: batched matrices share nothing."""
    model = DynamicsEnsemble(3, 2, 2, (4,), torch.Generator().manual_seed(0))
    features, target = torch.randn(2, 8, 3), torch.randn(2, 8, 3)
    target[1] = model(features)[0][1].detach()
    settings = DynamicsSettings(members=2, elites=1, variance_weighting=1.0, termination_weight=0.0)
    loss = member_loss(model, features, target, torch.zeros(2, 8), settings)
    loss.backward()
    last = model.layers[-1]
    assert isinstance(last, MemberLinear) and last.weight.grad is not None
    mean_columns = last.weight.grad[:, :, :3]
    assert mean_columns[0].abs().max() > 1e-3
    assert mean_columns[1].abs().max() < 1e-6


def test_kept_members_answer_as_before():
    model = DynamicsEnsemble(3, 2, 4, (5,), torch.Generator().manual_seed(0))
    features = torch.randn(6, 3)
    kept = model.keep(torch.tensor([2, 0]))
    torch.testing.assert_close(kept(features)[0], model(features)[0][[2, 0]])


def test_more_elites_than_members_are_refused():
    with pytest.raises(SettingsError, match="elites"):
        DynamicsSettings(members=3, elites=4)


def test_a_horizon_longer_than_every_held_out_stretch_has_no_error(pendulum_fit):
    transitions, fit = pendulum_fit
    report = report_dynamics(fit, transitions, DirectObserver(), horizon=100_000)
    assert report.horizon_error.ensemble == report.horizon_error.unchanged == ()
    assert report.group_error == {}


def test_nothing_of_the_held_out_episodes_is_in_the_line_or_in_the_units():
    """Three episodes, each on a level of its own: mean, spread and line are those of the two that were trained on."""
    transitions = pendulum_log(episodes=3)
    level = 10.0 * transitions.episode.float()[:, None]
    physical, following = transitions.physical + level, transitions.next_physical + level
    apart = replace(
        transitions, physical=physical, next_physical=following, observation=physical, next_observation=following
    )
    settings = replace(SMALL, hidden_dims=(4,), epochs=1)
    fit = fit_dynamics(apart, settings, torch.Generator().manual_seed(0))
    features = dynamics_features(apart.observation, apart.physical, apart.action, apart.past)
    change = torch.cat([apart.next_physical - apart.physical, apart.reward[:, None]], dim=1)
    rows = fit.train_rows
    assert len(apart.episode[rows].unique()) == 2
    torch.testing.assert_close(fit.model.input_mean, features[rows].mean(0))
    torch.testing.assert_close(fit.model.input_std, features[rows].std(0, unbiased=False))
    line = fit_ridge(features[rows], change[rows])
    torch.testing.assert_close(fit.model.line_weight[:, :-1], line.weight[:, :-1])
    left = change[rows] - fit.model.line(features[rows])
    torch.testing.assert_close(fit.model.residual_std, left.std(0, unbiased=False))
    assert not torch.allclose(fit.model.input_mean, features.mean(0), atol=1.0)
