"""What counts as made, and for what."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.uni_o4.budgets import Budget, budget_named, smoke_budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.offline_trials import OFFLINE_METHODS, offline_trial
from benchmarks.uni_o4.ope import ope_trial
from benchmarks.uni_o4.ours import FORMALITY, OurSettings
from benchmarks.uni_o4.provenance import code_that_computes
from benchmarks.uni_o4.results import ResultStore, Spent, Stopwatch, Trial, to_json
from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot
from tests.benchmarks.uni_o4.toy_robot import toy_steps

TRIAL = Trial("offline", "hopper", "medium", 0, "bc", {"updates": 10}, "peers")
DATA = DataSet(benchmark_robot("hopper"), "medium", toy_steps(benchmark_robot("hopper"), 3), "recipe 12")
OTHER_DATA = DataSet(benchmark_robot("hopper"), "medium", toy_steps(benchmark_robot("hopper"), 4), "recipe 12")


def test_a_result_stands_for_its_trial_its_data_and_its_settings_only(tmp_path: Path):
    store = ResultStore(tmp_path)
    assert store.find(TRIAL, DATA.sha256) is None
    store.write(TRIAL, DATA, {"score": 1.5})
    found = store.find(TRIAL, DATA.sha256)
    assert found is not None and found["score"] == 1.5
    assert store.find(TRIAL, OTHER_DATA.sha256) is None
    assert store.find(replace(TRIAL, settings={"updates": 11}), DATA.sha256) is None
    assert store.find(replace(TRIAL, seed=1), DATA.sha256) is None
    assert len(list((tmp_path / "offline/hopper_medium/seed_0").iterdir())) == 1


def test_results_of_other_settings_and_data_do_not_replace_each_other(tmp_path: Path):
    store, other = ResultStore(tmp_path), replace(TRIAL, settings={"updates": 11})
    store.write(TRIAL, DATA, {"score": 1.0})
    store.write(other, DATA, {"score": 2.0})
    store.write(TRIAL, OTHER_DATA, {"score": 3.0})
    found = [store.find(*each) for each in ((TRIAL, DATA.sha256), (other, DATA.sha256), (TRIAL, OTHER_DATA.sha256))]
    assert [each and each["score"] for each in found] == [1.0, 2.0, 3.0]


def test_a_result_clears_away_what_its_training_kept(tmp_path: Path):
    store = ResultStore(tmp_path)
    kept = [store.path(TRIAL, DATA.sha256, suffix) for suffix in (".state.safetensors", ".state.curve", ".safetensors")]
    kept[0].parent.mkdir(parents=True)
    for path in kept:
        path.write_text("")
    store.write(TRIAL, DATA, {})
    assert [path.exists() for path in kept] == [False, False, True]


def test_a_result_names_all_that_it_came_from(tmp_path: Path):
    store = ResultStore(tmp_path)
    store.write(TRIAL, DATA, {"score": 1.5})
    (record,) = store.read("offline")
    assert record["settings"] == {"updates": 10} and record["seed"] == 0 and record["score"] == 1.5
    assert record["data"]["sha256"] == DATA.sha256 and record["data"]["steps"] == len(DATA.steps)
    assert record["code_version"] and record["versions"]["torch"]
    assert record["code"] == code_that_computes("peers") != code_that_computes("ours")


def test_a_number_of_numpy_stays_a_number_and_anything_else_is_refused():
    assert json.loads(to_json({"a": np.float64(0.5), "b": np.int64(3), "c": (1, 2)})) == {"a": 0.5, "b": 3, "c": [1, 2]}
    with pytest.raises(TypeError, match="PosixPath"):
        to_json({"a": Path("b")})
    with pytest.raises(TypeError):
        replace(TRIAL, settings={"a": Path("b")}).key("d")


def test_a_file_that_is_no_result_is_refused(tmp_path: Path):
    (tmp_path / "offline").mkdir()
    (tmp_path / "offline" / "notes.json").write_text(json.dumps({"score": 1}))
    with pytest.raises(BenchmarkError, match="no key"):
        ResultStore(tmp_path).read("offline")


def test_time_that_is_paused_does_not_count_and_time_before_does():
    watch = Stopwatch(Spent(100.0, 50.0))
    with watch.paused():
        time.sleep(0.3)
    inside = Stopwatch()
    assert watch.spent().wall_s - 100.0 - inside.spent().wall_s < 0.25
    watch.add(Spent(10.0, 5.0))
    assert watch.spent().wall_s >= 110.0 and watch.spent().processor_s >= 55.0


def test_a_method_that_does_not_exist_is_refused():
    with pytest.raises(BenchmarkError, match="bc, iql, td3bc, ensemble, uni_o4, bppo"):
        offline_trial("hopper", "medium", 0, "cql", smoke_budget())
    with pytest.raises(BenchmarkError, match="standard, papers, smoke"):
        budget_named("paper")


def test_the_ablation_differs_from_the_method_in_what_it_leaves_out():
    budget = budget_named("standard")
    plain, ablated = (offline_trial("hopper", "medium", 0, method, budget).settings for method in ("uni_o4", "bppo"))
    assert (plain["cloning"]["members"], ablated["cloning"]["members"]) == (4, 1)
    assert (plain["published"]["gate"], ablated["published"]["gate"]) == ("mean", "always")
    assert (plain["critics"]["method"], ablated["critics"]["method"]) == ("iql", "sarsa")
    assert plain["published"]["updates"] == ablated["published"]["updates"]


STANDARD = budget_named("standard")
OURS = STANDARD.ours


@pytest.mark.parametrize(
    ("changed", "methods"),
    [
        (replace(STANDARD, peers=replace(STANDARD.peers, updates=1)), {"iql", "td3bc"}),
        (replace(STANDARD, peers=replace(STANDARD.peers, cloning_updates=1)), {"bc"}),
        (replace(STANDARD, ours=replace(OURS, critics=replace(OURS.critics, updates=1))), {"uni_o4", "bppo"}),
        (replace(STANDARD, ours=replace(OURS, improvement=replace(OURS.improvement, iterations=1))), {"ensemble"}),
        (replace(STANDARD, ours=replace(OURS, dynamics=replace(OURS.dynamics, epochs=1))), {"ensemble", "uni_o4"}),
        (replace(STANDARD, ours=replace(OURS, published=replace(OURS.published, evaluation=FORMALITY))), {"uni_o4"}),
        (replace(STANDARD, episodes=1), set(OFFLINE_METHODS)),
    ],
)
def test_a_key_holds_what_its_method_uses_and_nothing_else(changed: Budget, methods: set[str]):
    found = {
        method
        for method in OFFLINE_METHODS
        if offline_trial("hopper", "medium", 0, method, changed).key("d")
        != offline_trial("hopper", "medium", 0, method, STANDARD).key("d")
    }
    assert found == methods


def test_offline_evaluation_depends_on_what_makes_its_policies_only():
    gate = replace(OURS, published=replace(OURS.published, gate="lower_bound", updates=3))
    clip = replace(OURS, published=replace(OURS.published, clip=0.1))
    plain, ungated, clipped = (
        ope_trial("hopper", "medium", 0, replace(STANDARD, ours=ours)).key("d") for ours in (OURS, gate, clip)
    )
    assert plain == ungated != clipped


def test_methods_that_were_given_less_than_their_papers_say_so():
    standard, papers = ({name: _used(budget, name) for name in ("iql", "uni_o4")} for budget in ("standard", "papers"))
    assert standard["iql"]["share_of_paper"] < 1.0 and standard["uni_o4"]["reduced"]
    assert papers["iql"]["share_of_paper"] == 1.0 and not papers["uni_o4"]["reduced"]


PAPERS = budget_named("papers").ours


@pytest.mark.parametrize(
    ("changed", "reduced"),
    [
        (PAPERS, False),
        (replace(PAPERS, critics=replace(PAPERS.critics, updates=PAPERS.critics.updates - 1)), True),
        (replace(PAPERS, critics=replace(PAPERS.critics, value_dims=(512, 512))), True),
        (replace(PAPERS, critics=replace(PAPERS.critics, action_value_dims=(1024, 512))), True),
        (replace(PAPERS, published=replace(PAPERS.published, updates=PAPERS.published.updates - 1)), True),
    ],
)
def test_reduced_is_whoever_was_given_less_of_anything(changed: OurSettings, reduced: bool):
    settings = offline_trial("hopper", "medium", 0, "uni_o4", replace(STANDARD, ours=changed)).settings
    assert settings["reduced"] is reduced


def _used(budget: str, method: str) -> dict[str, Any]:
    return dict(offline_trial("hopper", "medium", 0, method, budget_named(budget)).settings)


def test_discounts_that_are_added_and_compared_are_one():
    fitted = replace(STANDARD.ope.fitted_q, discount=0.9)
    with pytest.raises(BenchmarkError, match="one discount"):
        replace(STANDARD, ope=replace(STANDARD.ope, fitted_q=fitted))
