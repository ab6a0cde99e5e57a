"""The verdict on a shadow: each threshold by itself, and what is left of it in a file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from cli.shadow import write_report
from deploy.onboard.shadow_report import (
    MAX_REPORT_BYTES,
    Divergence,
    ShadowError,
    ShadowFindings,
    ShadowReport,
    ShadowThresholds,
    read_report,
    require_passed,
)

CANDIDATE, DRIVER = "c" * 64, "d" * 64
JOINTS = (0.0,) * 12
AGREEING = Divergence(
    joint_names=("joint",) * 12,
    joint_rms_rad=JOINTS,
    joint_median_rad=JOINTS,
    joint_p95_rad=JOINTS,
    joint_worst_rad=JOINTS,
    median_rad=0.10,
    p95_rad=0.30,
    worst_rad=0.80,
    gate_changed_share=0.0225,
    driver_gate_changed_share=0.0125,
    log_likelihood_median=-3.0,
    driver_log_likelihood_median=-1.0,
    step_median_s=0.001,
    step_p99_s=0.010,
    step_worst_s=1.0,
)
"""At every limit, beyond none."""


def report(divergence: Any = AGREEING, steps: int = 1000, driver_steps: int = 1000, **changes: Any) -> ShadowReport:
    findings = ShadowFindings(steps=steps, starts=1, divergence=divergence)
    return ShadowReport(CANDIDATE, DRIVER, driver_steps, replace(findings, **changes))


def test_at_every_limit_it_may_drive() -> None:
    at_limits = report(steps=990)
    assert at_limits.objections == ()
    assert at_limits.may_drive
    assert at_limits.missed_steps == 10


@pytest.mark.parametrize(
    ("figure", "beyond", "objection"),
    [
        ("median_rad", 0.101, "median divergence 0.101 rad, limit 0.100"),
        ("p95_rad", 0.301, "95 % quantile divergence 0.301 rad, limit 0.300"),
        ("worst_rad", 0.801, "largest divergence 0.801 rad, limit 0.800"),
        ("gate_changed_share", 0.024, "the gate would have moved 2.4% of its targets, limit 2.2%"),
        ("step_p99_s", 0.0111, "1 % of its steps take 11.1 ms or more, limit 10.0"),
    ],
)
def test_each_figure_objects_alone(figure: str, beyond: float, objection: str) -> None:
    too_much: Any = {figure: beyond}
    no_number: Any = {figure: math.nan}
    assert report(replace(AGREEING, **too_much)).objections == (objection,)
    assert len(report(replace(AGREEING, **no_number)).objections) == 1, "what is no number keeps to no limit"


def test_little_evidence_is_an_objection() -> None:
    assert report(steps=499, driver_steps=499).objections == ("499 steps compared, at least 500 needed",)
    assert report(steps=500, driver_steps=500).may_drive


def test_steps_that_were_missed_are_an_objection() -> None:
    assert report(steps=989).objections == ("11 of 1000 steps were missed, limit 1%",)


def test_a_single_target_that_is_no_number_is_an_objection() -> None:
    odd = report(steps=999, non_finite_steps=1)
    assert odd.missed_steps == 0
    assert odd.objections == ("1 steps without a finite target",)


def test_a_process_that_failed_is_an_objection() -> None:
    assert replace(report(), failure="was killed by SIGSEGV").objections == ("the shadow was killed by SIGSEGV",)


def test_without_any_figures_it_may_not_drive() -> None:
    nothing = ShadowReport(CANDIDATE, DRIVER, 0, ShadowFindings())
    assert nothing.objections == ("0 steps compared, at least 500 needed",)


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.shadow.json"
    written = report(steps=990)
    write_report(written, path)
    assert read_report(path) == written
    content = json.loads(path.read_text())
    assert (content["may_drive"], content["objections"]) == (True, [])
    assert require_passed(path, CANDIDATE) == written


def test_a_file_without_figures_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    empty = ShadowReport(CANDIDATE, DRIVER, 7, ShadowFindings(starts=1), failure="was killed by SIGKILL")
    write_report(empty, path)
    assert read_report(path) == empty


def test_what_is_no_number_stays_none_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_report(report(replace(AGREEING, worst_rad=math.nan)), path)
    assert json.loads(path.read_text())["findings"]["divergence"]["worst_rad"] is None
    assert not read_report(path).may_drive


def test_a_verdict_that_was_edited_changes_nothing(tmp_path: Path) -> None:
    """It follows from the figures, under the thresholds of this program."""
    path = tmp_path / "a.json"
    values = report(replace(AGREEING, worst_rad=0.9)).to_dict()
    lenient = asdict(replace(ShadowThresholds(), worst_rad=2.0))
    path.write_text(json.dumps({**values, "may_drive": True, "objections": [], "thresholds": lenient}))
    with pytest.raises(ShadowError, match="largest divergence 0.900 rad"):
        require_passed(path, CANDIDATE)


def test_the_report_of_another_bundle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_report(report(), path)
    with pytest.raises(ShadowError, match="bundle eeeeeeeeeeee; found one of cccccccccccc"):
        require_passed(path, "e" * 64)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"findings": 3}',
        b'{"findings": {"divergence": 3}}',
        b" " * (MAX_REPORT_BYTES + 1),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ShadowError, match="a shadow report in"):
        read_report(path)
