"""What learners of ours start with: clones, transition model, value and critics, fitted once and kept on disk.

Each is keyed by its settings, the learner's seed, the data and the code, and has luck of its own; so the same
transition model serves every method of one seed, and the offline evaluation too, also after a restart. What a fit took
is kept beside it, and charged to each method that uses it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from benchmarks.uni_o4.gymnasium_world import (
    Standardization,
    gymnasium_observer,
    gymnasium_world,
    transitions_of,
)
from benchmarks.uni_o4.logged_steps import LoggedSteps
from benchmarks.uni_o4.provenance import code_that_computes
from benchmarks.uni_o4.results import Spent, Stopwatch, to_json
from benchmarks.uni_o4.termination import never
from policy.networks import GaussianActor, QNetwork, ValueNetwork
from policy.trainer_state import (
    TrainerState,
    TrainerStateError,
    load_trainer_state,
    pack_module,
    save_trainer_state,
    unpack_module,
)
from policy.transitions import Transitions
from policy.uni_o4.cloning import CloningFit, CloningSettings, clone_behavior, with_cloned_behavior
from policy.uni_o4.critics import Critics, CriticSettings, fit_critics
from policy.uni_o4.dynamics import DynamicsEnsemble, DynamicsPrediction, DynamicsSettings, fit_dynamics
from policy.uni_o4.ensemble_rollouts import FallRule, ModelWorld
from policy.uni_o4.settings import Progress, no_progress, seeded_generator
from policy.uni_o4.value import RewardScale, ValueSettings, fit_reward_scale, fit_value


def stream(seed: int, purpose: str) -> torch.Generator:
    """Luck of one purpose: that of another seed or purpose shares nothing with it."""
    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    return seeded_generator(int.from_bytes(digest[:6], "big"))


@dataclass(frozen=True)
class Preparation:
    """Everything that is learned before the policy.

    Attributes:
        transitions: with the best clone's distribution as the behaviour. clones, standardization: of the policy.
        scale: of the rewards. world: as learned from the log; None where it was not asked for.
        notes: figures of the fits.
    """

    transitions: Transitions
    standardization: Standardization
    clones: CloningFit
    scale: RewardScale
    world: ModelWorld | None
    notes: dict[str, Any]


@dataclass
class PreparationCache:
    """Fits of one data set in a folder.

    Attributes:
        folder: one for all data sets. data_sha256: of the steps.
        reused: what the fits took that were found here: to be charged to whoever uses them.
    """

    folder: Path
    data_sha256: str
    reused: Spent = field(default_factory=Spent)

    def clones(
        self, transitions: Transitions, settings: CloningSettings, seed: int, progress: Progress = no_progress
    ) -> CloningFit:
        """The cloned ensemble."""
        path = self._path("clones", settings, seed)
        state = self._load(path)
        if state is None:
            stopwatch = Stopwatch()
            fit = clone_behavior(transitions, settings, stream(seed, "clones"), progress)
            tensors: dict[str, torch.Tensor] = {}
            for place, member in enumerate(fit.members):
                tensors.update(pack_module(f"member{place}", member))
            self._save(path, tensors, {"holdout_log_prob": list(fit.holdout_log_prob)}, stopwatch)
            return fit
        widths = transitions.observation.shape[1], transitions.action.shape[1]
        members = [GaussianActor(*widths, settings.hidden_dims, settings.initial_std) for _ in range(settings.members)]
        for place, member in enumerate(members):
            unpack_module(f"member{place}", member, state.tensors)
        return CloningFit(tuple(members), tuple(state.record["holdout_log_prob"]))

    def dynamics(
        self, transitions: Transitions, settings: DynamicsSettings, seed: int, progress: Progress = no_progress
    ) -> tuple[DynamicsEnsemble, tuple[float, ...]]:
        """The elites, and the held-out error of every member trained."""
        path = self._path("dynamics", settings, seed)
        state = self._load(path)
        if state is None:
            stopwatch = Stopwatch()
            fit = fit_dynamics(transitions, settings, stream(seed, "dynamics"), progress)
            record = {"holdout_error": list(fit.holdout_error), "input_dim": len(fit.model.input_mean)}
            self._save(path, pack_module("model", fit.model), record, stopwatch)
            return fit.model, fit.holdout_error
        model = DynamicsEnsemble(
            state.record["input_dim"], transitions.physical.shape[1], settings.elites, settings.hidden_dims,
            torch.Generator(),
        )  # fmt: skip
        unpack_module("model", model, state.tensors)
        return model, tuple(state.record["holdout_error"])

    def value(
        self,
        transitions: Transitions,
        scale: RewardScale,
        settings: ValueSettings,
        seed: int,
        progress: Progress = no_progress,
    ) -> tuple[ValueNetwork, float]:
        """V of the behaviour, and the explained variance of held-out episodes' returns."""
        path = self._path("value", settings, seed)
        state = self._load(path)
        if state is None:
            stopwatch = Stopwatch()
            fit = fit_value(transitions, scale, settings, stream(seed, "value"), progress=progress)
            record = {"explained_variance": fit.explained_variance}
            self._save(path, pack_module("value", fit.value), record, stopwatch)
            return fit.value, fit.explained_variance
        value = ValueNetwork(transitions.observation.shape[1], settings.hidden_dims)
        unpack_module("value", value, state.tensors)
        return value, float(state.record["explained_variance"])

    def critics(
        self,
        transitions: Transitions,
        scale: RewardScale,
        settings: CriticSettings,
        seed: int,
        progress: Progress = no_progress,
    ) -> Critics:
        """The published critics, frozen. Like the value, they depend on the scale, which the data decide alone."""
        path = self._path("critics", settings, seed)
        state = self._load(path)
        if state is None:
            stopwatch = Stopwatch()
            critics = fit_critics(transitions, scale, settings, stream(seed, "critics"), progress)
            tensors: dict[str, torch.Tensor] = {}
            for name in ("first", "second", "value"):
                tensors.update(pack_module(name, getattr(critics, name)))
            self._save(path, tensors, {}, stopwatch)
            return critics
        widths = transitions.observation.shape[1], transitions.action.shape[1]
        first, second = (QNetwork(*widths, settings.action_value_dims) for _ in range(2))
        critics = Critics(first, second, ValueNetwork(widths[0], settings.value_dims))
        for name in ("first", "second", "value"):
            unpack_module(name, getattr(critics, name), state.tensors)
            getattr(critics, name).requires_grad_(False)
        return critics

    def _path(self, what: str, settings: Any, seed: int) -> Path:
        key = to_json([what, asdict(settings), seed, self.data_sha256, code_that_computes("ours")])
        return self.folder / f"{what}_{hashlib.sha256(key.encode()).hexdigest()[:16]}.safetensors"

    def _load(self, path: Path) -> TrainerState | None:
        if not path.exists():
            return None
        try:
            state = load_trainer_state(path)
        except TrainerStateError:
            path.unlink()
            return None
        self.reused += Spent(state.record["wall_s"], state.record["processor_s"])
        return state

    def _save(
        self, path: Path, tensors: Mapping[str, torch.Tensor], record: dict[str, Any], stopwatch: Stopwatch
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_trainer_state(path, TrainerState(tensors, {**record, **asdict(stopwatch.spent())}))


def prepare(
    steps: LoggedSteps,
    fell: FallRule,
    cloning: CloningSettings,
    discount: float,
    dynamics: DynamicsSettings | None,
    seed: int,
    cache: PreparationCache,
    progress: Progress = no_progress,
) -> Preparation:
    """Clone the behaviour and fit the transition model, if there are settings for one; `fell` ends episodes in it."""
    standardization = Standardization.of(steps)
    transitions = transitions_of(steps, standardization)
    clones = cache.clones(transitions, cloning, seed, progress)
    notes: dict[str, Any] = {"cloning_log_prob": list(clones.holdout_log_prob)}
    world = None
    if dynamics is not None:
        model, error = cache.dynamics(transitions, dynamics, seed, progress)
        world = gymnasium_world(model, transitions, standardization, fell)
        notes["dynamics_error"] = list(error)
    transitions = with_cloned_behavior(transitions, clones.best)
    scale = fit_reward_scale(transitions, discount)
    return Preparation(transitions, standardization, clones, scale, world, notes)


class StillModel:
    """A transition model in which nothing moves, for those to whom offline evaluation is a formality."""

    members = 1

    def predict(self, features: torch.Tensor, physical: torch.Tensor) -> DynamicsPrediction:
        """See `DynamicsEnsemble.predict`."""
        nothing = torch.zeros_like(physical[..., :1])
        outcome = torch.cat([physical, nothing], dim=-1)
        return DynamicsPrediction(outcome, torch.zeros_like(outcome), nothing.squeeze(-1))


def still_world(transitions: Transitions, standardization: Standardization) -> ModelWorld:
    """The world of the gate `always`: scores in it are computed, but decide nothing, and should cost nothing."""
    return ModelWorld(StillModel(), gymnasium_observer(transitions, standardization), never)
