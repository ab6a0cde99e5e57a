"""Whether a round's policy walked clearly worse than the one before it, by what both rounds logged.

Both logs come from stochastic policies under random commands of the same kind, so returns per episode may be compared
although no two episodes are alike. Whole episodes are resampled: the steps of one are no independent evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from offline_data.dataset import Dataset
from offline_data.log_schema import Ending

COMPLETE_SHARE = 0.9
"""An episode that did not fall counts if it is at least this share of the longest: one that was cut short, by the end
of the session or by a person, earned less for a reason that is not the policy's."""
MINIMUM_EPISODES = 5
"""Fewer on either side prove nothing: all of four below all of four happens by chance once in seventy times."""
_RESAMPLES = 4000
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class LoggedEpisode:
    """One logged episode: sum of its reward, its policy steps, and whether it ended in a fall."""

    episode_return: float
    steps: int
    fell: bool


@dataclass(frozen=True)
class ReturnDifference:
    """Mean return of an episode in the later log minus that in the earlier one, with its 95 % bootstrap interval."""

    mean: float
    lower: float
    upper: float

    @property
    def clearly_worse(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.upper < 0.0


def logged_episodes(data: Dataset) -> tuple[LoggedEpisode, ...]:
    """Every episode of a data set; steps whose reward is masked count as the mean of the episode's others.

    One without any reward to trust is left out.
    """
    reward, valid = np.asarray(data["reward"], dtype=np.float64), np.asarray(data["valid"], dtype=bool)
    found = []
    for episode in data.episodes:
        rows = slice(episode.start, episode.stop - 1)  # the final row holds no step
        trusted = reward[rows][valid[rows]]
        if len(trusted):
            steps = episode.stop - 1 - episode.start
            fell = episode.ending == Ending.TERMINATED.name.lower()
            found.append(LoggedEpisode(float(trusted.mean()) * steps, steps, fell))
    return tuple(found)


def compare_logged_returns(
    before: tuple[LoggedEpisode, ...], after: tuple[LoggedEpisode, ...]
) -> Optional[ReturnDifference]:
    """The difference of two logs, after minus before; None where either holds too few episodes to say.

    Episodes are resampled within each log, independently: percentile bootstrap, the same draws at every call.
    """
    longest = max((episode.steps for episode in (*before, *after)), default=0)
    first, second = (_complete_returns(episodes, longest) for episodes in (before, after))
    if min(len(first), len(second)) < MINIMUM_EPISODES:
        return None
    generator = np.random.default_rng(0)
    means = [
        returns[generator.integers(0, len(returns), (_RESAMPLES, len(returns)))].mean(axis=1)
        for returns in (first, second)
    ]
    tail = 0.5 * (1.0 - _CONFIDENCE)
    lower, upper = np.quantile(means[1] - means[0], [tail, 1.0 - tail])
    return ReturnDifference(float(second.mean() - first.mean()), float(lower), float(upper))


def _complete_returns(episodes: tuple[LoggedEpisode, ...], longest_steps: int) -> np.ndarray:
    """(E,) returns of the episodes that fell or came near the longest."""
    return np.array(
        [
            episode.episode_return
            for episode in episodes
            if episode.fell or episode.steps >= COMPLETE_SHARE * longest_steps
        ]
    )
