"""What commands print where there is no terminal."""

from __future__ import annotations

import pytest

from cli.output import progress_bars


def test_a_log_file_gets_a_line_for_each_tenth_of_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as advance:
        for done in range(1, 101):
            advance("value", done, 100, {"loss": 0.5})
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["value: 1 of 100", *(f"value: {done} of 100" for done in range(10, 101, 10))]


def test_a_stage_that_begins_again_is_told_again(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as advance:
        for _ in range(2):
            for done in (1, 2):
                advance("improvement", done, 2)
    assert capsys.readouterr().err.splitlines() == ["improvement: 1 of 2", "improvement: 2 of 2"] * 2


def test_a_stage_of_unknown_length_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bars() as advance:
        advance("search", 0, 0)
        advance("search", 0, 0)
    assert capsys.readouterr().err.splitlines() == ["search: 0 of 0"]
