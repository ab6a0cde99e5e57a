"""The order of the legs by physics: every swap of a walk is seen, and nothing is claimed where nothing can be told."""

import itertools

import numpy as np
import pytest

from offline_data.leg_order import leg_order_advantage, swapped_legs

LEGS = ("FR", "FL", "RR", "RL")
ORDERS = list(itertools.permutations(range(4)))


def trot(steps: int, noise_rad: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    """Targets (T, 12) of a trot at 2.5 Hz, each with its own noise, and positions that follow by half a step each."""
    time_s = np.arange(steps + 1) / 50.0
    phase = np.repeat([0.0, 0.5, 0.5, 0.0], 3)  # diagonal legs together
    amplitude = np.tile([0.05, 0.2, 0.3], 4)
    target = amplitude * np.sin(2 * np.pi * (2.5 * time_s[:, None] + phase))
    target += noise_rad * np.random.default_rng(0).standard_normal(target.shape)
    position = np.zeros_like(target)
    for step in range(1, len(target)):
        position[step] = 0.5 * position[step - 1] + 0.5 * target[step - 1]
    return target[:-1], position[1:]


@pytest.mark.parametrize("order", ORDERS[1:])
def test_every_other_order_is_seen(order: tuple[int, ...]) -> None:
    target, position = trot(150)
    # Under the name of leg i stands what was measured of leg order[i].
    swapped = position.reshape(-1, 4, 3)[:, list(order)].reshape(position.shape)
    reason = swapped_legs(target, swapped, LEGS)
    assert reason is not None
    followers = ", ".join(LEGS[order.index(leg)] for leg in range(4))
    assert f"the targets of FR, FL, RR, RL are followed by {followers} (" in reason


def test_the_true_order_is_none_and_its_advantage_positive() -> None:
    target, position = trot(150)
    assert swapped_legs(target, position, LEGS) is None
    advantage = leg_order_advantage(target, position)
    assert advantage is not None and advantage > 0.0


def test_diagonal_legs_that_do_exactly_the_same_are_not_suspected() -> None:
    """Without noise they cannot be told apart: an advantage of nothing is no evidence either way."""
    target, position = trot(100, noise_rad=0.0)
    advantage = leg_order_advantage(target, position)
    assert advantage is not None and abs(advantage) < 1e-9
    assert swapped_legs(target, position, LEGS) is None


def test_too_short_and_too_still_say_nothing() -> None:
    target, position = trot(99)
    wrong = position[:, [3, 4, 5, 0, 1, 2, 6, 7, 8, 9, 10, 11]]
    assert swapped_legs(target, wrong, LEGS) is None and leg_order_advantage(target, wrong) is None
    target, position = trot(150)
    wrong = position[:, [3, 4, 5, 0, 1, 2, 6, 7, 8, 9, 10, 11]]
    assert swapped_legs(target, wrong, LEGS) is not None
    assert swapped_legs(0.05 * target, 0.05 * wrong, LEGS) is None


def test_a_robot_that_stands_and_explores_says_nothing() -> None:
    """Its targets tremble by 0.08 rad and its joints by 0.04, as in a log that was once suspected at 0.19 over 0.15."""
    random = np.random.default_rng(7)
    stands = [(0.08 * random.standard_normal((200, 12)), 0.04 * random.standard_normal((200, 12))) for _ in range(20)]
    assert all(swapped_legs(target, position, LEGS) is None for target, position in stands)
    assert all(leg_order_advantage(target, position) is None for target, position in stands)
    # With the motion of a walk the same correlations are suspicious.
    assert any(swapped_legs(target, 2.0 * position, LEGS) is not None for target, position in stands)
