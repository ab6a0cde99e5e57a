"""What share of a gap was closed, and how sure that is.

    gap(condition)         = R_oracle - R_pre
    closed(condition)      = (mean over seeds of R_refined - R_pre) / gap

Every policy of a condition walks the same episodes, so that R_pre, R_refined and R_oracle rise and fall together with
the episodes that are drawn. Each condition has one oracle, that of the seed whose policy was best on episodes held out
for choosing: PPO's luck of a seed is in no denominator. A gap counts only if it is larger than its own paired interval
is wide: the share of a smaller one is mostly noise over noise.

The interval of a share is a bootstrap over episodes (grounds, where episodes share them) and over the seeds of logging
and refining; with few seeds it is too narrow, and with one it knows nothing of what another seed would have given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim.twin_batch.resampling import central_interval, draw_weights

_DRAWS = 4000


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval, and the bootstrap draws (D,) that the interval is of."""

    value: float
    interval: tuple[float, float]
    draws: np.ndarray

    @property
    def is_above_its_interval(self) -> bool:
        """Whether it is larger than its interval is wide."""
        low, high = self.interval
        return self.value > high - low


@dataclass(frozen=True, eq=False)
class ConditionReturns:
    """Returns on the E common episodes of one condition.

    Attributes:
        before, oracle: (E,).
        refined: (E,) by seed.
        grounds: (E,) numbers of the episodes' grounds.
    """

    before: np.ndarray
    oracle: np.ndarray
    refined: Mapping[int, np.ndarray]
    grounds: np.ndarray

    def gap(self) -> Estimate:
        """Of the oracle to the start, paired."""
        difference = self.oracle - self.before
        draws = draw_weights(self.grounds, np.random.default_rng(0), _DRAWS) @ difference
        return Estimate(float(difference.mean()), central_interval(draws), draws)

    def shares(self) -> dict[int, float]:
        """Share of the gap that each seed closed."""
        gap = self.oracle.mean() - self.before.mean()
        return {seed: float((after.mean() - self.before.mean()) / gap) for seed, after in self.refined.items()}

    def closed(self, draw_seed: int) -> Estimate:
        """Share of the gap that the seeds' mean closed.

        Args:
            draw_seed: of the bootstrap; conditions that are put together need different ones.
        """
        generator = np.random.default_rng([1, draw_seed])
        episodes = draw_weights(self.grounds, generator, _DRAWS)
        seeds = draw_weights(np.arange(len(self.refined)), generator, _DRAWS)
        after = np.stack(list(self.refined.values()))
        before, oracle = episodes @ self.before, episodes @ self.oracle
        refined = ((episodes @ after.T) * seeds).sum(axis=1)
        draws = (refined - before) / (oracle - before)
        return Estimate(float(np.mean(list(self.shares().values()))), central_interval(draws), draws)


def mean_closed(closed: Sequence[Estimate]) -> Estimate:
    """Mean over conditions, each with a bootstrap of its own."""
    draws = np.mean([one.draws for one in closed], axis=0)
    return Estimate(float(np.mean([one.value for one in closed])), central_interval(draws), draws)
