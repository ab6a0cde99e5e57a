"""D4RL's scores, by hand."""

from __future__ import annotations

import pytest

from benchmarks.uni_o4.robots import ROBOTS, BenchmarkError, benchmark_package, benchmark_robot


@pytest.mark.parametrize(
    ("name", "episode_return", "score"),
    [
        ("halfcheetah", -280.178953, 0.0),
        ("halfcheetah", 12135.0, 100.0),
        ("halfcheetah", 4770.33, 40.6801),  # (4770.33 + 280.178953) / 12415.178953
        ("hopper", 1422.06, 44.3163),  # (1422.06 + 20.272305) / 3254.572305
        ("hopper", 3400.0, 105.0914),  # above the expert is above 100
        ("walker2d", 2852.09, 62.0925),  # (2852.09 - 1.629008) / 4590.670992
        ("walker2d", 0.0, -0.0355),
    ],
)
def test_scores_count_from_the_random_to_the_expert_return(name: str, episode_return: float, score: float):
    assert benchmark_robot(name).normalized_score(episode_return) == pytest.approx(score, abs=1e-3)


def test_an_unknown_robot_is_refused_by_name():
    with pytest.raises(BenchmarkError, match="halfcheetah, hopper, walker2d"):
        benchmark_robot("go1")
    assert all(robot.environment_id.endswith("-v5") for robot in ROBOTS.values())


def test_a_package_that_is_missing_comes_with_the_way_to_get_it():
    with pytest.raises(BenchmarkError, match=r"pip install -r benchmarks/uni_o4/requirements\.txt"):
        benchmark_package("no_such_package_as_this")
