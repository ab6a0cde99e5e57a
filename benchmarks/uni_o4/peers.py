"""What a user would pick instead, by d3rlpy: behaviour cloning, IQL and TD3+BC, with their papers' settings.

d3rlpy's networks (two layers of 256 units) and update counts are the same for all three; what their papers do to
observations and rewards is done here too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from benchmarks.uni_o4.evaluate import BatchPolicy
from benchmarks.uni_o4.logged_steps import LoggedSteps
from benchmarks.uni_o4.robots import benchmark_package
from policy.uni_o4.settings import require

PeerMethod = Literal["bc", "iql", "td3bc"]
PEER_METHODS: tuple[PeerMethod, ...] = get_args(PeerMethod)

Watch = Callable[[int, BatchPolicy], None]
"""Called with the gradient steps so far and the policy as it is then."""


@dataclass(frozen=True)
class PeerSettings:
    """How a peer is trained.

    Attributes:
        updates: gradient steps. cloning_updates: those of behaviour cloning, which needs fewer.
        batch_size: steps a gradient step. watch_interval: gradient steps between two looks at the policy.
    """

    updates: int = 200_000
    cloning_updates: int = 100_000
    batch_size: int = 256
    watch_interval: int = 20_000

    def __post_init__(self) -> None:
        require(self, "updates", 1)
        require(self, "cloning_updates", 1)
        require(self, "batch_size", 1)
        require(self, "watch_interval", 1, min(self.updates, self.cloning_updates))


def d3rlpy_module() -> Any:
    """The d3rlpy package, told to log nothing but warnings.

    Raises:
        BenchmarkError: it is not installed.
    """
    package = benchmark_package("d3rlpy")
    structlog = benchmark_package("structlog")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    return package


def peer_algorithm(method: PeerMethod, settings: PeerSettings) -> Any:
    """The d3rlpy algorithm, not yet trained."""
    package = d3rlpy_module()
    standard = package.preprocessing.StandardObservationScaler()
    if method == "bc":
        return package.algos.BCConfig(batch_size=settings.batch_size, observation_scaler=standard).create()
    if method == "td3bc":
        # Fujimoto and Gu 2021: alpha 2.5, states standardised.
        return package.algos.TD3PlusBCConfig(batch_size=settings.batch_size, observation_scaler=standard).create()
    # Kostrikov et al. 2022, appendix B: expectile 0.7, temperature 3, rewards scaled to 1000 / (best - worst return).
    return package.algos.IQLConfig(
        batch_size=settings.batch_size,
        reward_scaler=package.preprocessing.ReturnBasedRewardScaler(multiplier=1000.0),
    ).create()


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


def learn_peer(method: PeerMethod, steps: LoggedSteps, settings: PeerSettings, seed: int, watch: Watch) -> Any:
    """Train a peer; returns the d3rlpy algorithm, whose `predict` is a `BatchPolicy`.

    d3rlpy draws from the global random states of torch and NumPy, which are seeded here.
    """
    package = d3rlpy_module()
    package.seed(seed)
    algorithm = peer_algorithm(method, settings)
    updates = settings.cloning_updates if method == "bc" else settings.updates
    algorithm.fit(
        d3rlpy_data(steps),
        n_steps=updates,
        n_steps_per_epoch=settings.watch_interval,
        logger_adapter=package.logging.NoopAdapterFactory(),
        show_progress=False,
        epoch_callback=lambda fitted, _, done: watch(done, fitted.predict),
    )
    return algorithm
