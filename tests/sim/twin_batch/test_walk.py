"""The policy's step for many robots against the onboard pilot's for one."""

import numpy as np
import pytest

from deploy.onboard.commands import parse_commands
from deploy.onboard.pilot import Pilot
from policy.bundle import PolicySession, read_bundle
from policy.export import load_graph
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.evaluate import DEFAULT_COMMANDS, seeded
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.twins import TwinBatch
from sim.twin_batch.walk import BatchWalk

SEEDS = (100_000, 100_001)
STEPS = 12
JUMPY = [seeded("random:hold_s=0.1,stand_fraction=0.3", seed) for seed in SEEDS]
USUAL = [seeded(DEFAULT_COMMANDS, seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def twins() -> TwinBatch:
    return TwinBatch(load_condition("nominal"), SEEDS, threads=1)


def test_each_robot_is_commanded_and_explores_as_by_its_own_pilot(twins, shipped):
    """The pilot is shown what the batch measured: commands, noise and targets are its own, memory included."""
    bundle, robot = read_bundle(shipped), load_robot()
    walk = BatchWalk(twins, load_graph(bundle), JUMPY, SEEDS, exploration=1.0)
    pilots = []
    for seed, specification in zip(SEEDS, JUMPY, strict=True):
        commands = parse_commands(specification, bundle.contract.commands)
        pilot = Pilot(PolicySession(bundle, robot), bundle.contract, robot, commands, 1.0, seed)
        pilot.begin_episode(0)
        pilots.append(pilot)
    for index in range(STEPS):
        states = dict(walk._states)
        walked = walk.step()
        for row, pilot in enumerate(pilots):
            step = pilot.step(states[row], 0.0, index / 50.0)
            np.testing.assert_array_equal(walked.command[row], step.command)
            np.testing.assert_array_equal(walked.noise[row], step.noise)
            for name in ("joint_target", "action", "action_mean", "log_prob", "observation"):
                np.testing.assert_allclose(
                    walked.outputs[name][row], getattr(step.output, name), rtol=1e-4, atol=2e-5, err_msg=name
                )


def test_an_episode_begins_where_it_is_asked_to(twins, shipped):
    """Robot 1 begins its episode 3: step count, commands and memory are those of a beginning; robot 0 walks on."""
    bundle = read_bundle(shipped)
    walk = BatchWalk(twins, load_graph(bundle), USUAL, SEEDS, exploration=0.0)
    for _ in range(3):
        walk.step()
    kept = walk.signals()["joint_velocity"][0]
    walk.restart(np.array([1]), episode=3)
    assert walk.episode_step.tolist() == [3, 0]
    assert not walk._memory[1].any() and walk._memory[0].any()
    np.testing.assert_array_equal(walk.signals()["joint_velocity"][0], kept)
    source = parse_commands(USUAL[1], bundle.contract.commands)
    source.begin_episode(3)
    np.testing.assert_array_equal(walk.step().command[1], source.command(0.0, walk._states[1]))


def test_the_mean_action_is_taken_without_exploration(twins, shipped):
    walk = BatchWalk(twins, load_graph(read_bundle(shipped)), USUAL, SEEDS, exploration=0.0)
    walked = walk.step()
    assert not walked.noise.any()
    np.testing.assert_array_equal(walked.outputs["action"], walked.outputs["action_mean"])


def test_a_batch_has_no_remote(twins, shipped):
    with pytest.raises(TwinBatchError, match="remote"):
        BatchWalk(twins, load_graph(read_bundle(shipped)), [USUAL[0], "remote"], SEEDS, exploration=0.0)


def test_one_seed_a_robot(twins, shipped):
    with pytest.raises(TwinBatchError, match="2 command"):
        BatchWalk(twins, load_graph(read_bundle(shipped)), USUAL, SEEDS[:1], exploration=0.0)
