"""The gait's pictures and table, and a run of the command on walks that are made up."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gait
from benchmarks.gait import COMMANDS, contact_spans, main
from policy.bundle import BUNDLES
from sim.gait_quality import GaitRecord
from sim.start_stop import StartStopRecord

STEP_S, ROWS = 0.002, 2000
FEET = ("FR", "FL", "RR", "RL")
BUNDLE = BUNDLES / "go1_velocity.go1policy"


def trot(standing: bool = False) -> GaitRecord:
    """2.5 Hz, 1 m/s, feet that lift by 5 cm; or feet and joints that rest."""
    time_s = np.arange(ROWS) * STEP_S
    first = (np.arange(ROWS) // 100) % 2 == 0
    loaded = np.stack([first, ~first, ~first, first], axis=1) | standing
    feet = np.zeros((ROWS, 4, 3))
    feet[:, :, 2] = 0.022 + np.where(loaded, 0.0, 0.05)
    feet[:, :, 0] = np.cumsum(np.where(loaded, 0.0, 2.0 * STEP_S), axis=0)
    position = np.stack([time_s, 0 * time_s, 0.28 + 0 * time_s], axis=1)
    torque = np.sin(2 * np.pi * 2.5 * time_s)[:, None] + np.linspace(1.0, 2.0, 12)
    velocity = np.full((ROWS, 12), 0.01 if standing else 4.0)
    return GaitRecord(STEP_S, FEET, 12.743, position, feet, np.where(loaded, 62.5, 0.0), velocity, torque)


def smooth() -> StartStopRecord:
    steps, level = 400, [1.0, 0.0, 0.0, 0.0]
    walking = (np.arange(steps) >= 50) & (np.arange(steps) < 250)
    rows = np.repeat(walking, 10)
    target = np.cumsum(np.where(walking, 0.1, 0.0))[:, None] * np.ones(12)
    still, joints = np.zeros((len(rows), 3)), np.where(rows, 5.0, 0.0)[:, None] * np.ones(12)
    return StartStopRecord(STEP_S, 10, 50, 250, 0.5, np.tile(level, (len(rows), 1)), 0.5 * rows, still, joints, target)


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Walks that take no time; returns what was asked to be walked."""
    asked: list[str] = []

    def record(bundle, condition, commands, walk_s) -> GaitRecord:
        asked.append(commands)
        return trot(standing=commands == COMMANDS["standing"])

    monkeypatch.setattr(gait, "record_gait", record)
    monkeypatch.setattr(gait, "record_start_stop", lambda bundle, condition: smooth())
    return asked


def test_a_bar_is_as_long_as_a_foot_carries_load() -> None:
    """From 0.4 s to 1.0 s and from 1.4 s to the end of 2 s, of what the second before it is cut off."""
    loaded = np.zeros(1500, bool)
    loaded[700:1000] = loaded[1200:] = True
    spans = contact_spans(loaded, STEP_S, shown_s=2.0)
    np.testing.assert_allclose(spans, [(0.4, 0.6), (1.4, 0.6)])
    np.testing.assert_allclose(contact_spans(np.ones(1500, bool), STEP_S, shown_s=2.0), [(0.0, 2.0)])
    assert contact_spans(np.zeros(1500, bool), STEP_S, shown_s=2.0) == []


def test_a_run_writes_table_verdicts_and_pictures(tmp_path: Path, walks: list[str], capsys) -> None:
    main([str(BUNDLE), "--out", str(tmp_path)])
    assert walks == list(COMMANDS.values())
    names = [f"{kind}_{name}.png" for kind in ("contacts", "torques") for name in COMMANDS] + ["start_stop.png"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == sorted(names)
    assert all(1_000 < (tmp_path / name).stat().st_size < 300_000 for name in names)
    content = json.loads((tmp_path / "gait.json").read_text())
    assert content["measures"]["forwards"]["duty_factor"] == [0.5] * 4
    assert content["measures"]["forwards"]["frequency_hz"] == pytest.approx(2.5, abs=0.02)
    assert content["measures"]["standing"]["drag"] is None, "feet that rest drag nothing; JSON has no NaN"
    assert content["starts_and_stops"]["time_to_rest_s"] == 0.0
    verdict = {one["name"]: one["verdict"] for one in content["verdicts"]}
    assert set(verdict.values()) == {"met"} and len(verdict) == 9
    text = (tmp_path / "gait.md").read_text()
    assert "| forwards (`vx=0.8,vy=0,yaw=0`) | 0.50 0.50 0.50 0.50 | " in text
    assert "| left_right_asymmetry, worst of forwards, backwards | 0.000 | 0.1 | met | " in text
    assert capsys.readouterr().out.strip() == text.strip()


def test_a_measure_beyond_its_limit_is_missed_in_all_that_is_written(
    tmp_path: Path, walks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its speed swings to 0.7 m/s for a stride: 0.2 m/s too much."""
    swinging = smooth().forward_velocity_m_s.copy()
    swinging[1000:1200] = 0.7
    late = dataclasses.replace(smooth(), forward_velocity_m_s=swinging)
    monkeypatch.setattr(gait, "record_start_stop", lambda bundle, condition: late)
    for drawn in ("contact_diagram", "spectrum_diagram", "start_stop_diagram"):
        monkeypatch.setattr(gait, drawn, lambda record, path: None)
    main([str(BUNDLE), "--out", str(tmp_path)])
    content = json.loads((tmp_path / "gait.json").read_text())
    missed = [one["name"] for one in content["verdicts"] if one["verdict"] == "MISSED"]
    assert missed == ["overshoot_m_s, worst of starts and stops"]
    assert (
        "| overshoot_m_s, worst of starts and stops | 0.200 m/s | 0.15 m/s | MISSED | "
        in (tmp_path / "gait.md").read_text()
    )
