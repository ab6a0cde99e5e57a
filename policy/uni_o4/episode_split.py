"""Which episodes a fit learns from, which ones choose what is kept of it, and which ones only judge it.

Whatever chose a stopping epoch, weights or members has been seen: errors there are smaller than on new episodes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from policy.transitions import Transitions, split_by_episode


@dataclass(frozen=True)
class EpisodeSplit:
    """Row indices; an episode is in one part only.

    Attributes:
        train: learned from. holdout: chooses what is kept. report: neither; empty where nothing was set aside.
    """

    train: Tensor
    holdout: Tensor
    report: Tensor


def split_with_report(
    transitions: Transitions, holdout_fraction: float, report_fraction: float, generator: torch.Generator
) -> EpisodeSplit:
    """Split by episode; the report's share is taken from what would be learned from, of which one episode stays.

    Raises:
        TransitionsError: fewer than 2 episodes.
    """
    train, holdout = split_by_episode(transitions, holdout_fraction, generator)
    names = transitions.episode[train].unique()
    wanted = max(1, round(report_fraction * len(transitions.episode.unique()))) if report_fraction > 0.0 else 0
    count = min(wanted, len(names) - 1)
    if count == 0:
        return EpisodeSplit(train, holdout, train[:0])
    aside = names[torch.randperm(len(names), generator=generator)[:count]]
    judges = torch.isin(transitions.episode[train], aside)
    return EpisodeSplit(train[~judges], holdout, train[judges])
