"""Data sets from a batch: what the learner makes of them, and what they say about where they come from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from offline_data.dataset import Dataset, DatasetError
from policy.bundle import read_bundle
from policy.export import load_graph
from policy.transitions import from_columns
from sim.twin_batch.collect import BatchCollectSettings, collect_batched
from sim.twin_batch.errors import TwinBatchError

SETTINGS = BatchCollectSettings(robots=3, episode_s=0.4)
STEPS = 90  # 30 a robot: one whole episode of 20, and one that the plan cuts after 10


@pytest.fixture(scope="module")
def dataset(shipped, tmp_path_factory) -> Dataset:
    out = tmp_path_factory.mktemp("collected") / "dataset"
    return collect_batched(shipped, "mattress", STEPS, out, seed=7, settings=SETTINGS, threads=1)


def test_episodes_end_by_plan(dataset):
    assert dataset.info().to_dict() == {
        "episodes": 6,
        "steps": 90,
        "terminated": 0,
        "truncated": 6,
        "intervention": 0,
        "stopped": 0,
        "masked": 0,
    }
    assert sorted(episode.stop - episode.start for episode in dataset.episodes) == [11, 11, 11, 21, 21, 21]
    assert {episode.source for episode in dataset.episodes} == {
        f"robot {row}, episode {number}" for row in range(3) for number in range(2)
    }


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


@pytest.mark.parametrize("wrong", [{"robots": 0}, {"episode_s": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(TwinBatchError, match="above 0"):
        BatchCollectSettings(**wrong)


def test_the_folder_is_not_left_half_written(shipped, tmp_path):
    with pytest.raises(TwinBatchError):
        collect_batched(
            shipped, "nominal", 3, tmp_path / "none", 1, BatchCollectSettings(robots=1, commands="remote"), threads=1
        )
    assert not Path(tmp_path / "none").exists()
