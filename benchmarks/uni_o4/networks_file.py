"""What an offline trial leaves for online learning: networks, reward scale and standardisation in one file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from benchmarks.uni_o4.gymnasium_world import Standardization
from benchmarks.uni_o4.ours import Learned
from policy.networks import GaussianActor, ValueNetwork
from policy.trainer_state import TrainerState, load_trainer_state, pack_module, save_trainer_state, unpack_module
from policy.uni_o4.value import RewardScale


@dataclass(frozen=True)
class SavedPolicy:
    """A learned policy as it comes back from its file."""

    actor: GaussianActor
    value: ValueNetwork
    scale: RewardScale
    standardization: Standardization


def save_learned(path: Path, learned: Learned) -> None:
    """Write a policy of ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        **pack_module("actor", learned.actor),
        **pack_module("value", learned.value),
        "observation_mean": learned.standardization.mean,
        "observation_spread": learned.standardization.spread,
    }
    record = {
        "actor_hidden_dims": list(learned.actor.hidden_dims),
        "value_hidden_dims": list(learned.value.hidden_dims),
        "reward_scale": learned.scale.factor,
    }
    save_trainer_state(path, TrainerState(tensors, record))


def load_policy(path: Path) -> SavedPolicy:
    """Read what `save_learned` wrote."""
    state = load_trainer_state(path)
    mean, spread = state.tensors["observation_mean"], state.tensors["observation_spread"]
    action_dim = len(state.tensors["actor.log_std"])
    actor = GaussianActor(len(mean), action_dim, state.record["actor_hidden_dims"], 1.0)
    value = ValueNetwork(len(mean), state.record["value_hidden_dims"])
    unpack_module("actor", actor, state.tensors)
    unpack_module("value", value, state.tensors)
    return SavedPolicy(actor, value, RewardScale(state.record["reward_scale"]), Standardization(mean, spread))


def save_algorithm(path: Path, algorithm: Any) -> None:
    """Write the networks of a d3rlpy algorithm; its own files are pickles, which this project never reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, module in algorithm_modules(algorithm).items():
        tensors.update(pack_module(name, module))
    save_trainer_state(path, TrainerState(tensors, {}))


def load_algorithm(path: Path, algorithm: Any) -> None:
    """Put saved networks into a d3rlpy algorithm of the same kind."""
    tensors = load_trainer_state(path).tensors
    for name, module in algorithm_modules(algorithm).items():
        unpack_module(name, module, tensors)


def algorithm_modules(algorithm: Any) -> dict[str, nn.Module]:
    """The networks of a d3rlpy algorithm by name, its slow copies included."""
    modules = algorithm.impl.modules
    found = {field.name: getattr(modules, field.name) for field in fields(modules)}
    return {name: module for name, module in found.items() if isinstance(module, nn.Module)}
