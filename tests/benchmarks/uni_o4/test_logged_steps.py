"""D4RL's layout, there and back, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks.uni_o4.logged_steps import REQUIRED, LoggedSteps, concatenate, read_hdf5, write_hdf5
from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot

HOPPER = benchmark_robot("hopper")


def five_steps() -> LoggedSteps:
    """An episode of two steps that ends in a fall, and three steps that the recording cuts."""
    random = np.random.default_rng(0)
    return LoggedSteps(
        observations=random.normal(size=(5, 11)).astype(np.float32),
        next_observations=random.normal(size=(5, 11)).astype(np.float32),
        actions=random.uniform(-1.0, 1.0, size=(5, 3)).astype(np.float32),
        rewards=np.array([1.0, 2.0, 4.0, 8.0, 16.0], dtype=np.float32),
        terminals=np.array([False, True, False, False, False]),
        timeouts=np.zeros(5, dtype=bool),
        log_probabilities=np.full(5, -1.5, dtype=np.float32),
    )


def test_what_is_written_is_read(tmp_path: Path):
    path = tmp_path / "made" / "steps.hdf5"
    write_hdf5(path, five_steps(), {"recipe": "{}"})
    assert read_hdf5(path, HOPPER).sha256() == five_steps().sha256()
    with h5py.File(path) as file:
        assert {*REQUIRED, "infos"} == set(file)
        assert file.attrs["recipe"] == "{}"
    assert [entry.name for entry in path.parent.iterdir()] == ["steps.hdf5"]


def test_a_published_file_reads_alike(tmp_path: Path):
    """Other dtypes, rewards of two dimensions, a timeout in the very step of a fall, no log-probabilities."""
    steps, path = five_steps(), tmp_path / "hopper_medium-v2.hdf5"
    with h5py.File(path, "w") as file:
        file["observations"] = steps.observations.astype(np.float64)
        file["next_observations"], file["actions"] = steps.next_observations, steps.actions
        file["rewards"] = steps.rewards[:, None]
        file["terminals"] = steps.terminals.astype(np.float32)
        file["timeouts"] = np.array([0, 1, 0, 0, 1], dtype=np.uint8)
    read = read_hdf5(path, HOPPER)
    assert read.rewards.tolist() == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert read.terminals.tolist() == [False, True, False, False, False]
    assert read.timeouts.tolist() == [False, False, False, False, True]
    assert np.isnan(read.log_probabilities).all()


def test_episodes_end_in_falls_and_timeouts_and_with_the_recording():
    steps = five_steps()
    assert steps.ends.tolist() == [False, True, False, False, True]
    assert steps.first_rows.tolist() == [0, 2]
    assert steps.episode_returns().tolist() == [3.0, 28.0]


def test_sets_that_are_joined_do_not_run_into_each_other():
    joined = concatenate([five_steps(), five_steps()])
    assert joined.first_rows.tolist() == [0, 2, 5, 7]
    assert joined.timeouts.tolist() == [False, False, False, False, True] * 2
    assert joined.terminals.sum() == 2


def test_the_hash_is_of_every_value():
    steps = five_steps()
    others = [replace(steps, rewards=steps.rewards + 1), replace(steps, timeouts=~steps.timeouts)]
    assert len({each.sha256() for each in (steps, *others)}) == 3


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"observations": np.zeros((5, 17), dtype=np.float32)}, "Use a file of hopper"),
        ({"actions": np.zeros((4, 3), dtype=np.float32)}, "Use a file of hopper"),
        ({"rewards": np.array([1, 2, np.nan, 4, 5], dtype=np.float32)}, "NaN or infinity"),
    ],
)
def test_damaged_and_foreign_files_are_refused(tmp_path: Path, fault: dict[str, np.ndarray], message: str):
    path = tmp_path / "steps.hdf5"
    write_hdf5(path, replace(five_steps(), **fault), {})
    with pytest.raises(BenchmarkError, match=message):
        read_hdf5(path, HOPPER)


def test_a_file_without_next_observations_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "steps.hdf5"
    write_hdf5(path, five_steps(), {})
    with h5py.File(path, "r+") as file:
        del file["next_observations"]
    with pytest.raises(BenchmarkError, match="no next_observations"):
        read_hdf5(path, HOPPER)
    with pytest.raises(BenchmarkError, match="an HDF5 file"):
        read_hdf5(tmp_path / "absent.hdf5", HOPPER)
