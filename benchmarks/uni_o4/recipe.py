"""How the benchmark's data are made: every number that a data set depends on, and the hash that its cache is keyed by.

D4RL's recipe (Fu et al. 2020, section 5.2) with our numbers: one soft actor-critic is trained from scratch;

    medium         steps of the policy at the first evaluation that reaches `medium_score`
    medium-replay  every step of the training until then
    medium-expert  the medium steps, then as many of the policy after `expert_steps`
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot
from policy.uni_o4.settings import require

DataSetName = Literal["medium", "medium-replay", "medium-expert"]
DATA_SETS: tuple[DataSetName, ...] = ("medium", "medium-replay", "medium-expert")

RECIPE_VERSION = 1
"""Raised with any change of code that makes other data of the same numbers; it is part of the hash."""


@dataclass(frozen=True)
class SacSettings:
    """Soft actor-critic (Haarnoja et al. 2018, arXiv 1812.05905), with that paper's values but for the two sizes.

    Layers and batches are half of that paper's 256, for four times as many gradient steps a second on one core: the
    data need a policy that walks somewhat, not the best one.

    Attributes:
        hidden_dims: widths of the hidden layers of actor and critics. batch_size: steps a gradient step.
        learning_rate: of Adam, for actor, critics and temperature. discount: gamma a step.
        target_rate: tau of the slowly following critics.
        random_steps: steps with uniformly random actions before learning starts.
        steps_per_update: environment steps between two gradient steps.
    """

    hidden_dims: tuple[int, ...] = (128, 128)
    batch_size: int = 128
    learning_rate: float = 3e-4
    discount: float = 0.99
    target_rate: float = 0.005
    random_steps: int = 5000
    steps_per_update: int = 1

    def __post_init__(self) -> None:
        require(self, "batch_size", 1)
        require(self, "discount", 0.0, 0.9999)
        require(self, "target_rate", 0.0, 1.0)
        require(self, "random_steps", 1)
        require(self, "steps_per_update", 1)


@dataclass(frozen=True)
class DataRecipe:
    """What one robot's data sets are made of.

    Attributes:
        robot: name. seed: of everything random in the data; learners have seeds of their own.
        sac: the learner. medium_score: normalised; D4RL's medium is about a third of an expert, and what behaviour
            cloning scores on its three sets (42.6, 52.9, 75.3; Kostrikov et al. 2022, table 1) lies above that.
        evaluation_interval: steps between two evaluations (and checkpoints), each at the next end of an episode.
        evaluation_episodes: of the sampling policy, for that is what the medium data hold.
        expert_steps: length of the whole training.
        logged_steps: rows of medium, and of each half of medium-expert.
    """

    robot: str
    seed: int = 0
    sac: SacSettings = field(default_factory=SacSettings)
    medium_score: float = 40.0
    evaluation_interval: int = 10_000
    evaluation_episodes: int = 5
    expert_steps: int = 1_000_000
    logged_steps: int = 200_000

    def __post_init__(self) -> None:
        benchmark_robot(self.robot)
        require(self, "seed", 0)
        require(self, "evaluation_interval", 1)
        require(self, "evaluation_episodes", 1)
        require(self, "expert_steps", self.sac.random_steps)
        require(self, "logged_steps", 1)

    def training_record(self) -> dict[str, Any]:
        """What the trained policies depend on, as JSON values."""
        record = asdict(self)
        del record["logged_steps"]
        return {"version": RECIPE_VERSION, "environment": benchmark_robot(self.robot).environment_id, **record}

    def training_key(self) -> str:
        """Names the training run; sets of another size come from the same one."""
        return _hash(self.training_record())

    def set_key(self, data_set: DataSetName) -> str:
        """Names one data set's file.

        Raises:
            BenchmarkError: there is no such set.
        """
        if data_set not in DATA_SETS:
            raise BenchmarkError(f"a data set of {', '.join(DATA_SETS)}", repr(data_set), "Correct the name.")
        return _hash({**self.training_record(), "set": data_set, "logged_steps": self.logged_steps})


def _hash(record: dict[str, Any]) -> str:
    """First 16 digits of the SHA-256 of the canonical JSON."""
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()[:16]
