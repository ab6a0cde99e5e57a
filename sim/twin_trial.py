"""A candidate's trial on the twin: the same walks for it and the incumbent, pair by pair, as evidence for the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Optional

from policy.candidate_gate import PairedWalks, Trial
from sim.evaluate import Evaluation, evaluate_bundle, paired_difference

_SEED = 700_000
"""Far from the seeds of logging, of the demo's trials and of its figures: no walk is used twice."""


def paired_walks(incumbent: Evaluation, candidate: Evaluation, must_gain: bool) -> PairedWalks:
    """Two evaluations as pairs.

    Args:
        must_gain: whether the twin stands for the ground that was learned for (see `PairedWalks`).

    Raises:
        EvaluationError: the two were not measured on the same episodes.
    """
    paired_difference(incumbent, candidate)  # refuses unequal walks
    return PairedWalks(
        candidate=tuple(candidate.returns.tolist()),
        incumbent=tuple(incumbent.returns.tolist()),
        candidate_fell=tuple(episode.fell for episode in candidate.episodes),
        incumbent_fell=tuple(episode.fell for episode in incumbent.episodes),
        must_gain=must_gain,
    )


def twin_trial(
    condition: str,
    walks: int,
    seed: int,
    episode_s: float = 10.0,
    workers: int = 2,
    progress: Optional[Callable[[int, int], None]] = None,
) -> Trial:
    """A trial on a twin of other ground than is learned for: the candidate must not be clearly worse there.

    Args:
        walks: of each policy. seed: the walks depend on it, and on nothing else.
    """

    def trial(candidate: Path, incumbent: Path) -> PairedWalks:
        first, second = (
            evaluate_bundle(bundle, condition, walks, _SEED + seed, episode_s, workers=workers, progress=progress)
            for bundle in (incumbent, candidate)
        )
        return paired_walks(first, second, must_gain=False)

    return trial
