"""What a sweep is laid out to: its trials, their names, and the plans that are refused."""

from pathlib import Path

import pytest

from robot_configs.errors import Go1Error
from sim.earlier_run import EarlierRunError
from sim.presets import PresetError
from sim.settings_paths import SettingsPathError
from sim.sweep_plan import SweepPlan, SweepPlanError, parse_assignment, plan_of, read_plan

VARIED = (("task.num_envs", (256, 512)), ("task.randomization.friction", ([0.4, 1.0], [1.0, 1.0])))


def test_every_preset_meets_every_condition_with_every_seed():
    trials = SweepPlan(("quick", "standard"), (1, 2, 3), VARIED).trials()
    assert len(trials) == len({trial.name for trial in trials}) == 2 * 2 * 2 * 3
    assert len({trial.condition for trial in trials}) == 8
    assert [trial.seed for trial in trials] == [1] * 8 + [2] * 8 + [3] * 8
    for trial in trials:
        assert trial.settings.task.seed == trial.seed
        assert trial.settings.mirror == (trial.preset == "quick")
        assert trial.settings.task.num_envs == dict(trial.assignments)["task.num_envs"]
        assert trial.settings.task.randomization.friction == tuple(
            dict(trial.assignments)["task.randomization.friction"]
        )


def test_a_trial_is_named_by_what_makes_it():
    trial = SweepPlan(("quick",), (7,), VARIED).trials()[2]
    assert trial.condition == "quick,task.num_envs=512,task.randomization.friction=0.4x1.0"
    assert trial.name == trial.condition + ",seed=7"


def test_no_name_leaves_the_folder():
    (trial,) = SweepPlan(varied=(("engine.python", ("../python",)),)).trials()
    assert trial.name == "standard,engine.python=.._python,seed=1"


def test_steps_replace_those_of_the_preset():
    assert SweepPlan(steps=5 * 24 * 1024).trials()[0].settings.iterations == 5


def test_few_steps_are_enough_for_few_robots():
    """A single iteration of 8 robots, though it would be none of the preset's 1024."""
    assert SweepPlan(varied=(("task.num_envs", (8,)),), steps=8 * 24).trials()[0].settings.iterations == 1


@pytest.mark.parametrize(
    ("plan", "error", "message"),
    [
        (lambda: SweepPlan(seeds=()), SweepPlanError, "seeds: at least one"),
        (lambda: SweepPlan(varied=(("epochs", ()),)), SweepPlanError, "set epochs: at least one"),
        (lambda: SweepPlan(varied=(("task.seed", (1, 2)),)), SweepPlanError, "seeds as seeds"),
        (lambda: SweepPlan(varied=(("begin_with_run", ("ab",)),)), SweepPlanError, "a run as --begin-with RUN"),
        (
            lambda: SweepPlan(varied=(("begin_with_trot", (True, False)),), begin_with=Path("runs/quick")),
            SweepPlanError,
            "no begin_with_trot",
        ),
        (lambda: SweepPlan(begin_with=Path("no/such")).trials(), EarlierRunError, "no/such/policy.go1policy"),
        (lambda: SweepPlan(seeds=(1, 1)).trials(), SweepPlanError, "standard,seed=1 more than once"),
        (lambda: SweepPlan(presets=("slow",)).trials(), PresetError, "found slow"),
        (lambda: SweepPlan(varied=(("epoch", (1,)),)).trials(), SettingsPathError, "'epoch'"),
        (lambda: SweepPlan(varied=(("engine.python", ("x" * 200,)),)).trials(), SweepPlanError, "at most 200"),
        (lambda: plan_of(None, [1, -1], {}, None), SweepPlanError, "seeds: whole numbers"),
        (lambda: plan_of(None, [True], {}, None), SweepPlanError, "seeds: whole numbers"),
        (lambda: plan_of(None, None, {}, -1), SweepPlanError, "steps: whole numbers"),
    ],
)
def test_an_impossible_plan_is_refused(plan, error, message):
    with pytest.raises(error, match=message):
        plan()


def test_two_values_of_one_name_do_not_share_a_folder():
    with pytest.raises(SweepPlanError, match="engine.python=a_b,seed=1 more than once"):
        SweepPlan(varied=(("engine.python", ("a/b", "a:b")),)).trials()


def test_a_plan_from_yaml(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("presets: [quick]\nseeds: [1, 2]\nset:\n  task.num_envs: [256, 512]\nsteps: 100000\n")
    assert read_plan(path) == SweepPlan(("quick",), (1, 2), (("task.num_envs", (256, 512)),), 100_000)
    path.write_text("seeds: [4]\nbegin_with: runs/quick\n")
    assert read_plan(path) == SweepPlan(seeds=(4,), begin_with=Path("runs/quick"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", "found list"),
        ("seed: [1]", "found seed"),
        ("begin_with: 3", "begin_with in .* as the folder of a run; found 3"),
        ("seeds: 3", "seeds in .* as a list"),
        ("set: [1]", "from paths to lists"),
        ("set: {epochs: 3}", "epochs in .* as a list"),
        ("seeds: [1", "YAML in"),
    ],
)
def test_another_yaml_is_refused(tmp_path, text, message):
    path = tmp_path / "sweep.yaml"
    path.write_text(text)
    with pytest.raises(SweepPlanError, match=message):
        read_plan(path)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("task.num_envs=256,512", (256, 512)),
        ("actor_hidden=[64,64],[128]", ([64, 64], [128])),
        ("mirror=true,false", (True, False)),
        ("engine.device=cuda:0", ("cuda:0",)),
    ],
)
def test_an_assignment(text, values):
    assert parse_assignment(text) == (text.partition("=")[0], values)


@pytest.mark.parametrize("text", ["", "epochs", "epochs=", "=3", "epochs=[1"])
def test_no_assignment(text):
    with pytest.raises(Go1Error, match="PATH=VALUE,VALUE"):
        parse_assignment(text)
