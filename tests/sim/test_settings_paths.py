"""One setting changed by its path: everything else stays, and what is not possible is named."""

import sys
from dataclasses import dataclass
from typing import Optional

import pytest

from sim.presets import PRESETS
from sim.pretrain_settings import PretrainSettings
from sim.randomization import RandomizationError
from sim.settings_paths import SettingsPathError, with_assignment, with_value, with_values

DEFAULTS = PretrainSettings()


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("epochs", 3, 3),
        ("learning_rate", "1e-3", 0.001),
        ("learning_rate", 1, 1.0),
        ("mirror", True, True),
        ("actor_hidden", [64, 32, 16], (64, 32, 16)),
        ("task.num_envs", 256, 256),
        ("task.terrain", None, None),
        ("task.randomization.friction", [0.4, 1], (0.4, 1.0)),
        ("task.randomization.delay_substeps", [0, 3], (0, 3)),
        ("engine.name", "isaacgym", "isaacgym"),
        ("engine.python", "python3.8", "python3.8"),
    ],
)
def test_a_value_arrives_at_its_path_and_nowhere_else(path, value, expected):
    changed = with_value(DEFAULTS, path, value)
    found = changed
    for name in path.split("."):
        found = getattr(found, name)
    assert found == expected and type(found) is type(expected)
    before = DEFAULTS
    for name in path.split("."):
        before = getattr(before, name)
    back = list(before) if isinstance(before, tuple) else before
    assert with_value(changed, path, back) == DEFAULTS


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("epoch", 3, "expected one of steps, .*; found 'epoch' in epoch"),
        ("task.randomisation.friction", [0, 1], "'randomisation' in task.randomisation.friction"),
        ("task.terrain.levels", 3, "settings at task.terrain; found None"),
        ("epochs.more", 3, "settings at epochs; found 5"),
        ("task", 3, "a single setting at task; found VelocityTaskSettings"),
        ("epochs", 2.5, "epochs: a whole number; found 2.5"),
        ("epochs", True, "epochs: a whole number; found True"),
        ("learning_rate", True, "learning_rate: a number"),
        ("learning_rate", "fast", "learning_rate: a number; found 'fast'"),
        ("mirror", 1, "mirror: true or false; found 1"),
        ("actor_hidden", 64, "actor_hidden: a list; found 64"),
        ("actor_hidden", [64, "x"], "actor_hidden: a whole number; found 'x'"),
        ("task.randomization.friction", [0.4], "a list of 2"),
        ("engine.name", "bullet", "engine.name: one of mujoco, .*; found 'bullet'"),
        ("engine.device", 0, "engine.device: a text; found 0"),
    ],
)
def test_what_is_not_possible_is_named(path, value, message):
    with pytest.raises(SettingsPathError, match=message):
        with_value(DEFAULTS, path, value)


def test_the_settings_check_themselves_again():
    with pytest.raises(RandomizationError, match="lower <= upper"):
        with_value(DEFAULTS, "task.randomization.friction", [1.0, 0.5])


def test_below_an_optional_part_that_is_there():
    terrain = with_value(PRESETS["robust"](), "task.terrain.levels", 3).task.terrain
    assert terrain is not None and terrain.levels == 3


def test_several_settings_are_checked_together():
    """Neither of the two is possible without the other, in whatever order they are given."""
    pairs = [("minibatches", 100_000), ("task.num_envs", 8192)]
    for values in (dict(pairs), dict(reversed(pairs))):
        changed = with_values(DEFAULTS, values)
        assert (changed.minibatches, changed.task.num_envs) == (100_000, 8192)
    assert with_values(DEFAULTS, {}) == DEFAULTS


def test_a_part_is_not_replaced_and_changed_at_once():
    with pytest.raises(SettingsPathError, match="a value at task.terrain or below it; found both"):
        with_values(PRESETS["robust"](), {"task.terrain.levels": 3, "task.terrain": None})


def test_an_assignment_is_read_as_yaml():
    assert with_assignment(DEFAULTS, "epochs=3").epochs == 3
    assert with_assignment(DEFAULTS, "actor_hidden=[64, 32]").actor_hidden == (64, 32)
    assert with_assignment(DEFAULTS, "task.terrain=null").task.terrain is None


@pytest.mark.parametrize("text", ("epochs", "epochs=", "=3", "epochs=[3", ""))
def test_what_is_no_assignment_is_refused(text):
    with pytest.raises(SettingsPathError, match="PATH=VALUE.*below PretrainSettings"):
        with_assignment(DEFAULTS, text)


def test_both_spellings_of_an_optional_value_are_known():
    @dataclass(frozen=True)
    class Spelled:
        older: Optional[float] = None
        newer: "float | None" = None

    for name in ("older", "newer") if sys.version_info >= (3, 10) else ("older",):
        assert getattr(with_value(Spelled(), name, 1), name) == 1.0
        assert getattr(with_value(Spelled(1.0, 1.0), name, None), name) is None
