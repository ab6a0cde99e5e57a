"""The table of demo runs: gains between the stages that are there, and intervals over seeds."""

from typing import Any

import numpy as np
import pytest

from benchmarks.demo_table import interval_over_seeds, over_all, rows


def stage(returns: list[float]) -> dict[str, Any]:
    return {
        "per_episode": [{"episode_return": value} for value in returns],
        "return_mean": float(np.mean(returns)),
        "return_ci95": (min(returns), max(returns)),
        "velocity_error": {"linear_m_s": 0.1, "yaw_rad_s": 0.2},
        "falls": 0,
        "wall_s": 60.0,
    }


def summary(seed: int, **stages: list[float]) -> dict[str, Any]:
    return {"settings": {"seed": seed}, **{name: stage(returns) for name, returns in stages.items()}}


def test_a_gain_is_over_the_stage_before_that_is_there():
    """Without the offline stage, online gains 30 over pretrained: the stage's place among all is not its place here."""
    lines = rows(summary(1, pretrained=[400.0, 410.0], online=[430.0, 440.0]))
    assert len(lines) == 2
    assert "| online | 435 [430, 440] | +30.0 [+30.0, +30.0] |" in lines[1]


def test_a_whole_run_has_the_gain_of_each_stage():
    lines = rows(summary(1, pretrained=[400.0, 400.0], offline=[410.0, 410.0], online=[405.0, 405.0]))
    assert ["+10.0" in lines[1], "-5.0" in lines[2]] == [True, True]
    assert lines[0].split(" | ")[3] == ""


def test_seeds_that_disagree_make_the_interval_wide():
    """Forty walks a seed that gain 0, 30 and 60, give or take 1: pooled walks would say 30 +- 4."""
    random = np.random.default_rng(1)
    apart = [mean + random.normal(0.0, 1.0, 40) for mean in (0.0, 30.0, 60.0)]
    low, high = interval_over_seeds(apart)
    assert low == pytest.approx(0.0, abs=1.0) and high == pytest.approx(60.0, abs=1.0)
    alike = [30.0 + random.normal(0.0, 10.0, 40) for _ in range(3)]
    low, high = interval_over_seeds(alike)
    assert high - low < 15.0


def test_one_seed_has_the_interval_of_its_walks():
    values = np.random.default_rng(2).normal(0.0, 10.0, 40)
    low, high = interval_over_seeds([values])
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(40), rel=0.15)


def test_over_all_names_each_seed_and_counts_those_with_both_stages():
    runs = [summary(1, pretrained=[0.0, 0.0], offline=[10.0, 10.0]), summary(2, pretrained=[0.0, 0.0])]
    assert (
        over_all(runs, "pretrained", "offline")
        == "- offline minus pretrained: +10.0 [+10.0, +10.0] over 1 seeds (+10.0)"
    )
    assert over_all(runs, "offline", "online") == "- online minus offline: no seed has both"
