"""Where a log goes: refused before a session what could not hold one, with the numbers, and without a trace."""

from __future__ import annotations

import resource
import shutil
import tempfile
from pathlib import Path
from typing import Iterator, NamedTuple, Optional

import pytest

from deploy.onboard.log_folder import LogFolderError, foreseen_walk_s, log_room_bytes, require_log_folder


class Usage(NamedTuple):
    """What `shutil.disk_usage` says."""

    total: int
    used: int
    free: int


def with_free(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**12, 10**12 - count, count))


@pytest.fixture
def no_file_grows() -> Iterator[None]:
    """As on a full disk: the system refuses every byte."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("walk_s", "room"), [(0.0, 12_000_000), (60.0, 24_000_000), (3600.0, 732_000_000), (1e9, 732_000_000)]
)
def test_the_room_that_a_log_needs(walk_s: float, room: int) -> None:
    assert log_room_bytes(walk_s) == room


def test_the_folder_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    for _ in range(2):
        require_log_folder(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize(
    ("duration_s", "episodes", "episode_s", "walk_s"),
    [
        (60.0, None, None, 60.0),
        (60.0, 2, None, 60.0),
        (60.0, None, 5.0, 60.0),
        (60.0, 2, 5.0, 10.0),
        (60.0, 20, 5.0, 60.0),
    ],
)
def test_the_walking_that_room_is_needed_for(
    duration_s: float, episodes: Optional[int], episode_s: Optional[float], walk_s: float
) -> None:
    assert foreseen_walk_s(duration_s, episodes, episode_s) == walk_s


def test_one_byte_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(24_000_000, monkeypatch)
    require_log_folder(tmp_path, 60.0)
    with_free(23_999_999, monkeypatch)
    with pytest.raises(LogFolderError, match=r"expected 24\.0 MB free .*; found 23\.9 MB"):
        require_log_folder(tmp_path, 60.0)


def test_the_refusal_names_what_is_free_and_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_free(1_250_000, monkeypatch)
    with pytest.raises(LogFolderError, match=r"expected 24\.0 MB free .*; found 1\.2 MB\. .* a minute takes 12\.0 MB"):
        require_log_folder(tmp_path, 60.0)


def test_free_space_that_can_not_be_had_is_no_room(tmp_path: Path, no_file_grows: None) -> None:
    with pytest.raises(LogFolderError, match="expected to begin a log in .*; found File too large"):
        require_log_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below/it"])
def test_a_file_is_no_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogFolderError, match="found a file of the name .*/file\\. Name another folder with --log-dir"):
        require_log_folder(tmp_path / place)


def test_a_folder_that_can_not_be_made_says_why() -> None:
    with pytest.raises(LogFolderError, match="expected to make the folder of the logs"):
        require_log_folder(Path("/proc/logs"))


def test_the_trial_of_the_disk_leaves_nothing_where_files_need_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "_O_TMPFILE_WORKS", False)
    require_log_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
