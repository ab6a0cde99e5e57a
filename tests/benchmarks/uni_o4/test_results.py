"""What counts as made, and for what."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.uni_o4.budgets import budget_named, smoke_budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.offline_trials import offline_trial
from benchmarks.uni_o4.results import ResultStore, Stopwatch, Trial
from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot
from tests.benchmarks.uni_o4.toy_robot import toy_steps

TRIAL = Trial("offline", "hopper", "medium", 0, "bc", {"updates": 10})
DATA = DataSet(benchmark_robot("hopper"), "medium", toy_steps(benchmark_robot("hopper"), 3), "recipe 12")


def test_a_result_stands_for_its_trial_its_data_and_its_settings_only(tmp_path: Path):
    store = ResultStore(tmp_path)
    assert not store.has(TRIAL, "a")
    store.write(TRIAL, DATA, "a", {"score": 1.5})
    assert store.has(TRIAL, "a")
    assert not store.has(TRIAL, "b")
    assert not store.has(replace(TRIAL, settings={"updates": 11}), "a")
    assert not store.has(replace(TRIAL, seed=1), "a")
    assert [path.name for path in (tmp_path / "offline/hopper_medium/seed_0").iterdir()] == ["bc.json"]


def test_a_result_names_all_that_it_came_from(tmp_path: Path):
    store = ResultStore(tmp_path)
    store.write(TRIAL, DATA, "a", {"score": 1.5})
    (record,) = store.read("offline")
    assert record["settings"] == {"updates": 10} and record["seed"] == 0 and record["score"] == 1.5
    assert record["data"]["sha256"] == "a" and record["data"]["steps"] == len(DATA.steps)
    assert record["code_version"]


def test_a_file_that_is_no_result_is_refused(tmp_path: Path):
    (tmp_path / "offline").mkdir()
    (tmp_path / "offline" / "notes.json").write_text(json.dumps({"score": 1}))
    with pytest.raises(BenchmarkError, match="no key"):
        ResultStore(tmp_path).read("offline")


def test_time_that_is_paused_does_not_count():
    watch = Stopwatch()
    with watch.paused():
        time.sleep(0.3)
    inside = Stopwatch()
    assert watch.record()["wall_s"] - inside.record()["wall_s"] < 0.25


def test_a_method_that_does_not_exist_is_refused():
    with pytest.raises(BenchmarkError, match="bc, iql, td3bc, ensemble, uni_o4, bppo"):
        offline_trial("hopper", "medium", 0, "cql", smoke_budget())
    with pytest.raises(BenchmarkError, match="standard, smoke"):
        budget_named("paper")


def test_the_ablation_differs_from_the_method_in_what_it_leaves_out():
    budget = budget_named("standard")
    plain, ablated = (offline_trial("hopper", "medium", 0, method, budget).settings for method in ("uni_o4", "bppo"))
    assert (plain["cloning"]["members"], ablated["cloning"]["members"]) == (4, 1)
    assert (plain["published"]["gate"], ablated["published"]["gate"]) == ("mean", "always")
    assert (plain["critics"]["method"], ablated["critics"]["method"]) == ("iql", "sarsa")
    assert plain["published"]["updates"] == ablated["published"]["updates"]
