"""Intervals and tests of the report: how much of a difference is luck of seeds, data sets and episodes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np

RESAMPLES = 4000
CONFIDENCE = 0.95
MOST_EXACT_EPISODES = 12  # up to here all sign patterns are tried, beyond it so many random ones as there are resamples

Scores = Mapping[str, Sequence[Sequence[float]]]
"""By method, for each seed the scores of its episodes."""


@dataclass(frozen=True)
class Measured:
    """A figure with its two-sided interval at `CONFIDENCE`."""

    value: float
    lower: float
    upper: float

    def verdict(self, at_least: float) -> str:
        """`met` or `MISSED` where the whole interval says so, else `open`."""
        if self.lower >= at_least:
            return "met"
        return "MISSED" if self.upper < at_least else "open"

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.lower:.2f}, {self.upper:.2f}]"


def ratio_to_best(sets: Sequence[Scores], method: str, others: Sequence[str]) -> tuple[str, Measured]:
    """The best of the others, and the method's mean score over its; means over sets of means over seeds.

    Resampled are the sets, the seeds of each method within each, and the episodes of each seed. The others compete for
    the best place in every resample anew.
    """
    random, count = np.random.default_rng(0), len(sets)
    means = {name: float(np.mean([_mean(scores[name]) for scores in sets])) for name in (method, *others)}
    best = max(others, key=means.__getitem__)
    chosen = random.integers(count, size=(RESAMPLES, count))
    drawn = {}
    for name in (method, *others):
        values = np.stack([_resampled(scores[name], RESAMPLES * count, random) for scores in sets])
        values = values.reshape(count, RESAMPLES, count)
        drawn[name] = np.take_along_axis(values, chosen[None], axis=0)[0].mean(1)
    theirs = np.max([drawn[name] for name in others], axis=0)
    ratios = np.divide(drawn[method], theirs, out=np.full(RESAMPLES, np.inf), where=theirs > 0.0)
    return best, _interval(means[method] / means[best], ratios)


def difference(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Measured:
    """Mean score of the first method less that of the second on one data set; seeds and episodes are resampled."""
    random = np.random.default_rng(0)
    drawn = _resampled(first, RESAMPLES, random) - _resampled(second, RESAMPLES, random)
    return _interval(_mean(first) - _mean(second), drawn)


def mean_figure(seeds: Sequence[np.ndarray], figure: Callable[[np.ndarray], float]) -> Measured:
    """Mean over seeds of a figure of each seed's rows (N, ...); rows are resampled within each seed, and the seeds."""
    random = np.random.default_rng(0)
    drawn = np.array(
        [[figure(rows[random.integers(len(rows), size=len(rows))]) for rows in seeds] for _ in range(RESAMPLES)]
    )
    chosen = random.integers(len(seeds), size=drawn.shape)
    means = np.take_along_axis(drawn, chosen, axis=1).mean(1)
    return _interval(float(np.mean([figure(rows) for rows in seeds])), means)


def share(outcomes: Sequence[bool]) -> Measured:
    """Share of what is true, with Wilson's interval (1927): it is wide for few, also where all of them are true."""
    count, hits = len(outcomes), sum(outcomes)
    z = NormalDist().inv_cdf(0.5 + 0.5 * CONFIDENCE)
    centre = (hits + 0.5 * z**2) / (count + z**2)
    half = z * math.sqrt(hits * (count - hits) / count + 0.25 * z**2) / (count + z**2)
    return Measured(hits / count, centre - half, centre + half)


def drop_probability(curve: Sequence[Sequence[float]]) -> float:
    """How probable the deepest fall below the start is if nothing has changed: small means a real drop.

    Each point of the curve holds the scores of the same episodes. Were the policy as good as at the start, each
    episode's difference could as well have the other sign; the signs of an episode are turned at all points together,
    and the deepest mean is compared with the deepest, so that many points are no more likely to show a drop than few
    (Westfall and Young 1993).
    """
    if len(curve) < 2:
        return 1.0
    gains = np.asarray(curve[1:], dtype=float) - np.asarray(curve[0], dtype=float)  # (points, episodes)
    lowest = _signs(gains.shape[1]) @ gains.T / gains.shape[1]  # (patterns, points)
    return float(np.mean(lowest.min(1) <= gains.mean(1).min() + 1e-9))


def gain_probability(start: Sequence[float], end: Sequence[float]) -> float:
    """How probable a gain as high as this is if nothing has changed: small means a real gain."""
    gains = np.asarray(end, dtype=float) - np.asarray(start, dtype=float)
    means = _signs(len(gains)) @ gains / len(gains)
    return float(np.mean(means >= gains.mean() - 1e-9))


def _signs(episodes: int) -> np.ndarray:
    """Patterns of +-1 (P, E), the one that was seen among them."""
    if episodes <= MOST_EXACT_EPISODES:
        return np.asarray(list(product((1.0, -1.0), repeat=episodes)))
    drawn = np.random.default_rng(0).choice((1.0, -1.0), size=(RESAMPLES, episodes))
    drawn[0] = 1.0
    return drawn


def _mean(seeds: Sequence[Sequence[float]]) -> float:
    return float(np.mean([np.mean(episodes) for episodes in seeds]))


def _resampled(seeds: Sequence[Sequence[float]], count: int, random: np.random.Generator) -> np.ndarray:
    """Means (count,) over seeds drawn with replacement, each of episodes drawn with replacement."""
    shape = (count, len(seeds))
    by_seed = []
    for each in seeds:
        episodes = np.asarray(each, dtype=float)
        by_seed.append(episodes[random.integers(len(episodes), size=(*shape, len(episodes)))].mean(-1))
    chosen = random.integers(len(seeds), size=shape)
    return np.take_along_axis(np.stack(by_seed), chosen[None], axis=0)[0].mean(1)


def _interval(value: float, drawn: np.ndarray) -> Measured:
    tail = 0.5 * (1.0 - CONFIDENCE)
    return Measured(value, float(np.quantile(drawn, tail)), float(np.quantile(drawn, 1.0 - tail)))
