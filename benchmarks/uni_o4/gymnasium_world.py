"""The learner's seams for a Gymnasium robot: logged steps as `Transitions`, and the world that a model of them makes.

What differs from the Go1's velocity task (`policy.uni_o4.velocity_world`):
- the physical state is the observation itself; the policy sees it standardised by the data's mean and spread;
- the reward is what the model's head learned from the log; the end of an episode is known by a rule (`termination`),
  as the tilt limit is on the Go1, and by the model's head for falls;
- the environment executes an action within +-1 only, so the model and the critics are asked about that part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.uni_o4.logged_steps import LoggedSteps
from benchmarks.uni_o4.robots import ACTION_LIMIT
from policy.transitions import Transitions
from policy.uni_o4.critics import Critics
from policy.uni_o4.disagreement import DisagreementLimit
from policy.uni_o4.dynamics import DynamicsEnsemble, DynamicsPrediction
from policy.uni_o4.ensemble_rollouts import FallRule, ModelWorld
from policy.uni_o4.ridge import column_spread

PHYSICAL_GROUP = "observation"


@dataclass(frozen=True)
class Standardization:
    """observation = (state - mean) / spread; (O,) each."""

    mean: Tensor
    spread: Tensor

    @staticmethod
    def of(steps: LoggedSteps) -> Standardization:
        """Of the data's observations."""
        observations = torch.from_numpy(steps.observations)
        return Standardization(observations.mean(0), column_spread(observations))

    def __call__(self, state: Tensor) -> Tensor:
        """(..., O) raw -> (..., O) as the policy sees it."""
        return (state - self.mean) / self.spread


def transitions_of(steps: LoggedSteps, standardization: Standardization) -> Transitions:
    """The steps as the learner takes them; the behaviour's distribution is left unknown, for it has to be cloned.

    (The file's log-probabilities are those of a squashed policy with a spread that depends on the state, which is not
    what the learner's networks can be.)
    """
    ends = torch.from_numpy(steps.ends)
    terminated = torch.from_numpy(steps.terminals)
    physical, next_physical = torch.from_numpy(steps.observations), torch.from_numpy(steps.next_observations)
    action = torch.from_numpy(steps.actions)
    unknown = torch.full_like(action, float("nan"))
    count, width = physical.shape
    return Transitions(
        observation=standardization(physical),
        next_observation=standardization(next_physical),
        action=action,
        action_mean=unknown,
        action_std=unknown,
        log_prob=unknown[:, 0],
        reward=torch.from_numpy(steps.rewards),
        terminated=terminated,
        truncated=ends & ~terminated,
        episode=ends.long().cumsum(0) - ends.long(),
        physical=physical,
        next_physical=next_physical,
        command=torch.zeros(count, 0),
        memory=torch.zeros(count, 0),
        past=torch.zeros(count, 0, width + action.shape[1]),
        groups=((PHYSICAL_GROUP, width),),
    )


@dataclass(frozen=True)
class StandardizedObserver:
    """The policy sees the standardised state and needs no memory.

    Attributes:
        lowest, highest: (O,) of the logged states. A prediction beyond them is put back: the environment bounds its
            observed velocities in the same way, and no branch can grow without limit.
    """

    standardization: Standardization
    lowest: Tensor
    highest: Tensor

    def observe(self, physical: Tensor, command: Tensor, memory: Tensor) -> Tensor:
        """See `ensemble_rollouts.Observer`."""
        return self.standardization(physical)

    def remember(self, memory: Tensor, observation: Tensor, action: Tensor, command: Tensor) -> Tensor:
        """Nothing is remembered."""
        return memory

    def project(self, physical: Tensor) -> Tensor:
        """States (N, O) within what was logged."""
        return physical.clamp(self.lowest, self.highest)


@dataclass(frozen=True)
class ExecutedModel:
    """A transition model that is asked about the action as the environment executes it."""

    model: DynamicsEnsemble
    action_columns: slice

    @property
    def members(self) -> int:
        return self.model.members

    def predict(self, features: Tensor, physical: Tensor) -> DynamicsPrediction:
        """See `DynamicsEnsemble.predict`; the action's columns (..., A) of the features are clamped first."""
        executed = features.clone()
        executed[..., self.action_columns] = features[..., self.action_columns].clamp(-ACTION_LIMIT, ACTION_LIMIT)
        return self.model.predict(executed, physical)


@dataclass(frozen=True)
class ExecutedCritics(Critics):
    """Critics that are asked about the action as the environment executes it."""

    def action_value(self, observation: Tensor, action: Tensor) -> Tensor:
        """See `Critics.action_value`."""
        return super().action_value(observation, action.clamp(-ACTION_LIMIT, ACTION_LIMIT))

    @staticmethod
    def of(critics: Critics) -> ExecutedCritics:
        return ExecutedCritics(critics.first, critics.second, critics.value)


def gymnasium_observer(transitions: Transitions, standardization: Standardization) -> StandardizedObserver:
    """The policy's senses within the states that were logged."""
    both = torch.cat([transitions.physical, transitions.next_physical])
    return StandardizedObserver(standardization, both.amin(0), both.amax(0))


def gymnasium_world(
    model: DynamicsEnsemble, transitions: Transitions, standardization: Standardization, fell: FallRule
) -> ModelWorld:
    """The world as learned from the log, and the rule by which episodes end."""
    width, action_dim = transitions.physical.shape[1], transitions.action.shape[1]
    start = transitions.observation.shape[1] + width  # the order of `dynamics_features`
    action_columns = slice(start, start + action_dim)
    return ModelWorld(ExecutedModel(model, action_columns), gymnasium_observer(transitions, standardization), fell)


def disagreement_limit(
    world: ModelWorld, transitions: Transitions, quantile: float, generator: torch.Generator
) -> DisagreementLimit:
    """The disagreement of this share of the logged steps, in units of what a line leaves unexplained of each column."""
    assert isinstance(world.model, ExecutedModel)
    scale = world.model.model.residual_std[:-1]
    return DisagreementLimit.of_logs(world.model, scale, transitions, quantile, generator)


def executed(action: np.ndarray) -> np.ndarray:
    """Actions (N, A) as the environment executes them: within its limits."""
    return np.clip(action, -ACTION_LIMIT, ACTION_LIMIT)
