"""The report's tables, on verdicts made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sim.faults.case import Expectation, FaultCase
from sim.faults.disk_faults import DiskFault
from sim.faults.flood import FloodResult
from sim.faults.paired_loss import PairedLoss, Walk
from sim.faults.report import write_report
from sim.faults.verdict import Verdict, judge
from sim.twin.sensor_faults import SensorFault
from tests.sim.faults.walked_on import WALKED_ON

GYRO = SensorFault("gyro", "off")


def _verdict(name: str, expectation: Expectation, case: Any = None, **result: Any) -> Verdict:
    case = FaultCase(name, name.split("/")[0], expectation, seed=0, **(case or {}))
    return judge(case, replace(WALKED_ON, name=name, **result))


def _report(*verdicts: Verdict, loss: Any = None, floods: Any = ()) -> str:
    return write_report(verdicts, loss, floods, "python -m sim.faults", "0123456789abcdef")


def test_classes_are_counted_and_timed() -> None:
    text = _report(
        *(
            _verdict(f"gyro/{n}", Expectation.DETECTABLE, damped_s=t)
            for n, t in (("a", 0.01), ("b", 0.02), ("c", 0.05))
        ),
        _verdict("loss/d", Expectation.TOLERATED),
    )
    assert "**4 cases, 3 as expected. 4000 commands, 0 outside the limits" in text
    assert "| detectable | 3 | 2 | 0 | 1 | 0 | 0 | 20 ms | 50 ms | 0 |" in text
    assert "| tolerated | 1 | 0 | 1 | 0 | 0 | 0 | - | - | 0 |" in text
    assert "| gyro | 3 |" in text


def test_what_went_wrong_is_named_with_its_story() -> None:
    text = _report(
        _verdict("gyro/missed", Expectation.PLAUSIBILITY, tilted_s=0.3, damped_s=0.31, reasons="tilt"),
        _verdict("gyro/unharmed", Expectation.PLAUSIBILITY),
        _verdict("loss/stopped", Expectation.TOLERATED, damped_s=0.5, reasons="state_stale"),
        _verdict("pilot/unsafe", Expectation.CONTAINED, violations={"torque": 2, "rate": 1}),
    )
    assert "| gyro/missed | plausibility | fell after 300 ms, damped after 310 ms: tilt | 0.10 m/s |" in text
    assert "| gyro/unharmed | plausibility | walked on | 0.10 m/s |" in text
    assert "## Missed: should have been damped in time (2)" in text
    assert "1 of them fell" in text
    assert "| loss/stopped | tolerated | damped after 500 ms: state_stale | 0.10 m/s |" in text
    assert "| pilot/unsafe | contained | outside limits: rate 1, torque 2 | 0.10 m/s |" in text
    assert "3 outside the limits" in text


def test_what_walks_on_is_compared_group_by_group() -> None:
    text = _report(
        *(_verdict(f"loss/{e}", Expectation.TOLERATED, speed_error_m_s=e) for e in (0.1, 0.2, 0.4)),
        _verdict("loss/damped", Expectation.TOLERATED, damped_s=0.1, speed_error_m_s=9.0),
    )
    assert "| loss | 3 | 0.20 m/s | 0.40 m/s | loss/0.4 |" in text


def test_motion_without_rearming_is_told() -> None:
    text = _report(_verdict("cable/a", Expectation.DETECTABLE, damped_s=0.02, moved_again_s=0.3))
    assert "1 cases of motion after damping" in text
    assert "moved again after 300 ms" in text


def test_sensors_have_a_table_by_channel_and_kind() -> None:
    text = _report(
        _verdict("gyro/off", Expectation.PLAUSIBILITY, {"sensor": GYRO}, damped_s=0.1),
        _verdict("gyro/off/1", Expectation.PLAUSIBILITY, {"sensor": GYRO}),
    )
    assert "| gyro | P 1/2 |" in text


def test_bytes_that_depend_on_the_machine_are_told() -> None:
    alone = _verdict("machine/alone", Expectation.TOLERATED)
    full = _verdict(
        "machine/full", Expectation.TOLERATED, {"disk": DiskFault("full")}, recorder_error="no space", records_dropped=7
    )
    assert "2 runs with one seed; their commands are identical to the byte." in _report(alone, full)
    assert "machine/full: the recorder says 'no space', 7 records lost" in _report(alone, full)
    other = replace(full, result=replace(full.result, commands_sha256="b"))
    assert "**not identical**" in _report(alone, other)


def test_loss_and_floods_have_their_sections() -> None:
    sound, lossy = Walk(0.10, 0.05, False), Walk(0.12, 0.05, True)
    loss = PairedLoss(0.1, 8.0, (sound, sound), (lossy, lossy))
    flood = FloodResult("runner", 5000, (), 2.0, {})
    text = _report(_verdict("loss/a", Expectation.TOLERATED), loss=loss, floods=(flood,))
    assert "2 pairs of walks of 8 s on random commands, same seeds. Falls or faults: 0 without loss, 2 with." in text
    assert "| linear [m/s] | 0.1000 | 0.1200 | +0.0200 (+0.0200 to +0.0200) |" in text
    assert "| runner | 5000 | none | 2 s | 0 |" in text
