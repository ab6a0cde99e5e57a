"""Policies on the way of an offline improvement, what the offline evaluation thinks of each, and which is taken."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Literal

from torch import Tensor

from policy.networks import GaussianActor, ValueNetwork
from policy.trainer_state import TrainerState, pack_module, unpack_module
from policy.uni_o4.evaluation import Interval, PolicyScore
from policy.uni_o4.keeping import TrainingParts
from policy.uni_o4.ppo import UpdateStatistics

# ---- Gate ------------------------------------------------------------------------------------------------------------

Gate = Literal["mean", "lower_bound", "always"]


def passes(gain: Interval, gate: Gate) -> bool:
    """Whether a paired gain is enough for a policy to take the place of the one before."""
    return gate == "always" or (gain.mean if gate == "mean" else gain.lower) > 0.0


# ---- Candidates ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A policy on the way, and what the offline evaluation thinks of it.

    Attributes:
        name: where it comes from. kl: from the logged behaviour [nat]. score: by offline policy evaluation.
        gain: paired difference to the start. statistics: of the update that made it; None for the start.
        value: V as it was trained along with it; None where that is the V of the logs.
    """

    name: str
    actor: GaussianActor
    kl: float
    score: PolicyScore
    gain: Interval
    statistics: UpdateStatistics | None
    value: ValueNetwork | None = None


@dataclass(frozen=True)
class Improvement:
    """Every candidate, and the value that all of them were judged by.

    Attributes:
        candidates: the start first, then in the order in which they were made.
        fitted_value: V of the logs.
        gate: what a gain must show: a positive mean, as published, or an interval wholly above zero; `always` asks for
            nothing (the ablation without offline evaluation).
    """

    candidates: tuple[Candidate, ...]
    fitted_value: ValueNetwork
    gate: Gate = "lower_bound"

    @property
    def start(self) -> Candidate:
        return self.candidates[0]

    @property
    def best(self) -> Candidate:
        """The highest score among the candidates that pass the gate; the start where none does."""
        better = [candidate for candidate in self.candidates[1:] if passes(candidate.gain, self.gate)]
        return max(better, key=lambda candidate: candidate.score.mean, default=self.start)

    @property
    def value(self) -> ValueNetwork:
        """V of the best candidate, for online learning to go on with; that of the logs where the start stays."""
        value = self.best.value
        return self.fitted_value if value is None else value

    @property
    def accepted(self) -> bool:
        """Whether any candidate passed the gate."""
        return self.best is not self.start


# ---- Kept ------------------------------------------------------------------------------------------------------------


def state_with_candidates(
    parts: TrainingParts,
    candidates: Sequence[Candidate],
    record: Mapping[str, Any],
    more: Mapping[str, Tensor] = MappingProxyType({}),
) -> TrainerState:
    """The state of an improvement, for `unpack_candidates` to find the candidates in again, with more tensors."""
    tensors = dict(more)
    for place, candidate in enumerate(candidates):
        tensors.update(pack_module(f"candidate{place}.actor", candidate.actor))
        tensors[f"candidate{place}.score"] = candidate.score.per_start
        if candidate.value is not None:
            tensors.update(pack_module(f"candidate{place}.value", candidate.value))
    return parts.state({**record, "candidates": [_record(candidate) for candidate in candidates]}, tensors)


def unpack_candidates(state: TrainerState, actor: GaussianActor, value: ValueNetwork | None) -> list[Candidate]:
    """The candidates that `state_with_candidates` was given; the networks, left as they are, say the shapes."""
    candidates = []
    for place, record in enumerate(state.record["candidates"]):
        its_actor, its_value = copy.deepcopy(actor), copy.deepcopy(value)
        unpack_module(f"candidate{place}.actor", its_actor, state.tensors)
        if its_value is not None:
            unpack_module(f"candidate{place}.value", its_value, state.tensors)
        statistics = record["statistics"]
        candidates.append(
            Candidate(
                record["name"],
                its_actor,
                record["kl"],
                PolicyScore(state.tensors[f"candidate{place}.score"], Interval(**record["score"])),
                Interval(**record["gain"]),
                None if statistics is None else UpdateStatistics(**statistics),
                its_value,
            )
        )
    return candidates


def _record(candidate: Candidate) -> dict[str, Any]:
    statistics = candidate.statistics
    return {
        "name": candidate.name,
        "kl": candidate.kl,
        "score": asdict(candidate.score.interval),
        "gain": asdict(candidate.gain),
        "statistics": None if statistics is None else asdict(statistics),
    }
