"""The run behind the data: killed anywhere it goes on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.uni_o4 import behavior_training
from benchmarks.uni_o4.behavior_training import BehaviorTraining
from benchmarks.uni_o4.data import cached_path, d4rl_path, load_data_set
from benchmarks.uni_o4.logged_steps import write_hdf5
from benchmarks.uni_o4.recipe import DataRecipe, SacSettings
from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot
from policy.trainer_state import TrainerStateError
from tests.benchmarks.uni_o4.toy_robot import ToyEnvironment, toy_steps

RECIPE = DataRecipe(
    "hopper",
    sac=SacSettings(hidden_dims=(8, 8), batch_size=16, random_steps=60),
    medium_score=1.0,  # 12 more than the random policy earns in the toy's 40 steps
    evaluation_interval=100,
    evaluation_episodes=2,
    expert_steps=300,
    logged_steps=90,
)


class Killed(Exception):
    """As a power cut."""


def test_a_killed_run_ends_as_one_that_was_not(toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = BehaviorTraining(RECIPE, tmp_path / "whole")
    whole.run("expert")

    class Breaking(ToyEnvironment):
        steps = 0

        def step(self, action: np.ndarray):
            Breaking.steps += 1
            if Breaking.steps == 230:
                raise Killed
            return super().step(action)

    monkeypatch.setattr(behavior_training, "make_environment", Breaking)
    with pytest.raises(Killed):
        BehaviorTraining(RECIPE, tmp_path / "killed").run("expert")
    resumed = BehaviorTraining(RECIPE, tmp_path / "killed")
    assert 0 < resumed.position.steps < 230
    resumed.run("expert")

    assert resumed.position == whole.position
    assert resumed.evaluations == whole.evaluations
    assert resumed.replay.steps(300).sha256() == whole.replay.steps(300).sha256()
    for name in ("medium", "expert"):
        first, second = (tmp_path / folder / f"{name}.safetensors" for folder in ("whole", "killed"))
        assert first.read_bytes() == second.read_bytes()


def test_another_recipe_does_not_take_over_a_folder(toy: None, tmp_path: Path):
    BehaviorTraining(RECIPE, tmp_path).run("medium")
    with pytest.raises(TrainerStateError, match="recipe"):
        BehaviorTraining(DataRecipe("hopper", seed=1, sac=RECIPE.sac, expert_steps=300), tmp_path)


def test_the_sets_are_what_the_recipe_says(toy: None, tmp_path: Path):
    training = BehaviorTraining(RECIPE, tmp_path / f"training_{RECIPE.training_key()}")
    medium = load_data_set(RECIPE, "medium", tmp_path)
    replay = load_data_set(RECIPE, "medium-replay", tmp_path)
    both = load_data_set(RECIPE, "medium-expert", tmp_path)
    training = BehaviorTraining(RECIPE, training.folder)
    assert [len(each.steps) for each in (medium, replay, both)] == [90, training.medium_steps, 180]
    np.testing.assert_array_equal(both.steps.actions[:90], medium.steps.actions)
    assert not np.array_equal(both.steps.actions[90:], medium.steps.actions)
    np.testing.assert_allclose(replay.steps.log_probabilities[:60], -3.0 * np.log(2.0), rtol=1e-6)  # random at first
    for each in (medium, replay, both):
        inside = ~each.steps.ends[:-1]
        np.testing.assert_array_equal(each.steps.next_observations[:-1][inside], each.steps.observations[1:][inside])


def test_a_cached_set_is_not_made_again(toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    hopper = benchmark_robot("hopper")
    steps = toy_steps(hopper, 3)
    write_hdf5(cached_path(tmp_path, RECIPE, "medium"), steps, {})
    monkeypatch.setattr("benchmarks.uni_o4.data.BehaviorTraining", None)
    assert load_data_set(RECIPE, "medium", tmp_path).steps.sha256() == steps.sha256()


def test_the_same_call_reads_the_published_files(tmp_path: Path):
    steps = toy_steps(benchmark_robot("hopper"), 3)
    write_hdf5(tmp_path / "hopper_medium_replay-v2.hdf5", steps, {})
    assert d4rl_path(tmp_path, "hopper", "medium-replay").exists()
    found = load_data_set(RECIPE, "medium-replay", tmp_path / "cache", tmp_path)
    assert found.steps.sha256() == steps.sha256()
    assert found.source == "D4RL hopper_medium_replay-v2.hdf5"
    with pytest.raises(BenchmarkError, match="hopper_medium_expert-v2"):
        load_data_set(RECIPE, "medium-expert", tmp_path / "cache", tmp_path)


def test_a_training_that_never_gets_there_says_how_far_it_came(toy: None, tmp_path: Path):
    hopeless = DataRecipe("hopper", sac=RECIPE.sac, evaluation_interval=100, evaluation_episodes=2, expert_steps=120)
    with pytest.raises(BenchmarkError, match="at best"):
        BehaviorTraining(hopeless, tmp_path).run("medium")
