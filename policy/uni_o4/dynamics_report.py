"""How good a transition model is, on episodes that it did not learn from, next to two models that cost nothing.

One step ahead: share of the variance of each signal's change that is explained (R^2), against ridge regression.
Several steps ahead: error of the state after h logged actions, against "nothing changes" and the same ridge regression;
over all signals in units of their spread, and group by group in physical units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from policy.transitions import Transitions
from policy.uni_o4.dynamics import DynamicsFit, dynamics_features
from policy.uni_o4.ensemble_rollouts import Observer, advance_past
from policy.uni_o4.ridge import fit_ridge

StepModel = Callable[[Tensor, Tensor], Tensor]
"""Features (N, F) and physical state (N, P) -> mean of next physical state and reward (N, P + 1)."""

UNSEEN = "episodes that neither taught the model nor chose anything of it"
CHOOSERS = "episodes that chose the model's stopping epoch, weights and members: expect more error on new ones"

_REWARD = "reward"  # a group of one signal beside those of the state


@dataclass(frozen=True)
class OneStepScore:
    """R^2 on the steps judged on, mean over a group's signals: 1 is perfect, 0 is as good as the mean change."""

    ensemble: float
    linear: float


@dataclass(frozen=True)
class HorizonError:
    """Root mean squared error of the state after 1 .. H steps, each signal in units of its spread over the log."""

    ensemble: tuple[float, ...]
    linear: tuple[float, ...]
    unchanged: tuple[float, ...]


@dataclass(frozen=True)
class GroupError:
    """Root mean squared error of a group's signals in its own unit, after one step and after the whole horizon."""

    ensemble: tuple[float, float]
    linear: tuple[float, float]
    unchanged: tuple[float, float]


@dataclass(frozen=True)
class DynamicsReport:
    """Quality of a transition model on logged episodes.

    Attributes:
        judged_on: `UNSEEN`, or `CHOOSERS` where the fit set none aside. episodes: how many. steps: how many.
        one_step: by signal group, the reward included. horizon_error: over all signals.
        group_error: by signal group; empty if no stretch judged on is as long as the horizon.
    """

    judged_on: str
    episodes: int
    steps: int
    one_step: dict[str, OneStepScore]
    horizon_error: HorizonError
    group_error: dict[str, GroupError]


@torch.no_grad()
def report_dynamics(fit: DynamicsFit, transitions: Transitions, observer: Observer, horizon: int) -> DynamicsReport:
    """Judge a fitted model on the episodes that it never saw, or, where there are none, on those that chose it.

    The linear model has no choices to make: it learns from all the others, or from no more than the model does.
    """

    def ensemble(features: Tensor, physical: Tensor) -> Tensor:
        return fit.model.predict(features, physical).outcome.mean(0)

    unseen = len(fit.report_rows) > 0
    judges = fit.report_rows if unseen else fit.holdout_rows
    train = transitions.select(torch.cat([fit.train_rows, fit.holdout_rows]) if unseen else fit.train_rows)
    change = torch.cat([train.next_physical - train.physical, train.reward[:, None]], dim=1)
    line = fit_ridge(_features(train), change)

    def linear(features: Tensor, physical: Tensor) -> Tensor:
        outcome = line(features)
        return torch.cat([physical + outcome[:, :-1], outcome[:, -1:]], dim=1)

    held, groups = transitions.select(judges), _group_columns(transitions)
    models = (ensemble, linear, _nothing_changes)
    errors = [_open_loop_error(model, held, observer, horizon) for model in models]
    spread = transitions.physical.std(0, unbiased=False).clamp(min=1e-6)
    return DynamicsReport(
        UNSEEN if unseen else CHOOSERS,
        len(held.episode.unique()),
        len(held),
        {
            name: OneStepScore(_r_squared(ensemble, held, columns), _r_squared(linear, held, columns))
            for name, columns in groups.items()
        },
        HorizonError(*(tuple((error / spread.square()).mean(1).sqrt().tolist()) for error in errors)),
        {
            name: GroupError(*((_rms(error[0, columns]), _rms(error[-1, columns])) for error in errors))
            for name, columns in groups.items()
            if name != _REWARD and len(errors[0]) > 0
        },
    )


def _rms(squared_error: Tensor) -> float:
    return float(squared_error.mean().sqrt())


def _group_columns(transitions: Transitions) -> dict[str, slice]:
    columns, start = {}, 0
    for name, width in (*transitions.groups, (_REWARD, 1)):
        columns[name] = slice(start, start + width)
        start += width
    return columns


def _features(transitions: Transitions) -> Tensor:
    return dynamics_features(transitions.observation, transitions.physical, transitions.action, transitions.past)


def _r_squared(model: StepModel, held: Transitions, columns: slice) -> float:
    """1 - squared error / variance, for the change of the state (not the state, which hardly changes in 20 ms)."""
    still = torch.cat([held.physical, torch.zeros(len(held), 1)], dim=1)
    wanted = torch.cat([held.next_physical, held.reward[:, None]], dim=1) - still
    guess = model(_features(held), held.physical) - still
    error = (wanted - guess).square().mean(0)[columns]
    variance = wanted.var(0, unbiased=False)[columns]
    moving = variance > 0.0
    return float((1.0 - error[moving] / variance[moving]).mean()) if bool(moving.any()) else 0.0


def _nothing_changes(features: Tensor, physical: Tensor) -> Tensor:
    return torch.cat([physical, torch.zeros(len(physical), 1)], dim=1)


def _open_loop_error(model: StepModel, held: Transitions, observer: Observer, horizon: int) -> Tensor:
    """Mean squared error of each signal (H, P) along the logged actions and commands.

    From every step that has `horizon` more behind it; (0, P) where every stretch is shorter.
    """
    starts = _unbroken_starts(held, horizon)
    if len(starts) == 0:
        return held.physical.new_empty(0, held.physical.shape[1])
    physical, memory, past = held.physical[starts], held.memory[starts], held.past[starts]
    errors = []
    for step in range(horizon):
        rows = starts + step
        action, command = held.action[rows], held.command[rows]
        observation = observer.observe(physical, command, memory)
        reached = observer.project(model(dynamics_features(observation, physical, action, past), physical)[:, :-1])
        memory = observer.remember(memory, observation, action, command)
        past = advance_past(past, physical, action)
        physical = reached
        errors.append((physical - held.next_physical[rows]).square().mean(0))
    return torch.stack(errors)


def _unbroken_starts(held: Transitions, horizon: int) -> Tensor:
    """Rows from which `horizon` logged steps follow each other without an end in between."""
    ended = held.episode_end.long().cumsum(0) - held.episode_end.long()  # ends strictly before each row
    rows = torch.arange(max(0, len(held) - horizon + 1))
    return rows[ended[rows] == ended[rows + horizon - 1]]
