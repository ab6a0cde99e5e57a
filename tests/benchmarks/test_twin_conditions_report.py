"""The tables of the benchmark of conditions: by hand, and what they refuse to put together."""

import json
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest

from benchmarks.twin_conditions_report import report
from benchmarks.twin_conditions_results import ConditionReportError, read_results

LEVEL = 400.0 + np.arange(-3.5, 4.0) * 20.0  # eight walks, mean 400


def record(
    folder: Path, condition: str, seed: Optional[int], stage: str, gain: float, settings: Any = (), **more: Any
) -> None:
    """A result whose walks are all better than `LEVEL` by `gain`; bundles are named by seed and stage."""
    place = folder / condition if seed is None else folder / condition / f"seed{seed}"
    place.mkdir(parents=True, exist_ok=True)
    number = int(stage[-1]) if stage.startswith("refined") else 1
    start = "p" if number == 1 else f"{condition}{seed}refined{number - 1}"
    walks = [{"seed": 7 + index, "episode_return": level + gain} for index, level in enumerate(LEVEL)]
    content = {
        "condition": condition,
        "seed": seed,
        "stage": stage,
        "settings": {
            "pretrained_sha256": "p",
            "start_sha256": start,
            "condition": {"name": condition, "friction": 0.3},
            "evaluation": {"episodes": len(LEVEL)},
            "stage": {"of": stage.rstrip("0123456789")},
            **dict(settings),
        },
        "code_version": "1.0",
        "evaluation": {
            "bundle_sha256": "p" if stage == "pre" else f"{condition}{seed}{stage}",
            "per_episode": walks,
            "grounds": list(range(len(LEVEL))),
            "return_ci95": [400.0 + gain - 12.0, 400.0 + gain + 8.0],
            "velocity_error": {"linear_m_s": 0.25},
            "falls": 3,
        },
        **more,
    }
    (place / f"{stage}.json").write_text(json.dumps(content))


def whole(folder: Path) -> None:
    """Ice: a gap of 200, of which seeds 1 and 2 close 1/2 and 3/4. Rough: an oracle that is worse."""
    record(folder, "ice", None, "pre", 0.0)
    for seed, gain in ((1, 100.0), (2, 150.0)):
        record(folder, "ice", seed, "refined1", gain)
        record(folder, "ice", seed, "oracle", 100.0 * seed, held_out_return=500.0 + seed)
    record(folder, "rough", None, "pre", 200.0)
    record(folder, "rough", 1, "refined1", 210.0)
    record(folder, "rough", 1, "oracle", 190.0, held_out_return=500.0)
    (folder / "ice" / "seed1" / "settings.json").write_text("{}")  # of a trainer: no result


def test_the_tables_by_hand(tmp_path):
    """The oracle of ice is that of seed 2, best on the episodes held out; rough closes nothing and is counted out."""
    whole(tmp_path)
    text = report(tmp_path)
    assert "| ice |  | pre | 400 [388, 408] | 0.250 | 3 of 8 |" in text
    assert "| ice | 1 | refined1 | 500 [488, 508] | 0.250 | 3 of 8 |" in text
    assert "| ice | +200 [+200, +200], seed 2 | 0.62 [0.50, 0.75] (0.50, 0.75) |" in text
    assert "| rough | -10 [-10, -10], seed 1 | no gap |" in text
    assert "| mean over conditions | | 0.62 [0.50, 0.75], 1 of 2 |" in text
    assert "not through the wire" in text and "made by 1.0" in text


def test_what_is_left_out_is_told(tmp_path):
    whole(tmp_path)
    told = report(tmp_path).split("Left out of the shares (")[1].splitlines()
    assert told[0] == "3):"
    assert told[2:5] == [
        "- rough: no result of refined1 with seed 2",
        "- rough: no result of oracle with seed 2",
        "- rough: its gap is not larger than its interval is wide",
    ]


def test_nothing_left_out_is_told_too(tmp_path):
    record(tmp_path, "ice", None, "pre", 0.0)
    record(tmp_path, "ice", 1, "refined1", 10.0)
    record(tmp_path, "ice", 1, "oracle", 20.0, held_out_return=1.0)
    assert "Left out of the shares (0):\n\n- nothing" in report(tmp_path)


def test_without_an_oracle_nothing_is_closed(tmp_path):
    record(tmp_path, "ice", None, "pre", 0.0)
    record(tmp_path, "ice", 1, "refined1", 100.0)
    text = report(tmp_path)
    assert "| ice | | |" in text and "| mean over conditions | | 0 of 1 |" in text
    assert "- ice: no result of any oracle" in text


def test_no_results_are_refused(tmp_path):
    with pytest.raises(ConditionReportError, match="none"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"pretrained_sha256": "q"}, "pretrained bundle"),
        ({"evaluation": {"episodes": 9}}, "set of episodes"),
        ({"condition": {"name": "ice", "friction": 0.1}}, "content of ice"),
        ({"stage": {"of": "refined", "log_steps": 1}}, "kind of refined1"),
        ({"start_sha256": "q"}, "made from the stage before it"),
    ],
)
def test_results_of_different_kinds_are_refused(tmp_path, settings, named):
    whole(tmp_path)
    record(tmp_path, "ice", 2, "refined1", 150.0, settings)
    with pytest.raises(ConditionReportError, match=named):
        read_results(tmp_path)


def test_a_second_round_starts_from_the_first_that_is_there(tmp_path):
    whole(tmp_path)
    record(tmp_path, "ice", 1, "refined2", 160.0)
    assert "| 0.80 [0.80, 0.80] (0.80) |" in report(tmp_path)
    record(tmp_path, "rough", 2, "refined2", 160.0)
    with pytest.raises(ConditionReportError, match="rough seed 2 refined2"):
        read_results(tmp_path)


def test_versions_of_the_code_are_told_apart(tmp_path):
    whole(tmp_path)
    record(tmp_path, "ice", 2, "refined1", 150.0, code_version="1.1")
    assert "made by 1.0, 1.1 (**several" in report(tmp_path)
