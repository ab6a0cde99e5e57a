"""The acceptance table: verdicts by hand at their bounds, a row a condition, and going on where it stopped."""

import json
from typing import Any

import pytest

from benchmarks import transfer
from benchmarks.transfer import ABROAD, DEMANDS, NOMINAL, TransferError, finished, misses, table, write
from robot_configs.twin_conditions import load_condition


def summary(falls: int = 0, linear: float = 0.1, yaw: float = 0.1) -> dict[str, Any]:
    error = {"linear_m_s": linear, "yaw_rad_s": yaw}
    return {"falls": falls, "episodes": 50, "velocity_error": error, "return_mean": 1300.0}


@pytest.mark.parametrize(
    ("result", "demand", "missed"),
    [
        (summary(0, 0.15, 0.20), NOMINAL, []),
        (summary(1, 0.15, 0.20), NOMINAL, ["falls 0.02 > 0"]),
        (summary(0, 0.151, 0.21), NOMINAL, ["m/s 0.151 > 0.15", "rad/s 0.21 > 0.2"]),
        (summary(1, 0.3, 9.0), ABROAD, []),
        (summary(2, 0.31, 9.0), ABROAD, ["falls 0.04 > 0.02", "m/s 0.31 > 0.3"]),
        (summary(0, float("nan"), 0.1), NOMINAL, ["m/s nan > 0.15"]),
    ],
)
def test_verdicts_at_the_bounds(result, demand, missed):
    assert misses(result, demand) == missed


def test_the_demanded_conditions_are_what_they_are_called():
    nominal = load_condition("nominal")
    assert set(DEMANDS) == {
        *("nominal", "rough_3cm", "slope", "payload_3kg", "one_weak_motor", "low_friction", "delay", "pushes"),
    }
    assert load_condition("rough_3cm").ground.roughness_height_m == 0.03
    assert load_condition("slope").ground.slope_rad == pytest.approx(10.0 * 3.14159 / 180.0, abs=1e-3)
    assert load_condition("payload_3kg").payload.mass_kg == 3.0
    assert sorted(load_condition("one_weak_motor").motors.strength)[:2] == [0.7, 1.0]
    assert load_condition("low_friction").ground.friction == 0.3
    assert load_condition("delay").motors.command_delay_ms == nominal.motors.command_delay_ms + 10
    assert load_condition("pushes").disturbance.push_speed_m_s == 0.5


def test_the_table_has_a_row_a_condition_in_order():
    rows = table({"slope": summary(3), "nominal": summary()}).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| nominal", "| slope"]
    assert "3 of 50" in rows[1]
    assert rows[0].endswith("| met |")
    assert "MISSED: falls 0.06 > 0.02" in rows[1]


def test_a_second_call_measures_only_what_is_missing(tmp_path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    class Measured:
        def to_dict(self) -> dict[str, Any]:
            return summary()

    class Sealed:
        sha256 = "ab"

    def evaluate(bundle, condition, *rest):
        asked.append(condition)
        return Measured()

    monkeypatch.setattr(transfer, "evaluate_bundle", evaluate)
    monkeypatch.setattr(transfer, "read_bundle", lambda path: Sealed())
    out = tmp_path / "results" / "transfer"

    def call(*words: str) -> None:
        monkeypatch.setattr("sys.argv", ["transfer", "a.go1policy", "--out", str(out), *words])
        transfer.main()

    monkeypatch.setattr(transfer, "code_version", lambda: "1.0+first")
    call("--conditions", "nominal", "slope")
    monkeypatch.setattr(transfer, "code_version", lambda: "1.0+second")
    call("--conditions", "slope", "pushes")
    assert asked == ["nominal", "slope", "pushes"]
    measured = json.loads(out.with_suffix(".json").read_text())["conditions"]
    made_by = {name: result["code_version"] for name, result in measured.items()}
    assert made_by == {"nominal": "1.0+first", "slope": "1.0+first", "pushes": "1.0+second"}
    assert len(out.with_suffix(".md").read_text().splitlines()) == 2 + 3
    before = out.with_suffix(".json").read_text()
    with pytest.raises(TransferError, match="another seed"):
        call("--conditions", "nominal", "--seed", "2")
    assert out.with_suffix(".json").read_text() == before, "hours of another measurement are not written over"
    assert [path.suffix for path in sorted(out.parent.iterdir())] == [".json", ".md"], "nothing half written is left"


MEASUREMENT = {"bundle_sha256": "ab", "episodes": 50, "episode_s": 20.0, "seed": 1, "commands": "random:"}


def test_only_the_same_measurement_is_gone_on_with(tmp_path):
    path = tmp_path / "a.json"
    assert finished(path, MEASUREMENT) == {}
    write(tmp_path / "a", MEASUREMENT, {"nominal": summary()})
    assert finished(path, MEASUREMENT) == {"nominal": summary()}
    others = {"bundle_sha256": "cd", "episodes": 49, "episode_s": 10.0, "seed": 2, "commands": "vx=1,vy=0,yaw=0"}
    for name, value in others.items():
        with pytest.raises(TransferError, match=f"another {name}"):
            finished(path, {**MEASUREMENT, name: value})


def test_a_condition_that_has_changed_is_another_one(tmp_path, monkeypatch: pytest.MonkeyPatch):
    write(tmp_path / "a", MEASUREMENT, {"nominal": summary(), "slope": summary()})
    monkeypatch.setattr(transfer, "load_condition", lambda name: load_condition("pushes" if name == "slope" else name))
    with pytest.raises(TransferError, match="another slope"):
        finished(tmp_path / "a.json", MEASUREMENT)
