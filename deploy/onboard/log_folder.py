"""The folder of the logs: that a session's log can be begun there, and finds room, is made sure of before it starts.

A disk that fills up later costs records and nothing else: the robot walks on. One that is full already would cost all
of them, of a session that somebody runs for its log.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import Callable, Optional

from robot_configs.errors import Go1Error

LOG_BYTES_PER_S = 200_000
"""What a log grows by [bytes/s], rounded up: sessions with the twin took up to 176,000 in real time, whose chunks are
small, and 131,000 in lockstep."""

BESIDE_THE_WALK_S = 60.0
"""Standing up, waiting for a person and sitting down are in the log as well [s]; also the least that is asked for."""

LONGEST_FORESEEN_S = 3600.0
"""More walking than this is no reason to ask for more room: a duration is also given as a limit, not as a plan [s]."""

TRIED_BYTES = 65536
"""Really written, for quotas and other limits do not show in the free space: some times what a log's head takes."""


class LogFolderError(Go1Error):
    """Logs cannot be written there, or find no room."""


def log_room_bytes(walk_s: float) -> int:
    """Room for the log of a session with `walk_s` of walking [s]."""
    return round((min(walk_s, LONGEST_FORESEEN_S) + BESIDE_THE_WALK_S) * LOG_BYTES_PER_S)


def foreseen_walk_s(duration_s: float, episodes: Optional[int], episode_s: Optional[float]) -> float:
    """The most that a session can walk [s]; its arguments are those of `runner.run_on_robot`."""
    return duration_s if episodes is None or episode_s is None else min(duration_s, episodes * episode_s)


def require_log_folder(folder: Path, walk_s: float = 0.0) -> None:
    """Make the folder if it is not there, and see that a log of `walk_s` of walking [s] can be written to it.

    Leaves no file.

    Raises:
        LogFolderError: it can not be made, is a file, may not be written to, or has no room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LogFolderError(
            f"to make the folder of the logs {folder}", _obstacle(folder, error), "Name another folder with --log-dir."
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LogFolderError(
            f"a folder of logs that this user may write to at {folder}",
            "one that is closed to it",
            "Change its permissions, or name another folder with --log-dir.",
        )
    needed = log_room_bytes(walk_s)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise LogFolderError(
            f"{_megabytes(math.ceil, needed)} free for the log in {folder}",
            _megabytes(math.floor, free),
            "Free some space there, name another folder with --log-dir, or ask for less walking: a minute takes "
            f"{_megabytes(math.ceil, 60 * LOG_BYTES_PER_S)}.",
        )
    try:
        _try_to_write(folder)
    except OSError as error:
        raise log_not_begun(folder, error) from None


def log_not_begun(folder: Path, error: OSError) -> LogFolderError:
    """What to raise where the system did not let a log begin in `folder`."""
    return LogFolderError(
        f"to begin a log in {folder}",
        f"{error.strerror}",
        "Look at that disk's free space, quota and permissions, or name another folder with --log-dir.",
    )


def _try_to_write(folder: Path) -> None:
    # Without a name from the beginning where the system can do that: nothing is left behind even by a kill.
    with tempfile.TemporaryFile(dir=folder, buffering=0) as stream:
        os.posix_fallocate(stream.fileno(), 0, TRIED_BYTES)
        os.fsync(stream.fileno())


def _obstacle(folder: Path, error: OSError) -> str:
    for place in (folder, *folder.parents):
        if place.is_file():
            return f"a file of the name {place}"
    return f"{error.strerror}"


def _megabytes(whole: Callable[[float], int], count: int) -> str:
    # Rounded apart, so that what is missing never reads as if it were there.
    return f"{whole(count / 1e5) / 10:.1f} MB"
