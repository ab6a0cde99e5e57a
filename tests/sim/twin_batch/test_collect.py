"""Data sets from a batch: what the learner makes of them, and what they say about where they come from."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from offline_data.dataset import Dataset, DatasetError
from offline_data.log_schema import Ending
from offline_data.velocity import VelocitySettings
from policy.bundle import read_bundle
from policy.export import load_graph
from policy.rewards import RewardWeights
from policy.transitions import from_columns
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin_batch.collect import BatchCollectSettings, collect_batched
from sim.twin_batch.episode_rows import EpisodeRecord, KnownVelocity, completed
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.sensed_log import SensedLog
from sim.twin_batch.twins import TwinBatch

SETTINGS = BatchCollectSettings(robots=3, episode_s=0.4)
STEPS = 90  # 30 a robot: one whole episode of 20, and one that the plan cuts after 10


@pytest.fixture(scope="module")
def dataset(shipped, tmp_path_factory) -> Dataset:
    out = tmp_path_factory.mktemp("collected") / "dataset"
    return collect_batched(shipped, "mattress", STEPS, out, seed=7, settings=SETTINGS, threads=1)


def test_episodes_end_by_plan(dataset):
    counted = dataset.info().to_dict()
    assert counted.pop("masked") < 45
    assert counted == {
        "episodes": 6,
        "steps": 90,
        "terminated": 0,
        "truncated": 6,
        "intervention": 0,
        "stopped": 0,
        "quarantined": 0,
    }
    assert sorted(episode.stop - episode.start for episode in dataset.episodes) == [11, 11, 11, 21, 21, 21]
    assert {episode.source for episode in dataset.episodes} == {
        f"robot {row}, episode {number}" for row in range(3) for number in range(2)
    }


def test_the_velocity_is_the_estimators(dataset, shipped, tmp_path):
    """The same walks with the true velocity: the estimate is near it, is not it, and what differs is only that."""
    settings = dataclasses.replace(SETTINGS, velocity="true")
    true = collect_batched(shipped, "mattress", STEPS, tmp_path / "true", seed=7, settings=settings, threads=1)
    np.testing.assert_array_equal(true["joint_position"], dataset["joint_position"])
    np.testing.assert_array_equal(true["action"], dataset["action"])
    assert (true["velocity_confidence"] == 1.0).all() and true["valid"][~true["final"]].all()
    error = np.abs(dataset["velocity_trunk_in_trunk"] - true["velocity_trunk_in_trunk"])
    assert 1e-4 < np.median(error[:, :2]) < 0.1
    assert 0.0 < dataset["velocity_confidence"].min() < 1.0
    assert (dataset["reward"] != true["reward"]).any()
    assert true.provenance["velocity"].startswith("the twins' truth")
    assert dataset.provenance["velocity"].startswith("leg odometry")


def test_steps_that_the_estimator_does_not_trust_are_masked():
    """Confidence 0.9 0.4 0.9 0.9 of three steps and the final row: only the transition between the last two counts."""
    count = 4
    columns = {
        "orientation_trunk_in_world": np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
        "angular_velocity_trunk_in_trunk": np.zeros((count, 3)),
        "joint_velocity": np.zeros((count, 12)),
        "joint_torque": np.zeros((count, 12)),
        "action": np.zeros((count, 12)),
        "command": np.zeros((count, 3)),
    }
    episode = EpisodeRecord(0, 0, Ending.TRUNCATED, columns, np.arange(count))
    known = KnownVelocity(np.full((count, 3), 0.1), np.array([0.9, 0.4, 0.9, 0.9]))
    rows = completed(episode, known, 0.5, load_robot(), RewardWeights())
    assert rows["valid"].tolist() == [False, False, True, False]
    np.testing.assert_array_equal(rows["velocity_trunk_in_trunk"], known.velocity)


def test_a_robots_clock_leaps_between_episodes():
    """Two milliseconds a tick, and a second where the robot is put on its feet again: no accelerometer bridges that."""
    log = SensedLog(load_robot(), 2)
    state = TwinBatch(load_condition("nominal"), (1,), threads=1).measure()[0]
    log.begin(np.array([0, 1]), [state, state])
    log.tick([state, state])
    log.begin(np.array([1]), [state, state])
    log.tick([state, state])
    stamps = [log.timeline(row, VelocitySettings()).stamps * 1e-9 for row in (0, 1)]
    np.testing.assert_allclose(stamps[0], [1.0, 1.002, 1.004])
    np.testing.assert_allclose(stamps[1], [1.0, 1.002, 2.002, 2.004])


def test_it_says_that_it_did_not_come_through_the_wire(dataset, shipped):
    assert dataset.provenance["through_the_wire"] is False
    assert dataset.provenance["importer"] == "twin_batch"
    assert dataset.provenance["condition"]["name"] == "mattress"
    assert dataset.provenance["settings"]["exploration"] == 1.0
    assert dataset.bundles == (read_bundle(shipped).sha256,)


def test_the_learner_replays_what_the_policy_saw(dataset, shipped):
    """Observations, recomputed from the rows, give the logged means and log-probabilities: nothing is shifted."""
    graph = load_graph(read_bundle(shipped))
    transitions = from_columns(dataset, graph)
    assert len(transitions) == STEPS
    with torch.no_grad():
        mean, _ = graph.actor(transitions.observation)
        log_prob = graph.actor.log_prob(transitions.observation, transitions.action)
    torch.testing.assert_close(mean, transitions.action_mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(log_prob, transitions.log_prob, rtol=1e-3, atol=1e-2)


def test_the_state_after_an_action_is_the_next_row(dataset):
    """Joint angles move as the velocities of both rows say, also into the final row."""
    for episode in dataset.episodes:
        rows = slice(episode.start, episode.stop)
        position, velocity = dataset["joint_position"][rows], dataset["joint_velocity"][rows]
        moved = np.diff(position, axis=0)
        expected = 0.5 * (velocity[1:] + velocity[:-1]) / 50.0
        assert np.corrcoef(moved.ravel(), expected.ravel())[0, 1] > 0.9
        assert np.isfinite(position[-1]).all() and position[-1].any()
        assert not dataset["action"][rows][-1].any()


def test_robots_explore_and_differ(dataset):
    first = [dataset["noise"][episode.start] for episode in dataset.episodes]
    assert len({array.tobytes() for array in first}) == len(first)
    assert np.concatenate(first).std() == pytest.approx(1.0, abs=0.35)


def test_the_reward_adds_up(dataset):
    np.testing.assert_allclose(dataset["reward_terms"].sum(axis=1), dataset["reward"], atol=1e-5)


def test_the_same_seed_gives_the_same_data(dataset, shipped, tmp_path):
    again = collect_batched(shipped, "mattress", STEPS, tmp_path / "again", seed=7, settings=SETTINGS, threads=2)
    assert again.sha256 == dataset.sha256
    other = collect_batched(shipped, "mattress", 6, tmp_path / "other", seed=8, settings=SETTINGS, threads=1)
    assert not np.array_equal(other["joint_position"][0], dataset["joint_position"][0])


def test_a_fall_is_terminal_and_the_robot_stands_again(falling, tmp_path):
    settings = BatchCollectSettings(robots=1, commands="vx=0,vy=0,yaw=0", exploration=0.0)
    dataset = collect_batched(falling, "nominal", 70, tmp_path / "falls", seed=1, settings=settings, threads=1)
    assert dataset.episodes[0].ending == "terminated"
    first = dataset.episodes[0]
    assert dataset["terminated"][first.stop - 2] and dataset["reward"][first.stop - 2] < -8.0
    assert dataset["projected_gravity_in_trunk"][first.stop - 1, 2] > -0.75  # tilted when it ended
    assert dataset["projected_gravity_in_trunk"][first.stop, 2] < -0.98  # upright when the next began


def test_a_data_set_is_never_written_over(dataset, shipped):
    with pytest.raises(DatasetError):
        collect_batched(shipped, "mattress", 6, dataset.path, seed=7, settings=SETTINGS, threads=1)


@pytest.mark.parametrize("wrong", [{"robots": 0}, {"episode_s": 0.0}, {"velocity": "guessed"}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(TwinBatchError, match="above 0|one of"):
        BatchCollectSettings(**wrong)


def test_the_folder_is_not_left_half_written(shipped, tmp_path):
    with pytest.raises(TwinBatchError):
        collect_batched(
            shipped, "nominal", 3, tmp_path / "none", 1, BatchCollectSettings(robots=1, commands="remote"), threads=1
        )
    assert not Path(tmp_path / "none").exists()
