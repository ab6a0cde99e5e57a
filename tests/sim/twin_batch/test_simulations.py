"""Many simulations: who is stepped, who shares a ground, and that a saved moment comes back."""

import numpy as np
import pytest

from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin_batch.simulations import Simulations


def simulations(condition: str, count: int, threads: int = 1) -> Simulations:
    robot = load_robot()
    several = Simulations(
        load_condition(condition), robot, [np.random.default_rng(seed) for seed in range(count)], threads
    )
    qpos = np.zeros((count, several.model.nq))
    qpos[:, 2], qpos[:, 3], qpos[:, 7:] = 0.5, 1.0, robot.stand_position
    several.place(np.arange(count), qpos)
    return several


def torque(count: int) -> np.ndarray:
    return np.random.default_rng(9).normal(0.0, 2.0, (count, 12))


def test_a_robot_in_the_air_falls_by_hand():
    """Semi-implicit Euler: after n steps of 1 ms from rest, v = -9.81 n ms and z = 0.5 - 9.81e-6 n (n + 1) / 2."""
    several = simulations("nominal", 1)
    for _ in range(10):
        several.step(np.zeros((1, 12)))
    # The legs hang on stiff joints: the trunk's origin is not the centre of mass, but nothing turns without torque.
    assert several.qvel[0, 2] == pytest.approx(-0.0981, abs=1e-3)
    assert several.qpos[0, 2] == pytest.approx(0.5 - 9.81e-6 * 55, abs=1e-4)


def test_only_the_robots_of_the_mask_are_stepped():
    several = simulations("nominal", 3)
    before = several.qpos.copy()
    several.step(torque(3), np.array([True, False, True]))
    moved = (several.qpos != before).any(axis=1)
    assert moved.tolist() == [True, False, True]


def test_the_number_of_threads_changes_nothing():
    one, two = simulations("rough", 4, threads=1), simulations("rough", 4, threads=2)
    for _ in range(20):
        one.step(torque(4))
        two.step(torque(4))
    np.testing.assert_array_equal(one.qpos, two.qpos)


def test_a_saved_moment_comes_back_for_the_robots_that_are_asked_for():
    several = simulations("rough", 9)  # two a ground: rows across grounds
    saved, first = several.save(), several.qpos.copy()
    for _ in range(5):
        several.step(torque(9))
    later = several.qpos.copy()
    rows = np.array([1, 2, 8])
    several.restore(rows, saved)
    np.testing.assert_array_equal(several.qpos[rows], first[rows])
    others = np.setdiff1d(np.arange(9), rows)
    np.testing.assert_array_equal(several.qpos[others], later[others])
    for _ in range(5):
        several.step(torque(9))
    np.testing.assert_array_equal(several.qpos[rows], later[rows])


def test_a_push_adds_to_one_trunk():
    several = simulations("rough", 9)
    several.push(7, np.array([0.3, -0.1, 0.0]))
    np.testing.assert_allclose(several.qvel[7, :3], [0.3, -0.1, 0.0])
    assert not several.qvel[np.arange(9) != 7].any()


def test_at_most_eight_grounds():
    """Seventeen robots on rough ground: three a ground, six grounds; on even ground they all share one."""
    assert simulations("rough", 17).grounds.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5, 5]
    assert len(simulations("nominal", 17)._grounds) == 1
    assert simulations("nominal", 3).grounds.tolist() == [0, 1, 2]
