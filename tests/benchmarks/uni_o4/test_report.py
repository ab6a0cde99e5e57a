"""Tables by hand, and pages that keep what stands around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.report import BEGIN, END, offline_table, online_table, write_report
from benchmarks.uni_o4.results import ResultStore, Trial
from benchmarks.uni_o4.robots import benchmark_robot
from tests.benchmarks.uni_o4.toy_robot import toy_steps

DATA = DataSet(benchmark_robot("hopper"), "medium", toy_steps(benchmark_robot("hopper"), 3), "recipe 12")


def record(robot: str, seed: int, method: str, score: float) -> dict[str, Any]:
    return {
        "robot": robot, "set": "medium", "seed": seed, "method": method, "score": score, "wall_s": 120.0,
        "data": {"behavior_score": 33.3},
    }  # fmt: skip


RECORDS = [
    record("hopper", 0, "bc", 40.0),
    record("hopper", 1, "bc", 50.0),
    record("hopper", 0, "iql", 60.0),
    record("hopper", 0, "ensemble", 70.0),
    record("walker2d", 0, "bc", 60.0),
    record("walker2d", 0, "iql", 40.0),
    record("walker2d", 0, "ensemble", 55.0),
]


def test_scores_are_means_over_seeds_with_half_their_range():
    lines = offline_table(RECORDS)
    assert lines[0] == "| data | behaviour | BC | IQL | ensemble (ours) |"
    assert lines[2] == "| hopper medium | 33.3 | 45.0 +- 5.0 | 60.0 +- 0.0 | 70.0 +- 0.0 |"
    assert lines[4] == "| mean |  | 52.5 | 50.0 | 62.5 |"
    assert lines[5] == "| minutes a run |  | 2.0 | 2.0 | 2.0 |"


def test_targets_stand_with_their_figures_met_or_missed():
    text = "\n".join(offline_table(RECORDS))
    assert "the best peer's (BC): 1.19 (target 1.15): met." in text  # 62.5 / 52.5
    assert "below BC: walker2d medium (target none): MISSED." in text


def test_a_method_that_lacks_a_data_set_takes_no_part_in_the_mean():
    """IQL was never run on the third robot: the mean is over the other two."""
    lines = offline_table([*RECORDS, record("halfcheetah", 0, "bc", 1000.0), record("halfcheetah", 0, "ensemble", 0.0)])
    assert "| mean |  | 52.5 | 50.0 | 62.5 |" in lines


@pytest.mark.parametrize(("lowest", "verdict"), [(47.0, "met"), (40.0, "MISSED")])
def test_a_drop_counts_beyond_two_standard_errors(lowest: float, verdict: str):
    """Errors of 3 and 4 make 5 together: up to twice that, 10, a drop is noise."""
    start = 51.0
    curve = [
        {"steps": 0, "score": start, "score_standard_error": 3.0},
        {"steps": 1, "score": lowest, "score_standard_error": 4.0},
        {"steps": 2, "score": 60.0, "score_standard_error": 1.0},
    ]
    row = online_table([{**record("hopper", 0, "ensemble", 60.0), "curve": curve}])[-1]
    assert row == f"| hopper medium, seed 0 | ensemble (ours) | 51.0 | {lowest} | 60.0 | {verdict} | met |"


def test_a_page_keeps_the_text_around_the_results(tmp_path: Path):
    store, page = ResultStore(tmp_path / "runs"), tmp_path / "docs" / "results.md"
    trial = Trial("offline", "hopper", "medium", 0, "bc", {})
    curve = [{"updates": 1, "score": 1.0}, {"updates": 2, "score": 2.0}]
    store.write(trial, DATA, "a", {"score": 5.0, "wall_s": 60.0, "curve": curve})
    page.parent.mkdir()
    page.write_text(f"# Results\n\n{BEGIN}\nold\n{END}\n\nBelow.\n")
    write_report(store, page, Path("runs/uni_o4"))
    text = page.read_text()
    assert text.startswith("# Results\n") and text.endswith("Below.\n") and "old" not in text
    assert "| hopper medium |" in text and "(results/offline_hopper_medium.svg)" in text
    picture = (tmp_path / "docs/results/offline_hopper_medium.svg").read_text()
    write_report(store, page, Path("runs/uni_o4"))
    assert page.read_text() == text
    assert (tmp_path / "docs/results/offline_hopper_medium.svg").read_text() == picture
