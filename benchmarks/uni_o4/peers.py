"""What a user would pick instead, by d3rlpy: behaviour cloning, IQL and TD3+BC.

Networks (two layers of 256 units), batch, rates and what the papers do to observations and rewards are theirs, IQL's
cosine schedule on the actor included, stretched over the updates there are. What is not theirs is the number of
updates: the papers make a million. `PeerSettings.share_of_paper` is the part of it that a budget affords, and the
report prints it beside the scores; runs of the full number stand beside the shorter ones where somebody made them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from benchmarks.uni_o4.logged_steps import LoggedSteps
from benchmarks.uni_o4.robots import benchmark_package
from policy.uni_o4.settings import require

PeerMethod = Literal["bc", "iql", "td3bc"]
PEER_METHODS: tuple[PeerMethod, ...] = get_args(PeerMethod)

# Kostrikov et al. 2022, appendix B; Fujimoto and Gu 2021, appendix C. Behaviour cloning has no paper.
PAPER_UPDATES = {"iql": 1_000_000, "td3bc": 1_000_000}


@dataclass(frozen=True)
class PeerSettings:
    """How a peer is trained.

    Attributes:
        updates: gradient steps. cloning_updates: those of behaviour cloning, which needs fewer.
        batch_size: steps a gradient step.
        watch_interval: gradient steps between two looks at the policy, each with a checkpoint; the last may be shorter.
    """

    updates: int = 30_000
    cloning_updates: int = 30_000
    batch_size: int = 256
    watch_interval: int = 5_000

    def __post_init__(self) -> None:
        require(self, "updates", 1)
        require(self, "cloning_updates", 1)
        require(self, "batch_size", 1)
        require(self, "watch_interval", 1)

    def updates_of(self, method: PeerMethod) -> int:
        """Gradient steps of one method."""
        return self.cloning_updates if method == "bc" else self.updates

    def share_of_paper(self, method: PeerMethod) -> float | None:
        """Part of the paper's gradient steps; None where there is no paper."""
        return self.updates_of(method) / PAPER_UPDATES[method] if method in PAPER_UPDATES else None

    def record(self, method: PeerMethod) -> dict[str, Any]:
        """The settings that this method uses, as JSON values."""
        return {
            "updates": self.updates_of(method),
            "share_of_paper": self.share_of_paper(method),
            "batch_size": self.batch_size,
            "watch_interval": self.watch_interval,  # each stretch between two looks has luck of its own
        }


def d3rlpy_module() -> Any:
    """The d3rlpy package, told to log nothing but warnings.

    Raises:
        BenchmarkError: it is not installed.
    """
    package = benchmark_package("d3rlpy")
    structlog = benchmark_package("structlog")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return package


def peer_algorithm(method: PeerMethod, settings: PeerSettings, steps: LoggedSteps, scheduled: bool = True) -> Any:
    """The d3rlpy algorithm with fresh networks for this data set; `scheduled` lets IQL's actor rate fall to zero."""
    package = d3rlpy_module()
    standard = package.preprocessing.StandardObservationScaler(
        mean=steps.observations.mean(0), std=steps.observations.std(0)
    )
    if method == "bc":
        algorithm = package.algos.BCConfig(batch_size=settings.batch_size, observation_scaler=standard).create()
    elif method == "td3bc":
        # Fujimoto and Gu 2021: alpha 2.5, states standardised.
        algorithm = package.algos.TD3PlusBCConfig(batch_size=settings.batch_size, observation_scaler=standard).create()
    else:
        # Kostrikov et al. 2022, appendix B: expectile 0.7, temperature 3, rewards scaled to 1000 / (best - worst
        # return), the actor's rate along a cosine to zero.
        returns = steps.episode_returns()
        cosine = package.optimizers.CosineAnnealingLRFactory(T_max=settings.updates_of(method))
        algorithm = package.algos.IQLConfig(
            batch_size=settings.batch_size,
            actor_optim_factory=package.optimizers.AdamFactory(lr_scheduler_factory=cosine if scheduled else None),
            reward_scaler=package.preprocessing.ReturnBasedRewardScaler(
                return_max=float(returns.max()), return_min=float(returns.min()), multiplier=1000.0
            ),
        ).create()
    algorithm.create_impl((steps.observations.shape[1],), steps.actions.shape[1])
    return algorithm


def d3rlpy_data(steps: LoggedSteps) -> Any:
    """The data set as d3rlpy holds it; the last step of an episode that was cut short has no successor there."""
    return d3rlpy_module().dataset.MDPDataset(
        observations=steps.observations,
        actions=steps.actions,
        rewards=steps.rewards[:, None],
        terminals=steps.terminals.astype(np.float32),
        timeouts=(steps.ends & ~steps.terminals).astype(np.float32),
        action_space=d3rlpy_module().ActionSpace.CONTINUOUS,
    )


class PeerBatches:
    """Batches of uniformly drawn steps as d3rlpy's `update` takes them, gathered by column and not step by step."""

    def __init__(self, steps: LoggedSteps, batch_size: int) -> None:
        self._steps, self._batch_size = steps, batch_size
        self._type = d3rlpy_module().dataset.TransitionMiniBatch
        self._rewards, self._terminals = steps.rewards[:, None], steps.terminals[:, None].astype(np.float32)
        self._ones = np.ones((batch_size, 1), dtype=np.float32)

    def draw(self, random: np.random.Generator) -> Any:
        """One batch."""
        steps, rows = self._steps, random.integers(len(self._steps), size=self._batch_size)
        actions = steps.actions[rows]
        return self._type(
            observations=steps.observations[rows],
            actions=actions,
            rewards=self._rewards[rows],
            next_observations=steps.next_observations[rows],
            next_actions=np.zeros_like(actions),  # of no use to these methods
            terminals=self._terminals[rows],
            intervals=self._ones,
            transitions=(),
        )
