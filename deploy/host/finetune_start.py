"""Where a round's learner starts: from the state of a round before, else from the stage before, else fitted anew."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

from deploy.host.refine import RefineError
from deploy.host.refine_outputs import trainer_state_path
from policy.bundle import read_bundle
from policy.graph import PolicyGraph
from policy.networks import ValueNetwork
from policy.trainer_state import TrainerState, TrainerStateError, load_trainer_state, require_match, unpack_module
from policy.transitions import Transitions
from policy.uni_o4.online import ModelSettings, OnlineLearner, OnlineSettings
from policy.uni_o4.settings import seeded_generator
from policy.uni_o4.value import RewardScale, fit_reward_scale, fit_value


def continued_learner(state: Path, data_sha256: str, graph: PolicyGraph, settings: OnlineSettings) -> OnlineLearner:
    """The learner as a round left it, bit for bit; data_sha256 is that of the round's own data set.

    Raises:
        TrainerStateError: the state was made from other data or settings.
    """
    value = ValueNetwork(graph.contract.observation_dim, _hidden_dims(state))
    learner = OnlineLearner(graph.actor, value, RewardScale(1.0), settings)
    learner.load(state, data_sha256)
    return learner


def first_learner(
    bundle: Path, graph: PolicyGraph, steps: Transitions, settings: OnlineSettings, model: ModelSettings
) -> OnlineLearner:
    """A learner on a bundle that another stage made.

    Value and reward scale come from the trainer state beside the bundle, for a cold critic costs more than the whole
    stage can win; where there is none they are fitted to the first round's steps.

    Raises:
        RefineError: see `state_of_stage_before`.
    """
    state = state_of_stage_before(bundle)
    if state is None:
        scale = fit_reward_scale(steps, model.value.discount)
        fitted = fit_value(steps, scale, model.value, seeded_generator(settings.seed))
        return OnlineLearner(graph.actor, fitted.value, scale, settings)
    value = ValueNetwork(graph.contract.observation_dim, state.record["value_hidden_dims"])
    unpack_module("value", value, state.tensors)
    return OnlineLearner(graph.actor, value, RewardScale(state.record["reward_scale"]), settings)


def state_of_stage_before(bundle: Path) -> Optional[TrainerState]:
    """The trainer state beside a bundle; None where there is none.

    Raises:
        RefineError: it belongs to another bundle.
    """
    path = trainer_state_path(bundle)
    if not path.exists():
        return None
    state = load_trainer_state(path)
    try:
        require_match(state.record, {"bundle_sha256": read_bundle(bundle).sha256})
    except TrainerStateError as error:
        remedy = f"Copy the trainer state that was written with {bundle}, or move {path} away: V is then fitted anew."
        raise RefineError(error.expected, f"{error.found} in {path}", remedy) from None
    return state


def _hidden_dims(learner_state: Path) -> tuple[int, ...]:
    """Widths of the hidden layers of the value network in a learner's state."""
    tensors = load_trainer_state(learner_state).tensors
    weights = sorted(
        (name for name in tensors if name.startswith("value.network.") and name.endswith(".weight")),
        key=lambda name: int(name.split(".")[2]),
    )
    return tuple(tensors[name].shape[0] for name in weights[:-1])
