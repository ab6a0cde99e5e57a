"""Where Gymnasium ends an episode, state by state."""

from __future__ import annotations

import pytest
import torch

from benchmarks.uni_o4.robots import ROBOTS, BenchmarkError, benchmark_robot
from benchmarks.uni_o4.termination import termination_rule


@pytest.mark.parametrize(
    ("robot", "height", "angle", "ends"),
    (
        ("hopper", 1.2, 0.0, False), ("hopper", 0.71, 0.19, False), ("hopper", 0.69, 0.0, True),
        ("hopper", 1.2, 0.21, True), ("hopper", 1.2, -0.21, True), ("hopper", 9.0, 0.0, False),
        ("walker2d", 1.2, 0.9, False), ("walker2d", 0.79, 0.0, True), ("walker2d", 2.01, 0.0, True),
        ("walker2d", 1.2, -1.01, True), ("halfcheetah", -5.0, 9.0, False),
    ),
)  # fmt: skip
def test_an_episode_ends_where_the_robot_is_unhealthy(robot: str, height: float, angle: float, ends: bool):
    physical = torch.zeros(1, benchmark_robot(robot).observation_dim)
    physical[0, :2] = torch.tensor([height, angle])
    assert termination_rule(robot)(physical).tolist() == [ends]


def test_a_hopper_beyond_all_bounds_ends():
    physical = torch.zeros(2, 11)
    physical[:, 0] = 1.2
    physical[:, 7] = torch.tensor([99.0, -101.0])
    assert termination_rule("hopper")(physical).tolist() == [False, True]


def test_every_robot_has_a_rule_and_no_other():
    assert all(callable(termination_rule(name)) for name in ROBOTS)
    with pytest.raises(BenchmarkError, match="ant"):
        termination_rule("ant")
