"""Speeds under steady commands."""

import numpy as np

from benchmarks.twin_conditions_steady import steady_speeds
from policy.bundle import BUNDLES, read_bundle
from policy.export import load_graph
from robot_configs.twin_conditions import load_condition


def test_a_robot_that_is_told_to_stand_does_and_one_that_is_told_to_walk_moves():
    graph = load_graph(read_bundle(BUNDLES / "go1_velocity.go1policy"))
    commands = ((0.0, 0.0, 0.0), (0.8, 0.0, 0.0))
    standing, walking = steady_speeds(graph, load_condition("nominal"), 1, 1.2, 0.8, commands, threads=1)
    assert np.abs(standing.reached).max() < 0.15 and standing.falls == 0
    assert 0.4 < walking.reached[0] < 1.2 and abs(walking.reached[1]) < 0.3
