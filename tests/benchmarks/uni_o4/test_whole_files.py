"""Whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.uni_o4.whole_files import whole_file, write_whole


def test_a_file_that_could_not_be_written_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "folder" / "a.txt"
    write_whole(path, "old")
    with pytest.raises(RuntimeError), whole_file(path) as partial:
        partial.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    write_whole(path, "new")
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]
