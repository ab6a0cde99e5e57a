"""The command of the benchmark of conditions: what it refuses up front, in which order it runs, and failures."""

import os
from pathlib import Path

import pytest

import benchmarks.twin_conditions as benchmark_module
from benchmarks.twin_conditions import require_runnable, run_cells
from benchmarks.twin_conditions_run import ConditionBenchmark
from robot_configs.twin_conditions import TwinConditionError
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
    with pytest.raises(SystemExit, match="1 stages failed"):
        call(monkeypatch, "--conditions", "ice", "rough", "--stages", "pre")


def test_no_threads_are_all_of_them(monkeypatch):
    cells = Cells(monkeypatch)
    call(monkeypatch, "--threads", "0", "--conditions", "ice", "--stages", "pre")
    assert cells.benchmarks[0].threads == os.cpu_count()


def test_a_second_folder_is_not_ignored(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        call(monkeypatch, "--out", "a", "b")
    assert "one folder for --out" in capsys.readouterr().err
