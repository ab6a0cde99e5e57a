"""One update of actor and value by the clipped objective, from sequences logged online or rolled out in a model.

Both the offline stage and online learning call `update`; they differ only in where the sequences come from and in which
policy the budget on KL is counted from.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from policy.networks import GaussianActor, ValueNetwork
from policy.objective import (
    clipped_surrogate,
    explained_variance,
    gaussian_entropy,
    gaussian_kl,
    generalized_advantage,
    normalize_advantage,
    value_loss,
)
from policy.uni_o4.led_rate import led_rate
from policy.uni_o4.settings import require

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PpoSettings:
    """One PPO update.

    Attributes:
        clip: half width of the ratio's trust interval. epochs: passes over the batch; minibatch_size: steps a gradient.
        actor_learning_rate, value_learning_rate: of Adam.
        discount: gamma a policy step. trace_decay: lambda of the advantages.
        entropy_weight: weight of the entropy bonus [1/nat]. max_gradient_norm: of actor and value, each on its own.
        value_clip: half width of the interval about what V said before the update, beyond which an error has no
            gradient towards the return, in units of the scaled reward; None for no such interval.
        desired_kl: mean KL from the policy before an update to the one after it [nat], towards which the actor's
            learning rate is led from update to update, as rsl_rl leads its own; None leaves the rate as it is.
    """

    clip: float = 0.2
    epochs: int = 5
    minibatch_size: int = 2048
    actor_learning_rate: float = 3e-4
    value_learning_rate: float = 1e-3
    discount: float = 0.99
    trace_decay: float = 0.95
    entropy_weight: float = 0.0
    max_gradient_norm: float = 1.0
    value_clip: float | None = None
    desired_kl: float | None = None

    def __post_init__(self) -> None:
        require(self, "clip", 1e-3, 1.0)
        require(self, "epochs", 0)
        require(self, "minibatch_size", 1)
        require(self, "discount", 0.0, 0.9999)
        require(self, "trace_decay", 0.0, 1.0)
        require(self, "max_gradient_norm", 1e-6)
        if self.value_clip is not None:
            require(self, "value_clip", 1e-6)
        if self.desired_kl is not None:
            require(self, "desired_kl", 1e-6)


# ---- What an update works on -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SequenceBatch:
    """Steps in time order along the first dimension: (T, ...) logged, or (H, N, ...) from N branches.

    Attributes:
        observation, next_observation, action, log_prob: of the policy that acted; log_prob [nat] is that of the sample.
        reward: scaled. terminated, episode_end: bool. counted: bool, steps that happened and may teach.
    """

    observation: Tensor
    next_observation: Tensor
    action: Tensor
    log_prob: Tensor
    reward: Tensor
    terminated: Tensor
    episode_end: Tensor
    counted: Tensor


class ActorCritic:
    """An actor and a value with an optimiser each: what is carried from stage to stage."""

    def __init__(self, actor: GaussianActor, value: ValueNetwork, settings: PpoSettings) -> None:
        self.actor, self.value = actor, value
        self.actor_optimizer = torch.optim.Adam(actor.parameters(), settings.actor_learning_rate)
        self.value_optimizer = torch.optim.Adam(value.parameters(), settings.value_learning_rate)

    @property
    def actor_rate(self) -> float:
        """Learning rate of the actor, which `PpoSettings.desired_kl` leads away from its setting."""
        return float(self.actor_optimizer.param_groups[0]["lr"])

    @actor_rate.setter
    def actor_rate(self, rate: float) -> None:
        self.actor_optimizer.param_groups[0]["lr"] = rate


@dataclass(frozen=True)
class KlBudget:
    """How far the policy may move from a reference: mean over states of KL(reference || policy) [nat].

    Attributes:
        observation: (N, O). mean, std: (N, A) of the reference there. limit: nat.
    """

    observation: Tensor
    mean: Tensor
    std: Tensor
    limit: float

    @torch.no_grad()
    def spent(self, actor: GaussianActor) -> float:
        """KL of the actor from the reference [nat]."""
        mean, std = actor(self.observation)
        return float(gaussian_kl(self.mean, self.std, mean, std).mean())


@dataclass(frozen=True)
class UpdateStatistics:
    """One update in figures.

    Attributes:
        kl: spent of the budget afterwards [nat]. stopped: a step was taken back because it exceeded the budget.
        clip_fraction: of the actor's last step, one taken back included.
        explained_variance: of the returns by V, before the update. entropy: of the policy afterwards [nat].
        gradient_steps: of the actor.
    """

    kl: float
    stopped: bool
    clip_fraction: float
    explained_variance: float
    entropy: float
    gradient_steps: int


# ---- Update ----------------------------------------------------------------------------------------------------------


def update(
    networks: ActorCritic, batch: SequenceBatch, budget: KlBudget, settings: PpoSettings, generator: torch.Generator
) -> UpdateStatistics:
    """PPO epochs over the batch, advantages recomputed before each; the actor stops for good where the budget ends.

    The budget is looked at once an epoch. Where one ends beyond it, the epoch is gone through again with a look at each
    gradient step, and the one that exceeds the budget is undone, optimiser included: the limit holds exactly. The value
    goes on learning.
    """
    counted = batch.counted.flatten()
    observation, action = batch.observation.flatten(0, -2)[counted], batch.action.flatten(0, -2)[counted]
    old_log_prob = batch.log_prob.flatten()[counted]
    with torch.no_grad():
        old_value = networks.value(observation)
        before = networks.actor(observation) if settings.desired_kl is not None else None
    stopped, clip_fraction, steps, explained = False, 0.0, 0, 0.0
    for epoch in range(settings.epochs):
        advantage, target = _advantage_and_target(networks.value, batch, settings)
        if epoch == 0:
            explained = explained_variance((target - advantage)[counted], target[counted])
        advantage, target = normalize_advantage(advantage[counted]), target[counted]
        order = torch.randperm(len(target), generator=generator).split(settings.minibatch_size)
        for rows in order:
            value_step(networks, observation[rows], target[rows], settings, old_value[rows])
        if not stopped:
            minibatches = [_Minibatch(observation[r], action[r], old_log_prob[r], advantage[r]) for r in order]
            clip_fraction, taken = _actor_epoch(networks, minibatches, budget, settings)
            stopped = taken < len(minibatches)
            steps += taken
    with torch.no_grad():
        entropy = float(gaussian_entropy(networks.actor.std()))
        if settings.desired_kl is not None and before is not None and not stopped:
            moved = float(gaussian_kl(*before, *networks.actor(observation)).mean())
            networks.actor_rate = led_rate(networks.actor_rate, moved, settings.desired_kl)
    return UpdateStatistics(budget.spent(networks.actor), stopped, clip_fraction, explained, entropy, steps)


def value_step(
    networks: ActorCritic, observation: Tensor, target: Tensor, settings: PpoSettings, old_value: Tensor | None = None
) -> None:
    """One gradient step of the value: L_V = 1/2 E[ (V(s) - G_lambda)^2 ]; with a clip, held near old_value (N,)."""
    loss = value_loss(networks.value(observation), target, old_value, settings.value_clip)
    _descend(networks.value_optimizer, networks.value, loss, settings.max_gradient_norm)


def warm_up_value(
    networks: ActorCritic, batch: SequenceBatch, epochs: int, settings: PpoSettings, generator: torch.Generator
) -> float:
    """Fit the value alone, so that the actor never follows a cold critic; returns the explained variance before."""
    counted = batch.counted.flatten()
    observation = batch.observation.flatten(0, -2)[counted]
    explained = 0.0
    for epoch in range(epochs):
        advantage, target = _advantage_and_target(networks.value, batch, settings)
        if epoch == 0:
            explained = explained_variance((target - advantage)[counted], target[counted])
        target = target[counted]
        for rows in torch.randperm(len(target), generator=generator).split(settings.minibatch_size):
            value_step(networks, observation[rows], target[rows], settings)
    return explained


@dataclass(frozen=True)
class _Minibatch:
    """Steps of one gradient of the actor, as in `SequenceBatch`; advantage (B,) normalised over the whole batch."""

    observation: Tensor
    action: Tensor
    old_log_prob: Tensor
    advantage: Tensor


class _ActorState:
    """The actor and its optimiser's moments, to go back to once."""

    def __init__(self, networks: ActorCritic) -> None:
        self._weights = copy.deepcopy(networks.actor.state_dict())
        self._moments = copy.deepcopy(networks.actor_optimizer.state_dict())

    def restore(self, networks: ActorCritic) -> None:
        networks.actor.load_state_dict(self._weights)
        networks.actor_optimizer.load_state_dict(self._moments)


def _actor_epoch(
    networks: ActorCritic, minibatches: Sequence[_Minibatch], budget: KlBudget, settings: PpoSettings
) -> tuple[float, int]:
    """A gradient step of the actor a minibatch; (clip fraction of the last, steps that the budget allowed)."""
    before, clip_fraction = _ActorState(networks), 0.0
    for minibatch in minibatches:
        clip_fraction = _actor_step(networks, minibatch, settings)
    if budget.spent(networks.actor) <= budget.limit:
        return clip_fraction, len(minibatches)

    before.restore(networks)
    for taken, minibatch in enumerate(minibatches):
        before = _ActorState(networks)
        clip_fraction = _actor_step(networks, minibatch, settings)
        if budget.spent(networks.actor) > budget.limit:
            before.restore(networks)
            return clip_fraction, taken
    return clip_fraction, len(minibatches)


def _actor_step(networks: ActorCritic, minibatch: _Minibatch, settings: PpoSettings) -> float:
    """One gradient step of the actor; the share of samples that were clipped."""
    # Policy: L_pi = -E[ min(r A, clip(r, 1 - eps, 1 + eps) A) ]
    log_prob = networks.actor.log_prob(minibatch.observation, minibatch.action)
    loss, statistics = clipped_surrogate(log_prob, minibatch.old_log_prob, minibatch.advantage, settings.clip)

    # Entropy: L_H = -beta H(pi), zero by default
    loss = loss - settings.entropy_weight * gaussian_entropy(networks.actor.std())

    _descend(networks.actor_optimizer, networks.actor, loss, settings.max_gradient_norm)
    return statistics.clip_fraction


@torch.no_grad()
def _advantage_and_target(value: ValueNetwork, batch: SequenceBatch, settings: PpoSettings) -> tuple[Tensor, Tensor]:
    """Advantage and lambda-return under the current value, flattened to (T * ...,)."""
    now = value(batch.observation)
    advantage = generalized_advantage(
        batch.reward,
        now,
        value(batch.next_observation),
        batch.terminated,
        batch.episode_end,
        settings.discount,
        settings.trace_decay,
    )
    return advantage.flatten(), (advantage + now).flatten()


def _descend(optimizer: torch.optim.Optimizer, network: nn.Module, loss: Tensor, max_norm: float) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), max_norm)
    optimizer.step()
