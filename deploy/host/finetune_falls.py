"""Whether a round's policy falls clearly more often than the incumbent: then nobody puts it on its feet again for more.

The comparison of returns (`finetune_rollback`) needs whole walks of both. On a robot every fall ends a session and asks
for a person, so falls are counted after each of them:

    falls of the round, k in s steps  |  falls of the incumbent, j in t steps       all k + j equally likely at any step
    chance of k or more on this side  =  P(X >= k),  X ~ B(k + j, s / (s + t))
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offline_data.log_reader import read_logs
from offline_data.log_schema import Ending, EventKind
from policy.candidate_gate import chance_of_at_least

LEAST_FALLS = 3
"""Fewer are an accident: one bad place on the ground, one push."""
CHANCE = 0.025
"""Of as many falls between equal policies. It is asked after every session of a round, so more often than once; with
none of the incumbent's, six falls in as many steps as it walked are enough, and three in a third of them."""


@dataclass(frozen=True)
class FallCount:
    """Falls in so many policy steps."""

    falls: int
    steps: int

    def __str__(self) -> str:
        return f"{self.falls} falls in {self.steps} steps"


def logged_falls(logs: Path) -> FallCount:
    """Of all logs below a folder; none where there is no log.

    Raises:
        LogError: a log that can not be read.
    """
    if not any(logs.rglob("*.mcap")):
        return FallCount(0, 0)
    found, failures = read_logs(logs)
    if failures:
        raise failures[0].error
    falls = sum(
        int(((log.event["kind"] == EventKind.EPISODE_END) & (log.event["ending"] == Ending.TERMINATED)).sum())
        for log in found
    )
    return FallCount(falls, sum(len(log.policy_tick) for log in found))


def falls_clearly_more(candidate: FallCount, incumbent: FallCount) -> bool:
    """Whether so many more falls are no accident."""
    if candidate.falls < LEAST_FALLS or not incumbent.steps:
        return False
    share = candidate.steps / (candidate.steps + incumbent.steps)
    return chance_of_at_least(candidate.falls, candidate.falls + incumbent.falls, share) <= CHANCE
