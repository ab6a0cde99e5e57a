"""How much a round has to log, and its steps as the learners need them: in two episodes or more."""

from __future__ import annotations

from dataclasses import replace

from deploy.host.finetune_rollback import MINIMUM_EPISODES
from deploy.host.refine import LEAST_STEPS, RefineError
from policy.transitions import Transitions

LEAST_ROUND_STEPS = LEAST_STEPS
"""Of a round, for it is learned from on its own by PPO."""

LONGEST_EPISODE_S = 20.0
SHORTEST_EPISODE_S = 4.0
"""A random command is held for this long [s]."""


def episode_length_s(session_s: float) -> float:
    """Longest walk of a session that logs `session_s` of walking [s].

    Short enough that a round has as many walks as it takes to compare it with another (`MINIMUM_EPISODES`), and some
    for the learners to hold out.
    """
    return min(LONGEST_EPISODE_S, max(SHORTEST_EPISODE_S, session_s / MINIMUM_EPISODES))


def require_enough_steps(steps: int, rounds: int) -> None:
    """Refuse, before the robot moves, rounds that nothing could be learned from.

    Raises:
        RefineError
    """
    share = -(-steps // rounds)
    if share < LEAST_ROUND_STEPS:
        raise RefineError(
            f"at least {LEAST_ROUND_STEPS} policy steps in each of {rounds} rounds",
            f"{share} in each, {steps} in all",
            "Give more --steps, or fewer --rounds; some thousands a round are what it takes to gain something.",
        )


def in_two_episodes(steps: Transitions) -> Transitions:
    """The same steps, one single episode cut in the middle: learners hold one episode out, and one is left to learn.

    The first half then ends as if the recording had stopped there: V of the next state counts.
    """
    if len(steps) < 2 or len(steps.episode.unique()) > 1:
        return steps
    middle = len(steps) // 2
    episode, truncated = steps.episode.clone(), steps.truncated.clone()
    episode[middle:] += 1
    truncated[middle - 1] = True
    return replace(steps, episode=episode, truncated=truncated)
