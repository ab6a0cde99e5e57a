"""Online learning: session after session; actor, value, reward scale and random state are carried over.

Two kinds of update share them: `update` runs PPO on the steps just logged, and carries the optimisers over too;
`update_in_model` refits the transition model to everything logged so far and improves inside it, on a KL budget counted
from the current policy. Its optimisers are new each time, for so is what they descend: another model, another batch, a
budget counted from another policy. Moments of the last objective would be momentum towards what it wanted.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from policy.networks import GaussianActor, ValueNetwork
from policy.trainer_state import (
    TrainerState,
    load_trainer_state,
    pack_adam,
    pack_module,
    require_match,
    save_trainer_state,
    unpack_adam,
    unpack_module,
)
from policy.transitions import Transitions, TransitionsError
from policy.uni_o4.candidates import Improvement
from policy.uni_o4.cloning import with_cloned_behavior
from policy.uni_o4.dynamics import DynamicsEnsemble, DynamicsSettings, fit_dynamics
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.offline import EnsembleSettings, behavior_budget, improve_in_ensemble
from policy.uni_o4.ppo import ActorCritic, PpoSettings, SequenceBatch, UpdateStatistics, update, warm_up_value
from policy.uni_o4.settings import Progress, no_progress, require, seeded_generator, settings_record
from policy.uni_o4.value import RewardScale, ValueSettings, fit_value

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OnlineSettings:
    """Online learning.

    Attributes:
        ppo: of an update on logged steps. The actor's rate is the paper's (section 5 and appendix), the rest fits
            rounds of some 10,000 steps on a robot: clip 0.2, 10 epochs of minibatches of 512, value rate 1e-3, no value
            clip; the paper, every 2,048 steps in simulation: 0.05, 30 of 128, 2e-4, and a value clip.
        kl_limit: mean KL of one update from the policy that logged the batch [nat]; the paper has none.
        warm_up_epochs: passes of the value alone over the first batch, before the actor's first step.
        seed: of the one generator.
    """

    ppo: PpoSettings = PpoSettings(epochs=10, minibatch_size=512, actor_learning_rate=2e-5)
    kl_limit: float = 0.02
    warm_up_epochs: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        require(self, "kl_limit", 0.0)
        require(self, "warm_up_epochs", 0)


@dataclass(frozen=True)
class ModelSettings:
    """The model-based update: how V and the transition model are refitted, and how far the policy may go in them."""

    value: ValueSettings = ValueSettings(rounds=10)
    dynamics: DynamicsSettings = DynamicsSettings()
    improvement: EnsembleSettings = EnsembleSettings(kl_budget=0.6, iterations=16)


# ---- Learner ---------------------------------------------------------------------------------------------------------


class OnlineLearner:
    """Actor and value between sessions, with the state to continue them exactly.

    Attributes:
        networks: actor, value and their optimisers. scale: the reward scale of the stage before.
        steps: logged steps learned from. updates: made so far.
    """

    def __init__(self, actor: GaussianActor, value: ValueNetwork, scale: RewardScale, settings: OnlineSettings) -> None:
        self.networks = ActorCritic(copy.deepcopy(actor), copy.deepcopy(value), settings.ppo)
        self.scale, self.settings = scale, settings
        self.generator = seeded_generator(settings.seed)
        self.steps, self.updates = 0, 0

    @property
    def actor(self) -> GaussianActor:
        return self.networks.actor

    @property
    def value(self) -> ValueNetwork:
        return self.networks.value

    def update(self, transitions: Transitions) -> UpdateStatistics:
        """PPO on steps that the current policy logged, with the log-probs of the actions it really sampled.

        Raises:
            TransitionsError: the robot acted with the mean, or its distribution is unknown.
        """
        _require_exploration(transitions)
        batch = logged_batch(transitions, self.scale)
        if self.updates == 0:
            warm_up_value(self.networks, batch, self.settings.warm_up_epochs, self.settings.ppo, self.generator)
        budget = behavior_budget(transitions, len(transitions), self.settings.kl_limit, self.generator)
        statistics = update(self.networks, batch, budget, self.settings.ppo, self.generator)
        self.steps += len(transitions)
        self.updates += 1
        return statistics

    def update_in_model(
        self,
        everything: Transitions,
        new_steps: int,
        world_of: Callable[[DynamicsEnsemble], ModelWorld],
        settings: ModelSettings,
        progress: Progress = no_progress,
    ) -> Improvement:
        """Refit V and the transition model to all logs, improve inside, and take over the best candidate.

        The KL budget counts from the current policy, whichever policies logged the data. new_steps is how many of
        the steps were not learned from before; world_of makes the task's world of a fitted transition model.
        """
        fitted = fit_value(everything, self.scale, settings.value, self.generator, self.value, progress)
        model = fit_dynamics(everything, settings.dynamics, self.generator, progress).model
        improvement = improve_in_ensemble(
            self.actor,
            fitted.value,
            world_of(model),
            with_cloned_behavior(everything, self.actor),
            self.scale,
            settings.improvement,
            self.generator,
            progress,
        )
        self.actor.load_state_dict(improvement.best.actor.state_dict())
        self.value.load_state_dict(improvement.value.state_dict())
        self.steps += new_steps
        self.updates += 1
        return improvement

    # ---- State -------------------------------------------------------------------------------------------------------

    def save(self, path: Path, data_sha256: str) -> None:
        """Write everything that `load` needs to continue bit for bit; data_sha256 keys the logs learned from."""
        networks = self.networks
        tensors = {
            **pack_module("actor", networks.actor),
            **pack_module("value", networks.value),
            **pack_adam("actor_optimizer", networks.actor_optimizer),
            **pack_adam("value_optimizer", networks.value_optimizer),
            "generator": self.generator.get_state(),
        }
        record = {
            "steps": self.steps,
            "updates": self.updates,
            "reward_scale": self.scale.factor,
            "actor_rate": networks.actor_rate,
            "data_sha256": data_sha256,
            "settings": settings_record(self.settings),
        }
        save_trainer_state(path, TrainerState(tensors, record))

    def load(self, path: Path, data_sha256: str) -> None:
        """Continue a saved state in place.

        Raises:
            TrainerStateError: the file is damaged, or was made from other data, settings or network widths.
        """
        state = load_trainer_state(path)
        require_match(state.record, {"data_sha256": data_sha256, "settings": settings_record(self.settings)})
        networks = self.networks
        unpack_module("actor", networks.actor, state.tensors)
        unpack_module("value", networks.value, state.tensors)
        unpack_adam("actor_optimizer", networks.actor_optimizer, state.tensors)
        unpack_adam("value_optimizer", networks.value_optimizer, state.tensors)
        networks.actor_rate = state.record.get("actor_rate", networks.actor_rate)  # older states have it by settings
        self.generator.set_state(state.tensors["generator"])
        self.scale = RewardScale(state.record["reward_scale"])
        self.steps, self.updates = state.record["steps"], state.record["updates"]


def _require_exploration(transitions: Transitions) -> None:
    """The gradient of log pi(a|s) by the mean is (a - mean) / std^2: exactly zero where the mean was the action."""
    if torch.equal(transitions.action, transitions.action_mean):
        raise TransitionsError(
            "actions sampled from the policy",
            "actions equal to its mean in every step",
            "Log with exploration (noise above zero), or learn in the model from these logs (update_in_model).",
        )


def logged_batch(transitions: Transitions, scale: RewardScale) -> SequenceBatch:
    """Logged steps as one sequence, cut where an episode, a recording or a valid stretch ends."""
    return SequenceBatch(
        transitions.observation,
        transitions.next_observation,
        transitions.action,
        transitions.log_prob,
        scale(transitions.reward),
        transitions.terminated,
        transitions.episode_end,
        torch.ones(len(transitions), dtype=torch.bool),
    )
