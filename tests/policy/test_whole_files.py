"""Whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from policy.whole_files import whole_file, write_whole


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


def test_bytes_and_name_are_flushed_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A power cut takes back what was not: the file before it has its name, the folder after that."""
    calls: list[tuple[str, bool]] = []
    fsync, replace = os.fsync, os.replace

    def flushed(descriptor: int) -> None:
        calls.append(("flush", stat.S_ISDIR(os.fstat(descriptor).st_mode)))
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        calls.append(("rename", False))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    write_whole(tmp_path / "a.txt", "text")
    assert calls == [("flush", False), ("rename", False), ("flush", True)]
