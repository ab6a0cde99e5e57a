"""How the benchmark's online learning goes."""

from __future__ import annotations

from dataclasses import dataclass

from policy.uni_o4.online import OnlineSettings
from policy.uni_o4.ppo import PpoSettings
from policy.uni_o4.settings import require


@dataclass(frozen=True)
class FinetuneSettings:
    """How online learning goes.

    Attributes:
        steps: environment steps. iteration_steps: those between two updates, in `episodes_beside` environments.
        evaluation_interval: steps between two evaluations, at the next end of an iteration.
        carried, cold: the learner from an offline policy, and from scratch.
        cold_hidden_dims, cold_std: of the networks from scratch.
        discount: gamma of the reward scale from scratch.
    """

    steps: int = 200_000
    iteration_steps: int = 4096
    episodes_beside: int = 4
    evaluation_interval: int = 20_000
    carried: OnlineSettings = OnlineSettings(
        ppo=PpoSettings(epochs=10, minibatch_size=512, actor_learning_rate=1e-4), kl_limit=0.02
    )
    cold: OnlineSettings = OnlineSettings(
        ppo=PpoSettings(epochs=10, minibatch_size=256, actor_learning_rate=3e-4), kl_limit=0.05
    )
    cold_hidden_dims: tuple[int, ...] = (256, 256)
    cold_std: float = 0.6
    discount: float = 0.99

    def __post_init__(self) -> None:
        require(self, "steps", 1)
        require(self, "iteration_steps", self.episodes_beside)
        require(self, "episodes_beside", 1)
        require(self, "evaluation_interval", 1)
