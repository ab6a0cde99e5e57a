"""Where branches begin, iteration after iteration: those that stand may go on, the others leave the logs anew.

A branch of twenty steps never meets what the policy does to itself in a hundred. Branches that go on bring the states
of the policy as it is now into the batch, and V learns what they are worth.
"""

from __future__ import annotations

import torch
from torch import Tensor

from policy.transitions import Transitions
from policy.uni_o4.ensemble_rollouts import BranchStarts, Rollout


class BranchCourse:
    """The starts of one iteration after the other.

    Args:
        transitions: the logs. count: branches. continuations: iterations in which a branch may go on where it ended.
        beginnings: share of those leaving the logs that leave the first step of an episode.
    """

    def __init__(self, transitions: Transitions, count: int, continuations: int, beginnings: float) -> None:
        self._transitions, self._count, self._continuations = transitions, count, continuations
        self._beginnings, self._first = beginnings, transitions.first_rows()
        self._ends = BranchStarts.at(transitions, torch.zeros(count, dtype=torch.long))
        self._left = torch.zeros(count, dtype=torch.long)

    def next(self, generator: torch.Generator) -> BranchStarts:
        """Logged states drawn at random, but for the branches that go on."""
        rows = torch.randint(len(self._transitions), (self._count,), generator=generator)
        if self._beginnings:
            begins = torch.rand(self._count, generator=generator) < self._beginnings
            first = self._first[torch.randint(len(self._first), (self._count,), generator=generator)]
            rows = torch.where(begins, first, rows)
        fresh, going_on = BranchStarts.at(self._transitions, rows), self._left > 0
        # One count a branch: continuations left; a fresh branch gets all of them once it has ended standing.
        self._left = torch.where(going_on, self._left - 1, self._continuations)
        return self._ends.where(going_on, fresh)

    def ended(self, rollout: Rollout) -> None:
        """Take over where the branches stand; the fallen ones have no future."""
        stands = rollout.alive[-1] & ~rollout.terminated[-1]
        self._ends, self._left = rollout.ends, self._left * stands

    def tensors(self) -> dict[str, Tensor]:
        """Everything that `restore` needs to go on bit for bit."""
        return {"left": self._left, **vars(self._ends)} if self._continuations else {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `tensors` gave."""
        if self._continuations:
            rest = dict(tensors)
            self._left = rest.pop("left")
            self._ends = BranchStarts(**rest)
