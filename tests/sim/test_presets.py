"""The presets: what each promises of its ranges, and that all of them start to train."""

import dataclasses
import json

import pytest

from cli.main import main
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.engines.choice import EngineChoice
from sim.engines.protocol import FIRM_GROUND_TIME_CONSTANT_S
from sim.presets import PRESETS, PresetError, preset
from sim.pretrain import pretrain
from sim.pretrain_settings import PretrainSettings
from sim.randomization import Randomization
from sim.terrain.settings import KINDS


def test_standard_is_what_the_code_says_by_default():
    assert preset("standard", 1, EngineChoice()) == PretrainSettings()


@pytest.mark.parametrize("name", PRESETS)
def test_seed_engine_and_steps_are_set_and_nothing_else(name):
    engine = EngineChoice("isaacgym", "cuda:0")
    settings = preset(name, 7, engine, 100_000)
    assert (settings.task.seed, settings.engine, settings.steps) == (7, engine, 100_000)
    unchanged = preset(name, 1, EngineChoice())
    task = dataclasses.replace(settings.task, seed=1)
    assert dataclasses.replace(settings, task=task, engine=EngineChoice(), steps=unchanged.steps) == unchanged


@pytest.mark.parametrize("name", PRESETS)
def test_firm_ground_changes_the_ground_and_nothing_else(name):
    soft, firm = preset(name, 1, EngineChoice()), preset(name, 1, EngineChoice(), firm_ground=True)
    randomization = firm.task.randomization
    assert randomization.ground_time_constant_s == (FIRM_GROUND_TIME_CONSTANT_S, FIRM_GROUND_TIME_CONSTANT_S)
    before = soft.task.randomization.ground_time_constant_s
    back = dataclasses.replace(randomization, ground_time_constant_s=before)
    assert dataclasses.replace(firm, task=dataclasses.replace(firm.task, randomization=back)) == soft


def test_an_unknown_name_is_refused():
    with pytest.raises(PresetError, match="standard, quick, robust"):
        preset("fast", 1, EngineChoice())


def test_robust_trains_beyond_the_conditions_it_is_measured_in():
    settings = preset("robust", 1, EngineChoice()).task
    drawn = settings.randomization
    assert settings.terrain is not None
    assert set(settings.terrain.kinds) == set(KINDS)
    assert drawn.friction[0] < load_condition("low_friction").ground.friction
    assert drawn.payload_kg[1] > load_condition("payload_3kg").payload.mass_kg
    assert drawn.payload_offset_m > max(load_condition("payload_3kg").payload.offset_in_trunk_m)
    assert drawn.motor_strength[0] < min(load_condition("one_weak_motor").motors.strength)
    assert drawn.push_speed_m_s > load_condition("pushes").disturbance.push_speed_m_s
    assert 4 * drawn.delay_substeps[1] >= 30 > load_condition("delay").motors.command_delay_ms
    assert settings.terrain.slope_rad > load_condition("slope").ground.slope_rad
    assert settings.terrain.rough_height_m > load_condition("rough_3cm").ground.roughness_height_m
    low, high = drawn.ground_time_constant_s
    assert low < FIRM_GROUND_TIME_CONSTANT_S < high
    nothing = Randomization()
    untouched = ("gravity_noise", "angular_velocity_noise_rad_s", "joint_position_noise_rad")
    for name in (
        *untouched,
        "joint_velocity_noise_rad_s",
        "push_interval_s",
        "command_interval_s",
    ):
        assert getattr(drawn, name) == getattr(nothing, name)
    assert drawn.standing_fraction > nothing.standing_fraction  # stopping is what trips a hurried learner


def test_quick_is_quick():
    """At most a quarter of the shipped bundle's steps."""
    assert preset("quick", 1, EngineChoice()).steps <= preset("standard", 1, EngineChoice()).steps / 4


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_trains(name, tmp_path):
    """Two iterations of a few robots, with everything else as it is."""
    settings = preset(name, 1, EngineChoice())
    small = dataclasses.replace(settings.task, num_envs=14, episode_s=0.2)
    pretrain(dataclasses.replace(settings, steps=14 * 24 * 2, threads=1, task=small), tmp_path)
    rows = (tmp_path / "curve.csv").read_text().splitlines()
    assert len(rows) == 3
    assert ("level/gaps" in rows[0]) == (name == "robust")


def test_gait_varies_robots_as_robust_does_and_shapes_heights_more():
    gait, robust = preset("gait", 1, EngineChoice()), preset("robust", 1, EngineChoice())
    assert (gait.policy, robust.policy) == ("gait", "velocity")
    assert gait.task.randomization == robust.task.randomization
    assert gait.task.shaping.height < robust.task.shaping.height
    assert gait.steps > robust.steps
    assert gait.contract(load_robot()).command_dim == 6


def test_the_command_line_tells_which_presets_there_are(tmp_path, capsys):
    assert main(["sim", "train", "--preset", "fast", "--out", str(tmp_path / "run")]) != 0
    assert "standard, quick, robust" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_command_line_trains_a_preset(tmp_path):
    """As few steps as make one iteration: the settings beside the run are the preset's."""
    steps = str(512 * 24)
    words = ["sim", "train", "--preset", "quick", "--steps", steps, "--seed", "5", "--no-film", "--out", str(tmp_path)]
    assert main(words) == 0
    written = json.loads((tmp_path / "settings.json").read_text())
    expected = preset("quick", 5, EngineChoice(), int(steps))
    assert written == json.loads(json.dumps(dataclasses.asdict(expected)))
    assert (tmp_path / "policy.go1policy").is_file()
