"""Folding and settling against the twin's own, bit by bit."""

import dataclasses

import numpy as np
import pytest

from robot_configs.robot import load_robot
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.twin.body import TwinBody
from sim.twin_batch.motors import BatchMotors
from sim.twin_batch.simulations import Simulations
from sim.twin_batch.start import fold_at_origin, settle, stand_ramp

SEEDS = (3, 11)


def sloping() -> TwinCondition:
    nominal = load_condition("nominal")
    return dataclasses.replace(nominal, ground=dataclasses.replace(nominal.ground, slope_rad=0.15))


def settled(condition: TwinCondition) -> Simulations:
    """As `TwinBatch` does it, the twin's draws between bumps and pose included."""
    robot = load_robot()
    generators = [np.random.default_rng(seed) for seed in SEEDS]
    simulations = Simulations(condition, robot, generators, threads=1)
    for generator in generators:
        if condition.disturbance.push_interval_s:
            generator.exponential(1.0)
        generator.standard_normal(37)
    fold_at_origin(simulations, condition, robot, generators)
    settle(simulations, BatchMotors(robot, condition.motors, len(SEEDS)))
    return simulations


@pytest.mark.parametrize(
    "condition",
    [*(load_condition(name) for name in ("nominal", "mattress", "latex", "rough")), sloping()],
    ids=["nominal", "mattress", "latex", "rough", "slope"],
)
def test_a_settled_robot_lies_as_the_twin_of_its_seed(condition):
    """Bumps, biases and pose are drawn in the twin's order: with any other the legs would be folded otherwise."""
    simulations = settled(condition)
    for row, seed in enumerate(SEEDS):
        twin = TwinBody(condition, seed)
        np.testing.assert_array_equal(simulations.qpos[row], twin.data.qpos)
        np.testing.assert_array_equal(simulations.qvel[row], twin.data.qvel)


def test_the_ramp_of_many_is_the_ramp_of_each():
    robot = load_robot()
    measured = robot.sit_position + np.random.default_rng(1).normal(0.0, 0.02, (3, 12))
    together = stand_ramp(robot, measured)
    for row in range(3):
        alone = stand_ramp(robot, measured[row])
        for elapsed_s in (0.0, 0.3, 1.1, 1.7):
            np.testing.assert_array_equal(
                np.broadcast_to(together.target(elapsed_s, 0.0).position, (3, 12))[row],
                alone.target(elapsed_s, 0.0).position,
            )
