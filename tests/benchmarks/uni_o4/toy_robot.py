"""A robot that needs no simulator: a point in the plane that is pushed about, behind the seams of a Gymnasium one.

state (p [m], the rest zero), p' = p + 0.1 clip(a), reward = 1 + p_x after the step, the end where p_x > 0.6 or after 40
steps. The first two columns of the observation are p.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.uni_o4.logged_steps import LoggedSteps
from benchmarks.uni_o4.robots import BenchmarkRobot

STEPS = 40
EDGE_M = 0.6


class ToyEnvironment:
    """One environment; `reset` is a function of its seed alone."""

    def __init__(self, robot: BenchmarkRobot) -> None:
        self._width = robot.observation_dim
        self._state, self._steps = np.zeros(2), 0

    def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
        self._state, self._steps = np.random.default_rng(seed).uniform(-0.5, 0.5, 2), 0
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        assert np.abs(action).max() <= 1.0, "an action beyond the limits reached the environment"
        self._state = self._state + 0.1 * np.asarray(action, dtype=np.float64)[:2]
        self._steps += 1
        terminated = bool(self._state[0] > EDGE_M)
        truncated = self._steps == STEPS and not terminated
        return self._observation(), float(1.0 + self._state[0]), terminated, truncated, {}

    def close(self) -> None:
        pass

    def _observation(self) -> np.ndarray:
        observation = np.zeros(self._width)
        observation[:2] = self._state
        return observation


def toy_steps(robot: BenchmarkRobot, episodes: int, seed: int = 0) -> LoggedSteps:
    """Episodes of random actions about a drift of their own, so that a good part of them ends at the edge."""
    random, environment = np.random.default_rng(seed), ToyEnvironment(robot)
    rows: list[tuple[Any, ...]] = []
    for episode in range(episodes):
        observation, ended = environment.reset(seed=1000 + episode)[0], False
        drift = random.uniform(-0.4, 0.4, robot.action_dim)
        while not ended:
            action = (drift + random.uniform(-0.6, 0.6, robot.action_dim)).astype(np.float32)
            following, reward, terminated, truncated, _ = environment.step(action)
            rows.append((observation, following, action, reward, terminated, truncated, 0.0))
            observation, ended = following, terminated or truncated
    dtypes = (np.float32, np.float32, np.float32, np.float32, bool, bool, np.float32)
    columns = zip(*rows, strict=True)
    return LoggedSteps(*(np.asarray(column, dtype=dtype) for column, dtype in zip(columns, dtypes, strict=True)))
