"""The command of the benchmark of conditions: what it refuses up front, in which order it runs, and failures."""

import os
from pathlib import Path

import pytest

import benchmarks.twin_conditions as benchmark_module
from benchmarks.twin_conditions import require_runnable, run_cells
from benchmarks.twin_conditions_settings import (
    CONDITIONS,
    REPORTED_CONDITIONS,
    STAGES,
    TUNED_CONDITIONS,
    ConditionBenchmark,
)
from robot_configs.twin_ground import TwinConditionError
from sim.twin_batch.errors import TwinBatchError


def test_conditions_are_refused_before_anything_runs():
    require_runnable(["mattress", "slope"], ["pre", "refined"])
    with pytest.raises(TwinBatchError, match="slope_rad"):
        require_runnable(["mattress", "slope"], ["pre", "refined", "oracle"])
    with pytest.raises(TwinConditionError):
        require_runnable(["mattress", "moon"], ["pre"])


class Cells:
    """Stands in for `ConditionRun`; some cells fail."""

    def __init__(self, patch: pytest.MonkeyPatch, failing: tuple[str, ...] = ()) -> None:
        self.done: list[str] = []
        self.benchmarks: list[ConditionBenchmark] = []
        outer = self

        class Cell:
            def __init__(self, benchmark, condition, seed, out) -> None:
                outer.benchmarks.append(benchmark)
                self.name = f"{condition} {seed}"

            def run(self, stage, say) -> None:
                outer.done.append(f"{self.name} {stage}")
                if outer.done[-1] in failing:
                    raise TwinBatchError("robots that can stand up", "1 of 2 past the tilt limit", "Change it.")

        patch.setattr(benchmark_module, "ConditionRun", Cell)


def test_a_seed_of_everything_comes_first_and_a_failure_stops_nothing_else(monkeypatch):
    cells = Cells(monkeypatch, failing=("ice 1 refined",))
    said: list[str] = []
    failures = run_cells(
        ConditionBenchmark(), ["ice", "rough"], [1, 2], ["oracle", "refined"], Path("unused"), said.append
    )
    assert cells.done == [
        *("ice 1 refined", "ice 1 oracle", "rough 1 refined", "rough 1 oracle"),
        *("ice 2 refined", "ice 2 oracle", "rough 2 refined", "rough 2 oracle"),
    ]
    assert len(failures) == 1 and failures[0].startswith("ice seed 1 refined: ") and "tilt limit" in failures[0]
    assert said == [f"FAILED {failures[0]}"]


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["twin_conditions", *words])
    monkeypatch.setattr(benchmark_module.torch, "set_num_threads", lambda threads: None)
    benchmark_module.main()


def test_a_failure_is_the_last_word(monkeypatch):
    Cells(monkeypatch, failing=("ice 1 pre",))
    with pytest.raises(SystemExit, match="1 failed:"):
        call(monkeypatch, "--conditions", "ice", "rough", "--stages", "pre")


def test_no_threads_are_all_of_them(monkeypatch):
    cells = Cells(monkeypatch)
    call(monkeypatch, "--threads", "0", "--conditions", "ice", "--stages", "pre")
    assert cells.benchmarks[0].threads == os.cpu_count()


def test_settings_change_by_their_path(monkeypatch):
    cells = Cells(monkeypatch)
    words = ("--conditions", "ice", "--stages", "pre", "--set")
    call(monkeypatch, *words, "refine.improvement.kl_budget=0.8", "--set", "online.rounds=10")
    assert cells.benchmarks[0].refine.improvement.kl_budget == 0.8
    assert cells.benchmarks[0].online.rounds == 10
    with pytest.raises(SystemExit, match="found 'budget' in refine.budget"):
        call(monkeypatch, *words, "refine.budget=1")
    with pytest.raises(SystemExit, match="PATH=VALUE; found 'refine'"):
        call(monkeypatch, *words, "refine")


def test_the_sizes_on_the_command_line_arrive(monkeypatch):
    cells = Cells(monkeypatch)
    call(monkeypatch, "--conditions", "ice", "--rounds", "3", "--online-steps", "5000", "--oracle-steps", "700")
    found = cells.benchmarks[0]
    assert (found.rounds, found.online.steps, found.oracle.steps) == (3, 5000, 700)
    assert [name.split()[-1] for name in cells.done] == list(STAGES)


def test_what_is_measured_is_the_flat_policy_and_the_robust_one_beside_it():
    benchmark = ConditionBenchmark()
    assert (benchmark.bundle.name, benchmark.robust.name) == ("go1_velocity_flat.go1policy", "go1_velocity.go1policy")
    assert (benchmark.log_steps, benchmark.rounds, benchmark.online.steps) == (60_000, 2, 100_000)
    assert benchmark.published.method == "uni_o4" and benchmark.refine.method == "ensemble"


def test_no_condition_is_both_tuned_on_and_reported_on():
    assert (len(TUNED_CONDITIONS), len(REPORTED_CONDITIONS)) == (2, 3)
    assert sorted(CONDITIONS) == sorted({*TUNED_CONDITIONS, *REPORTED_CONDITIONS})


def test_a_report_is_asked_for_by_its_page(monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(benchmark_module, "write_page", lambda folder, page: asked.append((folder, page)))
    call(monkeypatch, "--out", "here", "--report", str(tmp_path / "page.md"))
    call(monkeypatch, "--report")
    assert asked == [(Path("here"), tmp_path / "page.md"), (Path("runs/twin_conditions"), benchmark_module.PAGE)]
