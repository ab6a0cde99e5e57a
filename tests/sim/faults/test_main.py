"""The command line of the matrix."""

from __future__ import annotations

from pathlib import Path

import pytest

from sim.faults.__main__ import NoCaseError, main


def test_cases_are_listed_with_their_class(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--only", "tick/s*"]) == 0
    listed = capsys.readouterr().out.splitlines()
    expected = [["detectable", f"tick/{kind}"] for kind in ("stuck", "slow", "sign_flip")]
    assert [line.split() for line in listed] == [*expected, ["tolerated", "tick/spike"]]


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(NoCaseError, match="--list"):
        main(["--only", "nothing/*"])


def test_a_run_writes_its_report(tmp_path: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "faults.md"
    arguments = [
        "--only",
        "quaternion/nan",
        "--bundle",
        str(bundle_path),
        "--out",
        str(report),
        "--workers",
        "1",
        "--pairs",
        "0",
    ]
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("1 cases, 1 as expected.")
    assert "| detectable | 1 | 1 |" in report.read_text(encoding="utf-8")
