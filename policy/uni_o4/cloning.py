"""Behaviour cloning by an ensemble whose members divide a multi-modal behaviour between them (Uni-O4, section 4.1)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from policy.networks import LOG_STD_BOUNDS, GaussianActor, gaussian_log_prob
from policy.trainer_state import TrainerState
from policy.transitions import Transitions, split_by_episode
from policy.uni_o4.keeping import NOTHING_KEPT, Keeper, TrainingParts
from policy.uni_o4.settings import Progress, no_progress, require, seeded_network
from policy.uni_o4.side_by_side import MemberNetworks

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CloningSettings:
    """How the logged behaviour is cloned.

    Attributes:
        members: policies in the ensemble (the paper's ablation: 4 gain 3.7 points over 1, 8 gain no more).
        disagreement: alpha, weight of the disagreement term; below 1, so that every sample still attracts every member.
        hidden_dims: widths of an actor's hidden layers. initial_std: standard deviation before training.
        epochs, patience: passes over the training episodes at most, and without a better held-out fit until the stop.
        batch_size: steps an update. learning_rate: of Adam. holdout_fraction: share of the episodes held out.
    """

    members: int = 4
    disagreement: float = 0.1
    hidden_dims: tuple[int, ...] = (256, 256)
    initial_std: float = 0.5
    epochs: int = 40
    patience: int = 5
    batch_size: int = 512
    learning_rate: float = 1e-3
    holdout_fraction: float = 0.1

    def __post_init__(self) -> None:
        require(self, "members", 1)
        require(self, "disagreement", 0.0, 0.99)
        require(self, "epochs", 1)
        require(self, "batch_size", 1)
        require(self, "holdout_fraction", 0.0, 0.5)


# ---- Networks --------------------------------------------------------------------------------------------------------


class BehaviorEnsemble(MemberNetworks):
    """The members side by side while they are trained; outside they are `GaussianActor`s of their own."""

    def __init__(self, members: Sequence[GaussianActor]) -> None:
        first = members[0]
        observation_dim = next(first.mean_network.parameters()).shape[1]
        super().__init__(
            len(members), observation_dim, first.hidden_dims, len(first.log_std), functional.elu, torch.Generator()
        )
        self.read_from([member.mean_network for member in members])
        self.log_std = nn.Parameter(torch.stack([member.log_std.detach() for member in members]))
        self._moulds = tuple(copy.deepcopy(member) for member in members)

    def log_prob(self, observation: Tensor, action: Tensor) -> Tensor:
        """Log density of actions (N, A) in observations (N, O) under each member: (E, N)."""
        std = self.log_std.clamp(*LOG_STD_BOUNDS).exp()[:, None]
        return gaussian_log_prob(action, self.outputs(observation), std)

    @torch.no_grad()
    def members(self) -> tuple[GaussianActor, ...]:
        """The members as they are now; what is trained afterwards does not reach them."""
        members = copy.deepcopy(self._moulds)
        self.write_to([member.mean_network for member in members])
        for member, log_std in zip(members, self.log_std, strict=True):
            member.log_std.copy_(log_std)
        return members


# ---- Loss ------------------------------------------------------------------------------------------------------------


def cloning_loss(
    members: BehaviorEnsemble | Sequence[GaussianActor], observation: Tensor, action: Tensor, disagreement: float
) -> Tensor:
    """Sum over members, side by side or each on its own, of their cloning loss on (N, O) and logged actions (N, A).

    The gradient of the disagreement flows into both sides: a member lets go of what another explains better, by the
    share alpha, and the one that explains it best is drawn to it by alpha for each of the others. Treating the others
    as constants inside a plain log-ratio would only rescale cloning by 1 + alpha and separate nobody.
    """
    if isinstance(members, BehaviorEnsemble):
        log_prob = members.log_prob(observation, action)
    else:
        log_prob = torch.stack([member.log_prob(observation, action) for member in members])
    count = len(log_prob)

    # Likelihood: -E[ log pi_i(a|s) ]
    likelihood = -log_prob.mean(1).sum()
    if count == 1:
        return likelihood

    # Disagreement with the most likely of the others: D_i = E[ max(0, max_{j != i} log pi_j(a|s) - log pi_i(a|s)) ]
    itself = torch.eye(count, dtype=torch.bool)[:, :, None]
    others = log_prob[None].expand(count, -1, -1).masked_fill(itself, -torch.inf)
    distance = (others.amax(1) - log_prob).clamp(min=0.0).mean(1).sum()

    # L = sum_i -log pi_i - alpha D_i
    return likelihood - disagreement * distance


# ---- Fitting ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CloningFit:
    """The cloned ensemble and each member's held-out log-likelihood a step [nat]."""

    members: tuple[GaussianActor, ...]
    holdout_log_prob: tuple[float, ...]

    @property
    def best(self) -> GaussianActor:
        """The member that explains the held-out episodes best."""
        return self.members[max(range(len(self.members)), key=self.holdout_log_prob.__getitem__)]


class CloningTraining:
    """The ensemble in the making: new members, and one optimiser for all of them."""

    def __init__(
        self, observation_dim: int, action_dim: int, settings: CloningSettings, generator: torch.Generator
    ) -> None:
        def build() -> GaussianActor:
            return GaussianActor(observation_dim, action_dim, settings.hidden_dims, settings.initial_std)

        self.settings = settings
        self.ensemble = BehaviorEnsemble([seeded_network(build, generator) for _ in range(settings.members)])
        self.optimizer = torch.optim.Adam(self.ensemble.parameters(), settings.learning_rate, fused=True)

    def step(self, observation: Tensor, action: Tensor) -> None:
        """One gradient step of every member on the same steps, (B, O) and (B, A)."""
        loss = cloning_loss(self.ensemble, observation, action, self.settings.disagreement)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def clone_behavior(
    transitions: Transitions,
    settings: CloningSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
    keeper: Keeper = NOTHING_KEPT,
) -> CloningFit:
    """Clone the logged actions; the state of the ensemble with the best held-out likelihood is the result."""
    observation, action = transitions.observation, transitions.action
    training = CloningTraining(observation.shape[1], action.shape[1], settings, generator)
    ensemble = training.ensemble
    train_rows, holdout_rows = split_by_episode(transitions, settings.holdout_fraction, generator)
    held_observation, held_action = observation[holdout_rows], action[holdout_rows]
    course = _Course(training, CloningFit(ensemble.members(), (-float("inf"),) * settings.members))
    course.restore(keeper.kept())
    while not course.finished:
        for rows in train_rows[torch.randperm(len(train_rows), generator=generator)].split(settings.batch_size):
            training.step(observation[rows], action[rows])
        with torch.no_grad():
            held = ensemble.log_prob(held_observation, held_action).mean(1).tolist()
        course.count(held)
        progress("cloning", course.epochs, settings.epochs, {"holdout_log_prob": max(held)})
        keeper.keep(course.state, course.finished)
    return course.best


class _Course:
    """How far the cloning is.

    Attributes:
        best: the ensemble that explained the held-out episodes best so far. best_epoch: its epoch, from 0.
        epochs: gone through. finished: nothing more is to be done.
    """

    def __init__(self, training: CloningTraining, begun: CloningFit) -> None:
        self._training, self._settings = training, training.settings
        self.best, self.best_epoch, self.epochs, self.finished = begun, 0, 0, False

    def count(self, held: Sequence[float]) -> None:
        """One more epoch, and each member's held-out log-likelihood behind it."""
        epoch, self.epochs = self.epochs, self.epochs + 1
        better = sum(held) > sum(self.best.holdout_log_prob)
        if better:
            self.best, self.best_epoch = CloningFit(self._training.ensemble.members(), tuple(held)), epoch
        out_of_patience = not better and epoch - self.best_epoch >= self._settings.patience
        self.finished = out_of_patience or self.epochs == self._settings.epochs

    @property
    def _parts(self) -> TrainingParts:
        best = {f"best{place}": member for place, member in enumerate(self.best.members)}
        return TrainingParts({"ensemble": self._training.ensemble, **best}, {"optimizer": self._training.optimizer})

    def state(self) -> TrainerState:
        """To be kept."""
        record = {"best_epoch": self.best_epoch, "epochs": self.epochs, "finished": self.finished}
        return self._parts.state({**record, "holdout_log_prob": self.best.holdout_log_prob})

    def restore(self, kept: TrainerState | None) -> None:
        """Go on from what was kept, if anything was."""
        if kept is None:
            return
        self._parts.restore(kept)
        record = kept.record
        self.best = CloningFit(self.best.members, tuple(record["holdout_log_prob"]))
        self.best_epoch, self.epochs, self.finished = record["best_epoch"], record["epochs"], record["finished"]


@torch.no_grad()
def with_cloned_behavior(transitions: Transitions, actor: GaussianActor) -> Transitions:
    """The transitions with the clone's distribution in place of the one that the log does not know."""
    mean, std = actor(transitions.observation)
    log_prob = actor.log_prob(transitions.observation, transitions.action)
    return transitions.with_behavior(mean.clone(), std.clone(), log_prob)
