"""What the doctor says, and the table a person looks it up in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.host.doctor.findings import REMEDIES, Verdict, fault, not_checked, ok

TABLE = Path(__file__).resolve().parents[4] / "docs" / "troubleshooting.md"


def test_the_table_has_one_row_for_every_diagnosis_and_no_other() -> None:
    rows = re.findall(r"^\|[^|]*\| `([a-z-]+)` \|", TABLE.read_text("utf-8"), flags=re.MULTILINE)
    assert sorted(rows) == sorted(REMEDIES)


def test_a_remedy_is_a_sentence() -> None:
    for diagnosis, remedy in REMEDIES.items():
        assert remedy.endswith(".") and len(remedy) > 20, diagnosis


def test_a_fault_carries_its_remedy() -> None:
    finding = fault("battery", "battery-low", "12 %")
    assert finding.to_dict() == {
        "check": "battery",
        "verdict": "fault",
        "detail": "12 %",
        "diagnosis": "battery-low",
        "remedy": REMEDIES["battery-low"],
    }


def test_what_is_no_fault_needs_no_remedy() -> None:
    assert ok("battery", "80 %").remedy == ""
    assert not_checked("battery", "no state").to_dict()["remedy"] is None
    assert not_checked("battery", "no state").verdict is Verdict.NOT_CHECKED


def test_a_diagnosis_without_a_remedy_cannot_be_made() -> None:
    with pytest.raises(KeyError, match="moon-phase"):
        fault("sky", "moon-phase", "full")
