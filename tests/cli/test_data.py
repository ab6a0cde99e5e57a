"""`go1 data`: what it takes, and what it says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.main import main
from tests.offline_data.synthetic_log import standing_session, write_log


def test_one_log_is_checked_as_well_as_a_folder_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        write_log(tmp_path / f"{name}.mcap", standing_session(5))
    assert main(["data", "check", str(tmp_path / "b.mcap"), "--json"]) == 0
    (log,) = json.loads(capsys.readouterr().out)["logs"]
    assert log["path"] == str(tmp_path / "b.mcap")
    assert main(["data", "check", str(tmp_path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["logs"]) == 2
