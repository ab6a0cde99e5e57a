"""The cache's key: the same for the same recipe, another for any other."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from benchmarks.uni_o4.recipe import DATA_SETS, DataRecipe, SacSettings
from benchmarks.uni_o4.robots import BenchmarkError
from policy.uni_o4.settings import SettingsError

RECIPE = DataRecipe("hopper")
OTHER = {
    "robot": "walker2d",
    "seed": 1,
    "sac": SacSettings(batch_size=64),
    "medium_score": 41.0,
    "evaluation_interval": 20_000,
    "evaluation_episodes": 6,
    "expert_steps": 900_000,
    "logged_steps": 100_000,
}


def test_the_key_is_that_of_the_numbers():
    assert DataRecipe("hopper").set_key("medium") == RECIPE.set_key("medium")
    assert len({RECIPE.set_key(name) for name in DATA_SETS}) == 3


def test_every_number_of_the_recipe_is_part_of_the_key():
    assert set(OTHER) == {field.name for field in fields(DataRecipe)}
    keys = {replace(RECIPE, **{name: value}).set_key("medium") for name, value in OTHER.items()}  # type: ignore[arg-type]
    assert len(keys | {RECIPE.set_key("medium")}) == len(OTHER) + 1


SAC = SacSettings()
OTHER_SAC = {
    "hidden_dims": (256, 128),
    "batch_size": 64,
    "learning_rate": 1e-3,
    "discount": 0.98,
    "target_rate": 0.01,
    "random_steps": 6000,
    "steps_per_update": 2,
}


def test_every_number_of_the_learner_behind_the_data_is_part_of_the_key():
    assert set(OTHER_SAC) == {field.name for field in fields(SacSettings)}
    recipes = [replace(RECIPE, sac=replace(SAC, **{name: value})) for name, value in OTHER_SAC.items()]  # type: ignore[arg-type]
    for key in (DataRecipe.training_key, lambda recipe: recipe.set_key("medium")):
        assert len({key(recipe) for recipe in (RECIPE, *recipes)}) == len(OTHER_SAC) + 1


def test_sets_of_another_size_come_from_the_same_training():
    assert replace(RECIPE, logged_steps=5).training_key() == RECIPE.training_key()
    assert replace(RECIPE, seed=5).training_key() != RECIPE.training_key()


def test_a_changed_recipe_version_changes_every_key(monkeypatch: pytest.MonkeyPatch):
    before = RECIPE.set_key("medium"), RECIPE.training_key()
    monkeypatch.setattr("benchmarks.uni_o4.recipe.RECIPE_VERSION", 2)
    assert RECIPE.set_key("medium") != before[0]
    assert RECIPE.training_key() != before[1]


def test_what_cannot_be_made_is_refused():
    with pytest.raises(BenchmarkError, match="medium-replay"):
        RECIPE.set_key("random")  # type: ignore[arg-type]
    with pytest.raises(BenchmarkError):
        DataRecipe("go1")
    with pytest.raises(SettingsError):
        DataRecipe("hopper", expert_steps=100)  # fewer than the random steps
