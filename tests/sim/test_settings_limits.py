"""Settings that no run can have are refused where they are made, each by its name."""

import dataclasses
import math
from typing import Any

import pytest

from policy.uni_o4.settings import SettingsError
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from sim.pretrain_settings import PretrainSettings
from sim.randomization import Randomization
from sim.settings_paths import with_value
from sim.sweep_plan import SweepPlan
from sim.velocity_settings import VelocityTaskSettings

STEP_S = 1.0 / load_robot().control_hz


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("steps_per_iteration", 0),
        ("epochs", 0),
        ("minibatches", 0),
        ("save_every", 0),
        ("threads", 0),
        ("learning_rate", -1.0),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("desired_kl", 0.0),
        ("clip", 0.0),
        ("gamma", 2.0),
        ("gamma", 1.0),
        ("gae_lambda", -0.1),
        ("entropy_weight", math.nan),
        ("initial_std", 0.0),
        ("deployed_std", 0.0),
        ("actor_hidden", [8, 0]),
        ("actor_hidden", []),
        ("critic_hidden", [-1]),
        ("task.num_envs", 0),
        ("task.episode_s", 0.0),
        ("task.episode_s", 0.9 * STEP_S),
        ("task.episode_s", math.inf),
        ("task.fall_height_m", math.nan),
        ("task.randomization.push_interval_s", 0.0),
        ("task.randomization.push_interval_s", 0.9 * STEP_S),
        ("task.randomization.command_interval_s", 0.0),
        ("task.randomization.command_interval_s", math.nan),
        ("task.randomization.friction", [0.4, math.inf]),
        ("task.randomization.push_speed_m_s", math.inf),
        ("task.randomization.payload_kg", [-math.inf, 1.0]),
    ],
)
def test_what_no_run_can_have_is_refused_by_its_name(path, value):
    """A sweep refuses it as well, before anything runs."""
    name = path.rpartition(".")[2]
    for make in (lambda: with_value(PretrainSettings(), path, value), SweepPlan(varied=((path, (value,)),)).trials):
        with pytest.raises(Go1Error, match=rf"\b{name}\b.*; found"):
            make()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("steps_per_iteration", 1),
        ("epochs", 1),
        ("minibatches", 1),
        ("minibatches", 24 * 1024),
        ("save_every", 1),
        ("learning_rate", 1e-12),
        ("gamma", 0.0),
        ("gae_lambda", 1.0),
        ("entropy_weight", 0.0),
        ("task.num_envs", 1),
        ("task.episode_s", STEP_S),
        ("task.randomization.push_interval_s", STEP_S),
        ("task.randomization.command_interval_s", STEP_S),
        ("task.randomization.push_speed_m_s", 0.0),
    ],
)
def test_what_is_just_possible_is_not_refused(path, value):
    settings = with_value(PretrainSettings(), path, value)
    assert settings != PretrainSettings() or path == "save_every"


def test_a_minibatch_has_a_sample_at_least():
    with pytest.raises(Go1Error, match="minibatches of at most 24576, a sample each; found 24577"):
        PretrainSettings(minibatches=24 * 1024 + 1)


@pytest.mark.parametrize("settings", [PretrainSettings(), VelocityTaskSettings(), Randomization()])
def test_numbers_that_are_none_are_refused_everywhere(settings):
    """So that a field that comes later can not be forgotten."""
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        wrong: Any = tuple(math.nan for _ in value) if isinstance(value, tuple) else math.nan
        if type(value) in (int, float, tuple):
            with pytest.raises(Go1Error):
                dataclasses.replace(settings, **{field.name: wrong})


def test_a_seed_that_no_generator_takes_is_refused():
    with pytest.raises(SettingsError, match="VelocityTaskSettings.seed in .0, inf.; found -1"):
        VelocityTaskSettings(seed=-1)


def test_the_error_says_what_to_do():
    with pytest.raises(SettingsError, match="Correct the setting") as refusal:
        PretrainSettings(epochs=0)
    assert refusal.value.found == "0"
