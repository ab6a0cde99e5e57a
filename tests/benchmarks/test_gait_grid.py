"""The grid of gaits: which walks it holds, what becomes of one that fell, and what the table says."""

import json
import math
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from benchmarks import gait_grid
from benchmarks.gait_grid import GaitGridError, GaitWalk, as_json, errors, grid, speed, table, walk
from policy.bundle import Bundle
from policy.code_version import code_version
from policy.gait_contract import GAIT_FREQUENCY, SWING_HEIGHT, TRUNK_HEIGHT, gait_contract
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.gait_record import GaitRecordingError
from tests.sim.test_gait_shape import trot

BUNDLE = cast(Bundle, object())  # nobody looks inside

GAIT = {GAIT_FREQUENCY: 2.0, SWING_HEIGHT: 0.08, TRUNK_HEIGHT: 0.28}
NAN = float("nan")


def test_the_grid_holds_all_corners_and_each_height_standing():
    walks = grid(gait_contract(load_robot()), 0.5)
    assert len(walks) == 27 + 3
    gaits = [tuple(gait.values()) for forward_m_s, gait in walks if forward_m_s == 0.5]
    assert len(set(gaits)) == 27
    assert {(1.5, 0.04, 0.24), (2.5, 0.09, 0.29), (3.5, 0.12, 0.32)} <= set(gaits)
    standing = [gait for forward_m_s, gait in walks if forward_m_s == 0.0]
    assert [gait[TRUNK_HEIGHT] for gait in standing] == [0.24, 0.29, 0.32]
    assert {gait[GAIT_FREQUENCY] for gait in standing} == {2.5}


def test_a_policy_without_a_gait_is_refused():
    with pytest.raises(GaitGridError, match="gait_frequency"):
        grid(velocity_contract(load_robot()), 0.5)


def test_a_walk_is_commanded_by_name_and_measured(monkeypatch):
    asked = []

    def record(bundle, condition, commands, walk_s, skip_s):
        asked.append((condition, commands, walk_s))
        return trot(2.0, 0.08, 0.28)

    monkeypatch.setattr(gait_grid, "record_gait", record)
    found = walk(BUNDLE, "nominal", 0.5, GAIT, 8.0)
    assert asked == [("nominal", "vx=0.5,vy=0.0,yaw=0.0,gait_frequency=2.0,swing_height=0.08,trunk_height=0.28", 8.0)]
    assert found.measured == pytest.approx(GAIT, abs=0.011)
    assert found.speed_m_s == 0.0


def test_a_fall_is_a_row_and_no_error(monkeypatch):
    def fallen(*rest):
        raise GaitRecordingError("most of 6 s of walking", "1 s", "Try an easier command.")

    monkeypatch.setattr(gait_grid, "record_gait", fallen)
    assert walk(BUNDLE, "nominal", 0.5, GAIT, 8.0).measured is None
    monkeypatch.setattr(gait_grid, "record_gait", lambda *rest: trot(2.0, 0.08, 0.28, duration_s=5.8))
    assert walk(BUNDLE, "nominal", 0.5, GAIT, 8.0).measured is None, "it ended 0.2 s early"


def test_speed_is_the_way_over_the_time():
    record = trot(2.0, 0.08, 0.28, duration_s=4.0)
    record.position_trunk_in_world[:, 0] = np.linspace(1.0, 3.0, 2000)
    assert speed(record) == pytest.approx(0.5)


def test_what_standing_feet_do_not_have_is_null_in_json():
    stood = GaitWalk(0.0, GAIT, {GAIT_FREQUENCY: NAN, SWING_HEIGHT: NAN, TRUNK_HEIGHT: 0.25}, 0.0, 0.01)
    content = json.loads(json.dumps(as_json(stood), allow_nan=False))
    assert content["measured"] == {GAIT_FREQUENCY: None, SWING_HEIGHT: None, TRUNK_HEIGHT: 0.25}
    assert content["commanded"] == GAIT
    assert as_json(GaitWalk(0.5, GAIT, None))["measured"] is None


def test_the_file_names_policy_and_code(monkeypatch, tmp_path):
    sealed = SimpleNamespace(sha256="ab", contract=gait_contract(load_robot()))
    monkeypatch.setattr(gait_grid, "read_bundle", lambda path: sealed)
    monkeypatch.setattr(gait_grid, "record_gait", lambda *rest: trot(2.0, 0.08, 0.28))
    monkeypatch.setattr(gait_grid, "grid", lambda contract, forward_m_s: [(forward_m_s, GAIT)])
    monkeypatch.setattr("sys.argv", ["gait_grid", "a.go1policy", "--out", str(tmp_path / "grid")])
    gait_grid.main()
    written = json.loads((tmp_path / "grid.json").read_text())
    assert (written["bundle_sha256"], written["code_version"]) == ("ab", code_version())
    assert len(written["walks"]) == 1


def test_the_table_by_hand():
    walks = [
        GaitWalk(0.5, GAIT, {GAIT_FREQUENCY: 2.1, SWING_HEIGHT: 0.07, TRUNK_HEIGHT: 0.27}, 0.45, 3.0),
        GaitWalk(0.5, GAIT, {GAIT_FREQUENCY: 1.9, SWING_HEIGHT: 0.06, TRUNK_HEIGHT: 0.28}, 0.55, 3.0),
        GaitWalk(0.5, GAIT, None),
        GaitWalk(0.0, GAIT, {GAIT_FREQUENCY: NAN, SWING_HEIGHT: NAN, TRUNK_HEIGHT: 0.25}, 0.0, 0.01),
    ]
    lines = table(walks).splitlines()
    assert lines[2] == "| 0.50 | 0.45 | 2.00 | 2.10 | 0.080 | 0.070 | 0.280 | 0.270 | 3.00 |"
    assert lines[4] == "| 0.50 | fell | 2.00 | - | 0.080 | - | 0.280 | - | - |"
    assert lines[5] == "| 0.00 | 0.00 | 2.00 | - | 0.080 | - | 0.280 | 0.250 | 0.01 |"
    assert "4 walks, 1 of them not to the end" in lines[7]
    assert "| gait_frequency | +0.000 | +0.100 | +0.100 |" in lines
    assert "| swing_height | -0.015 | +0.015 | -0.020 |" in lines
    assert "| trunk_height | -0.013 | +0.013 | -0.030 |" in lines
    assert not math.isnan(errors(walks, SWING_HEIGHT).sum())
