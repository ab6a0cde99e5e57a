"""How the benchmark's online learning goes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from policy.uni_o4.online import OnlineSettings
from policy.uni_o4.ppo import PpoSettings
from policy.uni_o4.settings import require


@dataclass(frozen=True)
class OnPolicySettings:
    """One way to learn on the policy's own steps.

    Attributes:
        learner: the updates. iteration_steps: environment steps between two of them.
    """

    learner: OnlineSettings
    iteration_steps: int = 4096

    def __post_init__(self) -> None:
        require(self, "iteration_steps", 1)


@dataclass(frozen=True)
class FinetuneSettings:
    """How online learning goes.

    Attributes:
        steps: environment steps. episodes_beside: environments that they are collected in, side by side; their
            episodes go on from one iteration to the next.
        evaluation_interval: steps between two evaluations, at the next end of an iteration.
        carried: ours from an offline policy. cold: the same learner from scratch.
        published: from an offline policy as Lei et al. 2024 have it (appendix): 2048 steps, minibatches of 128, 30
            epochs, clip 0.05, of the value too, rates 2e-5 and 2e-4, gradients of 0.5 at most, no limit on KL. Left
            out of what their code does: rates that fall to zero, an entropy bonus of 0.01, advantages computed once.
        cold_hidden_dims, cold_std: of the networks from scratch.
        discount: gamma of the reward scale from scratch.
        peer_steps_per_update: environment steps between two gradient steps of d3rlpy's IQL (one in its paper).
    """

    steps: int = 200_000
    episodes_beside: int = 4
    evaluation_interval: int = 20_000
    carried: OnPolicySettings = OnPolicySettings(
        OnlineSettings(ppo=PpoSettings(epochs=10, minibatch_size=512, actor_learning_rate=1e-4), kl_limit=0.02)
    )
    published: OnPolicySettings = OnPolicySettings(
        OnlineSettings(
            ppo=PpoSettings(
                clip=0.05,
                value_clip=0.05,
                epochs=30,
                minibatch_size=128,
                actor_learning_rate=2e-5,
                value_learning_rate=2e-4,
                max_gradient_norm=0.5,
            ),
            kl_limit=inf,
        ),
        iteration_steps=2048,
    )
    cold: OnPolicySettings = OnPolicySettings(
        OnlineSettings(ppo=PpoSettings(epochs=10, minibatch_size=256, actor_learning_rate=3e-4), kl_limit=0.05)
    )
    cold_hidden_dims: tuple[int, ...] = (256, 256)
    cold_std: float = 0.6
    discount: float = 0.99
    peer_steps_per_update: int = 10

    def __post_init__(self) -> None:
        require(self, "steps", 1)
        require(self, "episodes_beside", 1)
        require(self, "evaluation_interval", 1)
        require(self, "peer_steps_per_update", 1)

    def on_policy(self, method: str) -> OnPolicySettings:
        """How one of the learners on its own steps goes."""
        return {"ensemble": self.carried, "uni_o4": self.published, "scratch": self.cold}[method]

    def record(self, method: str) -> dict[str, Any]:
        """The settings that this method uses, as JSON values."""
        used: dict[str, Any] = {"steps": self.steps, "evaluation_interval": self.evaluation_interval}
        if method == "iql":
            return {**used, "peer_steps_per_update": self.peer_steps_per_update}
        used.update(episodes_beside=self.episodes_beside, **asdict(self.on_policy(method)))
        if method == "scratch":
            used.update(hidden_dims=self.cold_hidden_dims, std=self.cold_std, scale_discount=self.discount)
        return used
