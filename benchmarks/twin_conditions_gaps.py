"""What share of a gap was closed, what was gained, and how sure that is.

    gap(condition)         = R_oracle - R_pre
    closed(condition)      = (mean over seeds of R_after - R_pre) / gap
    gain(condition)        = mean over seeds of R_after - R_before

Every policy of a condition walks the same episodes, so that all returns rise and fall together with the episodes that
are drawn. Each condition has one oracle, that of the seed whose policy was best on episodes held out for choosing:
PPO's luck of a seed is in no denominator. A gap counts only if it is larger than its own paired interval is wide: the
share of a smaller one is mostly noise over noise.

The interval of a share or gain is a bootstrap over episodes (grounds, where episodes share them) and over the seeds of
logging and learning; with few seeds it is too narrow, and with one it knows nothing of what another seed would have
given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim.twin_batch.resampling import central_interval, draw_weights

_DRAWS = 4000


@dataclass(frozen=True, eq=False)
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
        after: (E,) by seed.
        grounds: (E,) numbers of the episodes' grounds.
    """

    before: np.ndarray
    oracle: np.ndarray
    after: Mapping[int, np.ndarray]
    grounds: np.ndarray

    def gap(self) -> Estimate:
        """Of the oracle to the start, paired."""
        difference = self.oracle - self.before
        draws = draw_weights(self.grounds, np.random.default_rng(0), _DRAWS) @ difference
        return Estimate(float(difference.mean()), central_interval(draws), draws)

    def shares(self) -> dict[int, float]:
        """Share of the gap that each seed closed."""
        gap = self.oracle.mean() - self.before.mean()
        return {seed: float((after.mean() - self.before.mean()) / gap) for seed, after in self.after.items()}

    def closed(self, draw_seed: int) -> Estimate:
        """Share of the gap that the seeds' mean closed.

        Args:
            draw_seed: of the bootstrap; conditions that are put together need different ones.
        """
        episodes, seeds = _weights(self.grounds, len(self.after), draw_seed)
        after = np.stack(list(self.after.values()))
        before, oracle = episodes @ self.before, episodes @ self.oracle
        learned = ((episodes @ after.T) * seeds).sum(axis=1)
        draws = (learned - before) / (oracle - before)
        return Estimate(float(np.mean(list(self.shares().values()))), central_interval(draws), draws)


def mean_gain(differences: Mapping[int, np.ndarray], grounds: np.ndarray, draw_seed: int) -> Estimate:
    """Mean over seeds of paired differences in return.

    Args:
        differences: (E,) by seed. grounds: (E,) numbers of the episodes' grounds.
        draw_seed: see `ConditionReturns.closed`.
    """
    episodes, seeds = _weights(grounds, len(differences), draw_seed)
    each = np.stack(list(differences.values()))
    draws = ((episodes @ each.T) * seeds).sum(axis=1)
    return Estimate(float(each.mean()), central_interval(draws), draws)


def mean_of(conditions: Sequence[Estimate]) -> Estimate:
    """Mean over conditions, each with a bootstrap of its own."""
    draws = np.mean([one.draws for one in conditions], axis=0)
    return Estimate(float(np.mean([one.value for one in conditions])), central_interval(draws), draws)


def _weights(grounds: np.ndarray, seeds: int, draw_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap weights (D, E) of the episodes and (D, S) of the seeds."""
    generator = np.random.default_rng([1, draw_seed])
    episodes = draw_weights(grounds, generator, _DRAWS)
    return episodes, draw_weights(np.arange(seeds), generator, _DRAWS)
