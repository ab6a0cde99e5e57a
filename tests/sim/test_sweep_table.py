"""The table of a sweep, by hand: what a trial's curve says at its end, and means and spreads over seeds."""

import csv
import io

import pytest

from sim.sweep_plan import SweepPlan
from sim.sweep_table import as_csv, as_markdown, mean_and_spread, trial_row, write_tables
from sim.sweep_trial import TrialRecord

HEADER = "steps,wall_s,reward_per_step,error/linear_m_s,error/yaw_rad_s,falls_per_minute"
PLAN = SweepPlan(seeds=(1, 2), varied=(("epochs", (3, 5)),))


def curve(folder, rows: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "curve.csv").write_text("\n".join([HEADER, *rows]))


def row(folder, trial, status="finished", **more):
    return trial_row(trial, TrialRecord(status, {}, "v1", **more), folder)


def test_figures_are_means_over_the_last_ten_rows(tmp_path):
    rows = [f"{100 * i},{i}.5,{i},{i},{2 * i},0" for i in range(1, 13)]
    curve(tmp_path, [*rows, ""])
    found = row(tmp_path, PLAN.trials()[0])
    assert found.steps == 1200
    assert found.figures == {
        "reward a step": 7.5,  # mean of 3 to 12
        "error [m/s]": 7.5,
        "error [rad/s]": 15.0,
        "falls a minute": 0.0,
        "wall time [s]": 12.5,
    }


def test_a_line_that_was_being_written_is_none(tmp_path):
    curve(tmp_path, ["100,1.5,2,2,2,2", "200,3.0,9"])
    assert (row(tmp_path, PLAN.trials()[0]).steps, row(tmp_path, PLAN.trials()[0]).figures["error [m/s]"]) == (100, 2.0)


@pytest.mark.parametrize("write", [lambda folder: None, lambda folder: curve(folder, [])])
def test_a_trial_without_a_curve_has_no_figures(tmp_path, write):
    write(tmp_path)
    found = row(tmp_path, PLAN.trials()[0], "failed", failure="gone")
    assert found.steps == 0 and set(found.figures.values()) == {None}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([1.0, 2.0, 3.0], "2 +- 1"),
        ([1.0, 2.0], "1.5 +- 0.71"),
        ([4.0], "4"),
        ([None, 4.0], "4"),
        ([], "-"),
        ([1.0, float("nan")], "nan +- nan"),
    ],
)
def test_mean_and_spread(values, text):
    assert mean_and_spread(values) == text


def test_the_tables_have_every_trial_and_group_only_what_is_finished(tmp_path):
    rows = []
    for index, trial in enumerate(PLAN.trials()):
        folder = tmp_path / trial.name
        curve(folder, [f"100,{index},{index},0.5,0.25,0", ""])
        failed = index == 3
        rows.append(
            row(folder, trial, "failed" if failed else "finished", failure="Out: of memory" if failed else None)
        )
    write_tables(rows, PLAN.paths, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["sweep.csv", "sweep.md"]
    entries = list(csv.DictReader(io.StringIO((tmp_path / "sweep.csv").read_text())))
    assert [(one["epochs"], one["seed"], one["status"]) for one in entries] == [
        ("3", "1", "finished"),
        ("5", "1", "finished"),
        ("3", "2", "finished"),
        ("5", "2", "failed"),
    ]
    assert [one["reward a step"] for one in entries] == ["0.0", "1.0", "2.0", "3.0"]
    text = (tmp_path / "sweep.md").read_text()
    assert "| standard,epochs=3 | 2 of 2 | 1 +- 1.4 | 0.5 +- 0 |" in text
    assert "| standard,epochs=5 | 1 of 2 | 1 | 0.5 |" in text
    assert "| standard,epochs=5,seed=2 | failed | 100 | 3 | 0.5 |" in text
    assert "- standard,epochs=5,seed=2: Out: of memory" in text
    assert text == as_markdown(rows) and as_csv(rows, PLAN.paths).count("\n") == 5
