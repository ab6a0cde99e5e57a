"""The transition model of Uni-O4: an ensemble of probabilistic networks over the robot's physical state.

    observation, physical state, action, past frames -> change of the physical state, reward, probability of a fall

It never predicts an observation: the next one is assembled from the predicted physical state by the policy graph, so
that clock, last action, history and command are exact. All members are one batch of matrices (E, in, out) and share one
ridge regression: they learn only what a line leaves unexplained, for which a few thousand steps go a long way.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from policy.named_tensors import part_of, under
from policy.transitions import Transitions
from policy.uni_o4.episode_split import split_with_report
from policy.uni_o4.keeping import NOTHING_KEPT, Keeper, TrainingParts
from policy.uni_o4.ridge import Ridge, column_spread, fit_ridge
from policy.uni_o4.settings import Progress, no_progress, require
from policy.uni_o4.side_by_side import BestMembers, MemberLinear

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DynamicsSettings:
    """How the transition model is shaped and fitted.

    Attributes:
        members, elites: networks trained, and kept by their held-out error (Uni-O4, section 4.2: 7 and 5).
        hidden_dims: widths of the hidden layers.
        batch_size: steps a member sees in one update.
        epochs: passes over the training episodes at most.
        patience: epochs without a better held-out error of any member after which the fit stops.
        learning_rate: of Adam, decayed to zero along a cosine. weight_decay: decoupled, on matrices.
        holdout_fraction: share of the episodes that is held out and chooses stopping epoch, weights and elites.
        report_fraction: share that neither teaches nor chooses, for `report_dynamics` alone; it costs as many data.
            Without, the report is on the episodes that chose, and says so.
        variance_weighting: exponent of the predicted variance that weighs each error (beta of Seitzer et al. 2022);
            0 is the plain likelihood, 1 the plain squared error.
        termination_weight: weight of the fall's cross-entropy against one standardised output.
    """

    members: int = 7
    elites: int = 5
    hidden_dims: tuple[int, ...] = (256, 256)
    batch_size: int = 512
    epochs: int = 15
    patience: int = 5
    learning_rate: float = 1e-3
    weight_decay: float = 1e-5
    holdout_fraction: float = 0.1
    report_fraction: float = 0.0
    variance_weighting: float = 0.5
    termination_weight: float = 1.0

    def __post_init__(self) -> None:
        require(self, "members", 1)
        require(self, "elites", 1, self.members)
        require(self, "epochs", 1)
        require(self, "batch_size", 1)
        require(self, "learning_rate", 0.0)
        require(self, "holdout_fraction", 0.0, 0.5)
        require(self, "report_fraction", 0.0, 0.5)
        require(self, "variance_weighting", 0.0, 1.0)


# ---- Networks --------------------------------------------------------------------------------------------------------

# Bounds of the log-variance of a standardised target; soft, so that gradients never vanish at them.
LOG_VARIANCE_BOUNDS = (-12.0, 1.0)


class DynamicsEnsemble(nn.Module):
    """A line and, over it, the members; line and standardisation are buffers and travel with the weights."""

    input_mean: Tensor
    input_std: Tensor
    line_weight: Tensor
    line_bias: Tensor
    residual_std: Tensor

    def __init__(
        self,
        input_dim: int,
        physical_dim: int,
        members: int,
        hidden_dims: tuple[int, ...],
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.physical_dim, self.members, self.hidden_dims = physical_dim, members, hidden_dims
        self.target_dim = physical_dim + 1
        widths = [input_dim, *hidden_dims, 2 * self.target_dim + 1]
        self.layers = nn.ModuleList(
            MemberLinear(members, before, after, generator)
            for before, after in zip(widths[:-1], widths[1:], strict=True)
        )
        self.register_buffer("input_mean", torch.zeros(input_dim))
        self.register_buffer("input_std", torch.ones(input_dim))
        self.register_buffer("line_weight", torch.zeros(input_dim, self.target_dim))
        self.register_buffer("line_bias", torch.zeros(self.target_dim))
        self.register_buffer("residual_std", torch.ones(self.target_dim))

    @property
    def line(self) -> Ridge:
        """Raw features (N, F) -> change of the physical state, and the mean reward, (N, P + 1): the common part."""
        return Ridge(self.input_mean, self.input_std, self.line_weight, self.line_bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What each member adds to the line, in units of what the line leaves.

        Raw features (E, N, F) or (N, F) -> mean and log-variance (E, N, P + 1), fall logit (E, N).
        """
        value = (features - self.input_mean) / self.input_std
        value = value.expand(self.members, *value.shape[-2:])
        for layer in self.layers[:-1]:
            value = functional.silu(layer(value))
        output = self.layers[-1](value)
        mean, log_variance, fall_logit = output.split([self.target_dim, self.target_dim, 1], dim=-1)
        lower, upper = LOG_VARIANCE_BOUNDS
        log_variance = upper - functional.softplus(upper - log_variance)
        log_variance = lower + functional.softplus(log_variance - lower)
        return mean, log_variance, fall_logit.squeeze(-1)

    def predict(self, features: Tensor, physical: Tensor) -> DynamicsPrediction:
        """In physical units; features (E, N, F) or (N, F), physical (E, N, P) or (N, P)."""
        mean, log_variance, fall_logit = self(features)
        outcome = self.line(features) + mean * self.residual_std
        std = (0.5 * log_variance).exp() * self.residual_std
        next_physical = outcome[..., : self.physical_dim] + physical
        return DynamicsPrediction(
            torch.cat([next_physical, outcome[..., self.physical_dim :]], dim=-1), std, fall_logit.sigmoid()
        )

    def keep(self, members: Tensor) -> DynamicsEnsemble:
        """A new ensemble of the given members (K,) only."""
        fresh = DynamicsEnsemble(
            len(self.input_mean), self.physical_dim, len(members), self.hidden_dims, torch.Generator()
        )
        chosen = {
            name: value[members] if name.startswith("layers.") else value for name, value in self.state_dict().items()
        }
        fresh.load_state_dict(chosen)
        return fresh


@dataclass(frozen=True)
class DynamicsPrediction:
    """What each member expects of one step.

    Attributes:
        outcome: (E, N, P + 1), next physical state and reward, mean. std: their standard deviations.
        fall_probability: (E, N).
    """

    outcome: Tensor
    std: Tensor
    fall_probability: Tensor


def dynamics_features(observation: Tensor, physical: Tensor, action: Tensor, past: Tensor) -> Tensor:
    """Input of the model: (N, O), (N, P), (N, A), (N, K, P + A) -> (N, F).

    The base velocity is part of the state although no sensor measures it: without it the model has no momentum, and
    predicts on slipping feet the speed that the joints seem to give (docs/lab_notes.md has what that cost).
    """
    return torch.cat([observation, physical, action, past.flatten(1)], dim=1)


# ---- Fitting ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DynamicsFit:
    """A fitted model and what it was judged by.

    Attributes:
        model: the elites. train_rows, holdout_rows, report_rows: the split by episode (`EpisodeSplit`).
        holdout_error: (E,) squared error of every member trained, before selection, relative to the line's.
        curve: held-out error a epoch, mean over members.
    """

    model: DynamicsEnsemble
    train_rows: Tensor
    holdout_rows: Tensor
    report_rows: Tensor
    holdout_error: tuple[float, ...]
    curve: tuple[float, ...]


def member_loss(
    model: DynamicsEnsemble, features: Tensor, target: Tensor, fell: Tensor, settings: DynamicsSettings
) -> Tensor:
    """Sum of the members' losses; features (E, B, F), standardised residual (E, B, P + 1), fell (E, B) in {0, 1}."""
    mean, log_variance, fall_logit = model(features)

    # Gaussian negative log-likelihood, each error weighed by var^beta so that hard outputs keep their gradient:
    # L_nll = E[ sg(var)^beta * 1/2 ( (y - mu)^2 / var + log var ) ]
    inverse_variance = (-log_variance).exp()
    likelihood = 0.5 * ((target - mean).square() * inverse_variance + log_variance)
    likelihood = likelihood * (settings.variance_weighting * log_variance).detach().exp()

    # Falls: L_fall = binary cross-entropy, unweighted, so that the probability is calibrated.
    fall = functional.binary_cross_entropy_with_logits(fall_logit, fell, reduction="none")

    return (likelihood.mean(-1) + settings.termination_weight * fall).mean(-1).sum()


def member_step(
    model: DynamicsEnsemble,
    optimizer: torch.optim.Optimizer,
    features: Tensor,
    target: Tensor,
    fell: Tensor,
    settings: DynamicsSettings,
) -> None:
    """One gradient step of every member on its own batch; shapes as in `member_loss`."""
    loss = member_loss(model, features, target, fell, settings)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def fit_dynamics(
    transitions: Transitions,
    settings: DynamicsSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
    keeper: Keeper = NOTHING_KEPT,
) -> DynamicsFit:
    """Fit the ensemble on logged transitions and keep the elites by their error on episodes held out."""
    features = dynamics_features(transitions.observation, transitions.physical, transitions.action, transitions.past)
    change = transitions.next_physical - transitions.physical
    target = torch.cat([change, transitions.reward[:, None]], dim=1)
    fell = transitions.terminated.float()
    split = split_with_report(transitions, settings.holdout_fraction, settings.report_fraction, generator)
    train_rows, holdout_rows = split.train, split.holdout

    model = DynamicsEnsemble(features.shape[1], change.shape[1], settings.members, settings.hidden_dims, generator)
    _fit_line(model, features[train_rows], target[train_rows])
    target = (target - model.line(features)) / model.residual_std

    steps_an_epoch = max(1, len(train_rows) // settings.batch_size)
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * steps_an_epoch)
    parts = TrainingParts({"model": model}, {"optimizer": optimizer}, {"optimizer": schedule})
    best = BestMembers(model, settings.members)
    curve: list[float] = []
    finished, kept = False, keeper.kept()
    if kept is not None:
        parts.restore(kept)
        best.put(part_of(kept.tensors, "best"))
        curve, finished = kept.record["curve"], kept.record["finished"]
    while not finished:
        epoch = len(curve)
        order = torch.stack(
            [train_rows[torch.randperm(len(train_rows), generator=generator)] for _ in range(settings.members)]
        )
        for step in range(steps_an_epoch):
            rows = order[:, step * settings.batch_size : (step + 1) * settings.batch_size]
            member_step(model, optimizer, features[rows], target[rows], fell[rows], settings)
            schedule.step()
        error = _holdout_error(model, features[holdout_rows], target[holdout_rows])
        best.offer(error, epoch)
        curve.append(float(error.mean()))
        progress("dynamics", epoch + 1, settings.epochs, {"holdout_error": curve[-1]})
        finished = epoch - best.last_gain >= settings.patience or len(curve) == settings.epochs
        record = {"curve": curve, "finished": finished}
        keeper.keep(functools.partial(parts.state, record, under("best", best.tensors())), finished)
    elites = best.error.argsort()[: settings.elites]
    best.restore()
    errors = tuple(best.error.tolist())
    return DynamicsFit(model.keep(elites), train_rows, holdout_rows, split.report, errors, tuple(curve))


def _fit_line(model: DynamicsEnsemble, features: Tensor, target: Tensor) -> None:
    line = fit_ridge(features, target)
    model.input_mean.copy_(line.input_mean)
    model.input_std.copy_(line.input_std)
    # The reward is a bounded kernel of errors: a line through it extrapolates to commands that it never saw, and fails.
    model.line_weight[:, :-1].copy_(line.weight[:, :-1])
    model.line_bias.copy_(line.bias)
    model.residual_std.copy_(column_spread(target - model.line(features)))


@torch.no_grad()
def _holdout_error(model: DynamicsEnsemble, features: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of each member (E,), as a share of what the line leaves on the training episodes."""
    total = torch.zeros(model.members)
    for part, wanted in zip(features.split(4096), target.split(4096), strict=True):
        mean, _, _ = model(part)
        total += (mean - wanted).square().mean(-1).sum(-1)
    return total / len(features)
