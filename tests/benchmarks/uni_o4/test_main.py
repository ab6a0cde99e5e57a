"""One failure does not end the night, and nobody mistakes the night for a good one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.uni_o4 import __main__ as program
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot
from tests.benchmarks.uni_o4.toy_robot import toy_steps

METHODS = ("bc", "ensemble")


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Data and learners that only note that they were called; the walker's data cannot be made."""
    done: list[str] = []

    def load(recipe: Any, name: str, *arguments: Any) -> DataSet:
        done.append(f"data {recipe.robot}")
        if recipe.robot == "walker2d":
            raise BenchmarkError("a medium score", "at best 3", "More steps.")
        robot = benchmark_robot(recipe.robot)
        return DataSet(robot, "medium", toy_steps(robot, 3), "toy")

    def run(trial: Any, data: DataSet, budget: Any, files: Any, progress: Any) -> dict[str, Any]:
        done.append(str(trial))
        if trial.method == "bc":
            raise RuntimeError("no memory left")
        return {"score": 1.0, "wall_s": 1.0, "networks_sha256": "n"}

    monkeypatch.setattr(program, "load_data_set", load)
    monkeypatch.setattr(program, "run_offline", run)
    return done


def start(out: Path, *more: str) -> int:
    arguments = ["--out", str(out), "--budget", "smoke", "--sets", "medium", "--seeds", "0", *more]
    return program.main([*arguments, "--robots", "walker2d", "hopper", "--methods", *METHODS])


def test_what_fails_is_listed_and_the_rest_is_done(
    night: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert start(tmp_path, "--parts", "data", "offline") == 1
    assert night == ["data walker2d", "data hopper", "offline hopper medium seed 0 bc",
                     "offline hopper medium seed 0 ensemble"]  # fmt: skip
    told = capsys.readouterr()
    assert told.err.count("FAILED data walker2d medium: BenchmarkError") == 2  # when it happened, and at the end
    assert "FAILED offline hopper medium seed 0 bc: RuntimeError: no memory left" in told.err
    assert "processor hours" in told.out.splitlines()[0]
    written = (tmp_path / "failures.txt").read_text()
    assert "no memory left" in written and "Traceback" in written
    assert len(list((tmp_path / "offline").rglob("*.json"))) == 1


def test_what_is_done_is_not_done_again(night: list[str], tmp_path: Path):
    start(tmp_path, "--parts", "offline")
    night.clear()
    assert start(tmp_path, "--parts", "offline") == 1
    assert "offline hopper medium seed 0 bc" in night and "offline hopper medium seed 0 ensemble" not in night


def test_online_learning_waits_for_its_offline_result(
    night: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert start(tmp_path, "--parts", "online", "--online-methods", "ensemble") == 1
    assert "Run the part `offline` first" in (tmp_path / "failures.txt").read_text()


def test_an_estimate_computes_nothing(night: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert start(tmp_path, "--estimate") == 0
    assert night == []
    assert "processor hours" in capsys.readouterr().out


def test_a_kill_is_no_failure_of_a_trial(night: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def killed(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "run_offline", killed)
    with pytest.raises(KeyboardInterrupt):
        start(tmp_path, "--parts", "offline")


def test_every_online_method_is_run_unless_others_are_asked_for():
    """The published one too: it is what ours has to be better than."""
    assert program.parse(["--out", "runs"]).online_methods == ["ensemble", "uni_o4", "scratch", "iql"]


def test_any_setting_of_the_budget_can_be_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["--out", str(tmp_path), "--set", "peers.updates=7", "--set", "ours.halt_quantiles=[0.9, null]"]
    budget = program.budget_of(program.parse([*words, "--set", "ours.improvement.ppo.desired_kl=null"]))
    assert budget.peers.updates == 7
    assert budget.ours.halt_quantiles == (0.9, None)
    assert budget.ours.improvement.ppo.desired_kl is None
    assert program.main([*words, "--set", "ours.halts=1", "--estimate"]) == 2
    assert "found 'halts' in ours.halts" in capsys.readouterr().err
