"""Intervals of means over episodes that may share their ground.

On rough ground robots of one batch share a few grounds (`TwinBatch.grounds`): episodes over the same bumps are no
independent witnesses. So whole grounds are drawn, with replacement, and all episodes on a ground come with it. Where
every robot has a ground of its own this is the usual bootstrap over episodes.
"""

from __future__ import annotations

import numpy as np

_DRAWS = 4000


def draw_weights(grounds: np.ndarray, generator: np.random.Generator, draws: int = _DRAWS) -> np.ndarray:
    """How often each of E episodes occurs in each of D bootstrap samples: (D, E), rows divided by their sums.

    Args:
        grounds: (E,) number of each episode's ground.
    """
    _, ground = np.unique(grounds, return_inverse=True)
    count = int(ground.max()) + 1
    drawn = generator.multinomial(count, np.full(count, 1.0 / count), size=draws)[:, ground].astype(np.float64)
    weights: np.ndarray = drawn / drawn.sum(axis=1, keepdims=True)
    return weights


def central_interval(draws: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile interval of bootstrap draws (D,)."""
    low, high = np.quantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)


def mean_interval(values: np.ndarray, grounds: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of (E,) values of episodes on these grounds (E,); deterministic."""
    return central_interval(draw_weights(grounds, np.random.default_rng(0)) @ values)
