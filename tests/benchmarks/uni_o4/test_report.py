"""Tables by hand, what may stand in them, and pages that keep what stands around them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.uni_o4.budgets import smoke_budget
from benchmarks.uni_o4.comparison import Comparison, compare
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.finetune import online_trial
from benchmarks.uni_o4.offline_table import offline_table
from benchmarks.uni_o4.offline_trials import offline_trial
from benchmarks.uni_o4.report import BEGIN, END, differences, online_table, provenance_table, write_report
from benchmarks.uni_o4.results import ResultStore
from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot
from tests.benchmarks.uni_o4.toy_robot import toy_steps

HOPPER = benchmark_robot("hopper")
DATA = DataSet(HOPPER, "medium", toy_steps(HOPPER, 3), "recipe 12")
OTHER_DATA = DataSet(HOPPER, "medium", toy_steps(HOPPER, 4), "recipe 13")
BUDGET = smoke_budget()


def record(robot: str, seed: int, method: str, score: float, **settings: Any) -> dict[str, Any]:
    return {
        "part": "offline", "robot": robot, "set": "medium", "seed": seed, "method": method, "score": score,
        "wall_s": 120.0, "data": {"behavior_score": 33.3, "sha256": "a"}, "episode_scores": [score, score],
        "settings": settings,
    }  # fmt: skip


RECORDS = [
    record("hopper", 0, "bc", 40.0),
    record("hopper", 1, "bc", 50.0),
    record("hopper", 0, "iql", 60.0),
    record("hopper", 0, "td3bc", 10.0),
    record("hopper", 0, "ensemble", 70.0),
    record("walker2d", 0, "bc", 60.0),
    record("walker2d", 0, "iql", 40.0),
    record("walker2d", 0, "td3bc", 10.0),
    record("walker2d", 0, "ensemble", 55.0),
]


def test_scores_are_means_over_seeds_with_half_their_range_and_their_number():
    lines = offline_table(RECORDS)
    assert lines[0] == "| data | behaviour | BC | IQL | TD3+BC | ensemble (ours) |"
    assert lines[2] == "| hopper medium | 33.3 | 45.0 +- 5.0 (2) | 60.0 (1) | 10.0 (1) | 70.0 (1) |"
    # Of BC on the hopper, seed 1 has nothing to be compared with.
    assert lines[4] == "| mean of the rows that are whole |  | 50.0 | 50.0 | 10.0 | 62.5 |"
    assert lines[5] == "| minutes a run |  | 2.0 | 2.0 | 2.0 | 2.0 |"
    text = "\n".join(lines)
    assert "Between 1 and 2 seeds a cell" in text and "one seed" in text


def test_targets_stand_with_their_figures_and_intervals():
    text = "\n".join(offline_table(RECORDS))
    # 62.5 / 50; of the two sets, drawn twice, the hopper alone has 70 / 60 and the walker alone 55 / 60.
    assert "the best peer's (BC), 2 data sets: 1.25 [0.92, 1.25] (target 1.15): open, by one seed." in text
    assert "(target: nowhere below 0): MISSED, by one seed." in text
    assert "MISSED: walker2d medium -5.00" in text and "met: hopper medium 30.00" in text


def test_a_clear_lead_is_met_and_a_clear_lag_is_missed():
    for score, verdict in ((90.0, "met"), (30.0, "MISSED")):
        records = [
            record(robot, seed, method, score if method == "ensemble" else 50.0)
            for robot in ("hopper", "walker2d")
            for seed in (0, 1)
            for method in ("bc", "iql", "td3bc", "ensemble")
        ]
        text = "\n".join(offline_table(records))
        assert f"(target 1.15): {verdict}." in text
        assert "seeds a cell" not in text and "one seed" not in text


def clear_lead(**of_peers: Any) -> list[dict[str, Any]]:
    """Everybody scores 50 and the ensemble 90, on two data sets with two seeds; IQL and TD3+BC with these settings."""
    return [
        record(robot, seed, method, 90.0 if method == "ensemble" else 50.0, **(of_peers if method in SHORT else {}))
        for robot in ("hopper", "walker2d")
        for seed in (0, 1)
        for method in ("bc", "iql", "td3bc", "ensemble")
    ]


SHORT = ("iql", "td3bc")


def test_a_lead_over_peers_that_were_given_less_is_open():
    text = "\n".join(offline_table(clear_lead(share_of_paper=0.03)))
    assert "1.80 [1.80, 1.80] (target 1.15): open: IQL, TD3+BC had less than their papers' updates" in text
    assert "--budget papers" in text
    # Whoever loses to them loses: more updates would have to make them worse.
    behind = [{**each, "score": 40.0, "episode_scores": [40.0] * 2} if each["method"] == "ensemble" else each
              for each in clear_lead(share_of_paper=0.03)]  # fmt: skip
    assert "(target 1.15): MISSED." in "\n".join(offline_table(behind))


def test_cells_with_the_papers_updates_beside_it_settle_it_and_count_in_the_place_of_the_shorter_ones():
    """Two cells of the four are known in full: there IQL scores 60, TD3+BC what it scored before."""
    records = clear_lead(share_of_paper=0.03)
    full = [
        record("hopper", seed, method, 60.0 if method == "iql" else 50.0, share_of_paper=1.0)
        for seed in (0, 1)
        for method in SHORT
    ]
    text = "\n".join(offline_table(records, full))
    # The best peer is IQL with (60 + 50) / 2: 90 / 55, and by either data set alone 90 / 60 and 90 / 50.
    assert "the best peer's (IQL), 2 data sets: 1.64 [1.50, 1.80] (target 1.15): met." in text
    assert "With the papers' updates, and so in the ratio: hopper medium, seed 0, IQL 60.0 (50.0 with fewer)" in text
    one = [each for each in full if each["method"] == "iql"]
    assert "open: TD3+BC had less than" in "\n".join(offline_table(records, one))
    for strange in ({"data": {"sha256": "b"}}, {"part": "online"}, {"settings": {"share_of_paper": 0.5}}):
        others = [{**each, **strange} for each in full]
        assert "open: IQL, TD3+BC had less than" in "\n".join(offline_table(records, others))


def test_a_method_that_lacks_a_data_set_takes_no_part_in_the_mean():
    """IQL was never run on the third robot: the mean is over the other two."""
    lines = offline_table([*RECORDS, record("halfcheetah", 0, "bc", 1000.0), record("halfcheetah", 0, "ensemble", 0.0)])
    assert "| mean of the rows that are whole |  | 50.0 | 50.0 | 10.0 | 62.5 |" in lines


def test_a_method_that_was_given_less_than_its_paper_says_so():
    lines = offline_table(
        [record("hopper", 0, "iql", 1.0, share_of_paper=0.05), record("hopper", 0, "uni_o4", 1.0, reduced=True)]
    )
    assert lines[0] == "| data | behaviour | IQL, 5 % of its paper's updates | Uni-O4 (ours), reduced |"


def curve(*points: list[float]) -> list[dict[str, Any]]:
    return [
        {"steps": place, "score": sum(scores) / len(scores), "episode_scores": scores}
        for place, scores in enumerate(points)
    ]


@pytest.mark.parametrize(
    ("points", "verdicts"),
    [
        ([[50.0] * 10, [40.0] * 10, [60.0] * 10], "MISSED | met"),  # lower in every episode, then higher
        ([[50.0] * 10, [30.0, 70.0] * 5, [50.0, 50.1] * 5], "met | met"),  # no lower on average
        ([[50.0] * 10, [20.0, 70.0] * 5, [48.0, 52.1] * 5], "met | open"),  # 5 lower on average, which is noise
        ([[50.0] * 10, [40.0] * 10, [40.0] * 10], "MISSED | MISSED"),
        ([[50.0] * 4, [40.0] * 4, [40.0] * 4], "open | open"),  # 1 of 16 patterns: never below 5 %
    ],
)
def test_a_drop_and_a_gain_are_judged_by_paired_episodes(points: list[list[float]], verdicts: str):
    row = online_table([{**record("hopper", 0, "ensemble", 60.0), "curve": curve(*points)}])[2]
    assert row.endswith(f"| {verdicts} |")


def test_from_scratch_there_is_nothing_to_hold():
    row = online_table([{**record("hopper", 0, "scratch", 60.0), "curve": curve([0.0] * 10, [60.0] * 10)}])[2]
    assert row == "| hopper medium, seed 0 | PPO from scratch | 0.0 | 0.0 | 60.0 | - | - |"


# ---- What may stand in one table -------------------------------------------------------------------------------------


def write(store: ResultStore, method: str, score: float, budget: Any = BUDGET, data: DataSet = DATA) -> None:
    trial = offline_trial("hopper", "medium", 0, method, budget)
    points = [{"updates": place, "share": place / 2, "score": score} for place in range(3)]
    figures = {
        "score": score, "episode_scores": [score], "wall_s": 60.0, "curve": points, "networks_sha256": f"of {score}",
    }  # fmt: skip
    store.write(trial, data, figures)


def test_results_of_other_settings_stand_beside_the_table(tmp_path: Path):
    store = ResultStore(tmp_path)
    write(store, "iql", 1.0)
    write(store, "iql", 2.0, replace(BUDGET, peers=replace(BUDGET.peers, updates=777)))
    found = compare(store, BUDGET)
    assert [each["score"] for each in found.offline] == [1.0]
    assert [each["score"] for each in found.others] == [2.0]
    write_report(store, tmp_path / "page.md", tmp_path, BUDGET)
    told = (tmp_path / "page.md").read_text().partition("Of other settings")[2]
    assert "| share_of_paper 0.000777, updates 777 | 2.0 | 1.0 |" in told


def test_many_differences_are_counted(tmp_path: Path):
    store, ours = ResultStore(tmp_path), BUDGET.ours
    other = replace(ours.improvement, iterations=77, branches=7, horizon=7, patience=7, beginnings=0.7)
    write(store, "ensemble", 2.0, replace(BUDGET, ours=replace(ours, improvement=other)))
    write_report(store, tmp_path / "page.md", tmp_path, BUDGET)
    assert "| 5 settings | 2.0 | - |" in (tmp_path / "page.md").read_text()


def test_differences_name_every_setting_that_is_not_as_wanted():
    settings = {"fit": {"epochs": 5, "rate": 0.1}, "halts": None, "only": 1, "same": {"deep": [1]}}
    wanted = {"fit": {"epochs": 7, "rate": 0.1}, "halts": 0.9, "gone": 2, "same": {"deep": [1]}}
    assert differences(settings, wanted) == ["fit.epochs 5", "gone not there", "halts None", "only 1"]
    assert differences(settings, settings) == []


def test_results_of_other_data_are_refused(tmp_path: Path):
    store = ResultStore(tmp_path)
    write(store, "bc", 1.0)
    write(store, "iql", 2.0, data=OTHER_DATA)
    with pytest.raises(BenchmarkError, match=DATA.sha256[:12]):
        compare(store, BUDGET)


def test_an_online_run_from_other_networks_is_not_compared(tmp_path: Path):
    store = ResultStore(tmp_path)
    write(store, "ensemble", 1.0)
    (offline,) = store.read("offline")
    figures = {"score": 2.0, "wall_s": 1.0, "curve": curve([1.0, 2.0], [2.0, 3.0])}
    for networks in (offline["networks_sha256"], "others"):
        start = {**offline, "networks_sha256": networks}
        store.write(online_trial("hopper", "medium", 0, "ensemble", BUDGET, start), DATA, figures)
    found = compare(store, BUDGET)
    assert len(found.online) == len(found.others) == 1
    assert found.online[0]["settings"]["offline_networks_sha256"] == offline["networks_sha256"]


def test_a_mixture_of_code_stands_out():
    def made_by(*codes: str) -> str:
        versions = {"versions": {"torch": "2"}, "code_version": "1"}
        data = {"data": {"steps": 5, "source": "a recipe", "sha256": "0" * 64}}
        records = [{**record("hopper", 0, "bc", 1.0, updates=7), **versions, **data, "code": code} for code in codes]
        return "\n".join(provenance_table(Comparison(records, [], [], [])))

    assert "MIXED" not in made_by("abc", "abc")
    assert "MIXED: abc (2), def (1)" in made_by("abc", "def", "abc")


def test_a_page_keeps_the_text_around_the_results(tmp_path: Path):
    store, page = ResultStore(tmp_path / "runs"), tmp_path / "docs" / "results.md"
    write(store, "bc", 5.0)
    page.parent.mkdir()
    page.write_text(f"# Results\n\n{BEGIN}\nformer figures\n{END}\n\nBelow.\n")
    write_report(store, page, Path("runs/uni_o4"), BUDGET)
    text = page.read_text()
    assert text.startswith("# Results\n") and text.endswith("Below.\n") and "former" not in text
    assert "| hopper medium |" in text and "(results/offline_hopper_medium.svg)" in text
    assert "200" in text and "torch" in text  # updates and versions
    picture = (tmp_path / "docs/results/offline_hopper_medium.svg").read_text()
    write_report(store, page, Path("runs/uni_o4"), BUDGET)
    assert page.read_text() == text
    assert (tmp_path / "docs/results/offline_hopper_medium.svg").read_text() == picture


def test_an_empty_folder_says_so(tmp_path: Path):
    write_report(ResultStore(tmp_path), tmp_path / "page.md", tmp_path, BUDGET)
    assert "No result of this budget" in (tmp_path / "page.md").read_text()
