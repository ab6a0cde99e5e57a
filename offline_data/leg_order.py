"""Are the legs the ones that they are called? Told by physics: a joint goes where its own target sends it.

    target of the leg called i  ──►  position of the leg called j, one step later        correlation c[i, j]

The order of legs under which positions follow targets best is the one that was recorded: if that is not the order of
the names, somebody swapped legs. Diagonal legs of a trot do nearly the same, so another order must fit clearly better.
"""

from __future__ import annotations

import itertools

import numpy as np

LEAST_STEPS = 100
"""Policy steps (2 s): five strides, below which diagonal legs cannot be told apart."""
_LEAST_MOTION_RAD = 0.06
"""Standard deviation of the targets, and of the positions, mean over the joints: a robot that stands shows no order.
Positions of one that stands and explores had 0.04, those of real walks 0.076 and more in every stretch of 2 s."""
_CLEAR_ADVANTAGE = 0.3
"""In correlation, times the square root of the steps, for so do chance correlations shrink: 0.03 over 100 steps. What
it costs in false alarms and in swaps that go unnoticed is in docs/logs.md."""
_ORDERS = tuple(itertools.permutations(range(4)))
"""The first one is that of the names."""


def swapped_legs(joint_target: np.ndarray, joint_position: np.ndarray, legs: tuple[str, ...]) -> str | None:
    """What is wrong with the order of the legs; None where nothing is, or where it cannot be told.

    Args:
        joint_target: (T, 12) [rad], of consecutive policy steps.
        joint_position: (T, 12) [rad], one step later each.
        legs: the four names, in the order of the joints.
    """
    scores = _scores(joint_target, joint_position)
    if scores is None:
        return None
    best = int(np.argmax(scores))
    if scores[best] - scores[0] <= _CLEAR_ADVANTAGE / np.sqrt(len(joint_target)):
        return None
    followers = ", ".join(legs[other] for other in _ORDERS[best])
    return (
        f"swapped legs: the targets of {', '.join(legs)} are followed by {followers} "
        f"(correlation {scores[best]:.2f}, by name {scores[0]:.2f})"
    )


def leg_order_advantage(joint_target: np.ndarray, joint_position: np.ndarray) -> float | None:
    """By how much the order of the names fits better than the best other one; None where it cannot be told."""
    scores = _scores(joint_target, joint_position)
    return None if scores is None else float(scores[0] - scores[1:].max())


def _scores(joint_target: np.ndarray, joint_position: np.ndarray) -> np.ndarray | None:
    """(24,) correlation under each of the orders; None for too few steps or too little motion."""
    motion = min(values.std(axis=0).mean() for values in (joint_target, joint_position))
    if len(joint_target) < LEAST_STEPS or motion < _LEAST_MOTION_RAD:
        return None
    fit = _correlation(joint_target, joint_position)
    return np.array([np.mean([fit[leg, other] for leg, other in enumerate(order)]) for order in _ORDERS])


def _correlation(target: np.ndarray, position: np.ndarray) -> np.ndarray:
    """(4, 4) correlation of the targets of each leg with the positions of each, mean over hip, thigh and calf."""
    both = []
    for values in (target, position):
        centred = np.asarray(values, dtype=np.float64) - np.mean(values, axis=0, dtype=np.float64)
        both.append(centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-12))
    joints = (both[0].T @ both[1]).reshape(4, 3, 4, 3)
    return np.asarray(np.einsum("ikjk->ij", joints) / 3.0)
