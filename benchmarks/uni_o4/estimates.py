"""What an offline evaluation believes about a policy: a mean and its spread; and how policies are ranked by it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from torch import Tensor

# Two-sided 90 % quantile of Student's t by the number of values, with one degree of freedom less (any table of it).
_STUDENT_90 = {2: 6.314, 3: 2.920, 4: 2.353, 5: 2.132, 6: 2.015, 7: 1.943, 8: 1.895, 9: 1.860, 10: 1.833}


@dataclass(frozen=True)
class Estimate:
    """A normal belief about a return.

    Attributes:
        rank: what policies are put in order by; the mean where it is None.
    """

    mean: float
    deviation: float
    rank: float | None = None

    def interval(self, confidence: float) -> tuple[float, float]:
        """Two-sided."""
        half = quantile(confidence) * self.deviation
        return self.mean - half, self.mean + half

    @property
    def by_rank(self) -> float:
        """What policies are put in order by."""
        return self.mean if self.rank is None else self.rank

    @staticmethod
    def of_one_more(values: Tensor) -> Estimate:
        """Values (members, starts), the truth being one more member: the spread is that of a member about their mean.

        The deviation is that of a draw from n members' estimated normal, sqrt(1 + 1 / n) s, stretched to the tails of
        Student's distribution at 90 % (`_STUDENT_90`). It ranks by the lowest member.
        """
        means = values.mean(1)
        stretch = _STUDENT_90[len(means)] / quantile(0.9)
        spread = float(means.std()) * math.sqrt(1.0 + 1.0 / len(means))
        return Estimate(float(means.mean()), stretch * spread, float(means.min()))

    def mixed_with(self, other: Estimate) -> Estimate:
        """Mean and deviation of the equal mixture of two beliefs: where they disagree, it is wider than either."""
        within = 0.5 * (self.deviation**2 + other.deviation**2)
        between = 0.25 * (self.mean - other.mean) ** 2
        return Estimate(0.5 * (self.mean + other.mean), math.sqrt(within + between))

    @staticmethod
    def of_members(values: Tensor) -> Estimate:
        """Values (members, starts): spread of the members' means, and the error of the mean over starts."""
        means = values.mean(1)
        over_members = float(means.var()) if len(means) > 1 else 0.0
        over_starts = float(values.mean(0).var()) / values.shape[1] if values.shape[1] > 1 else 0.0
        return Estimate(float(means.mean()), math.sqrt(over_members + over_starts))


def quantile(confidence: float) -> float:
    """Half width of the normal two-sided interval, in standard deviations."""
    return NormalDist().inv_cdf(0.5 + 0.5 * confidence)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's: Pearson's of the ranks, ties sharing their mean rank; zero where one side is constant."""
    one, two = _ranks(first), _ranks(second)
    one, two = one - one.mean(), two - two.mean()
    scale = math.sqrt(float((one**2).sum() * (two**2).sum()))
    return float((one * two).sum()) / scale if scale > 0.0 else 0.0


def _ranks(values: np.ndarray) -> np.ndarray:
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    return (count.cumsum() - 0.5 * (count - 1))[place]
