"""One run a folder: the same command given twice would write two runs into one."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from robot_configs.errors import Go1Error


class FolderInUseError(Go1Error):
    """A folder that another process works in."""


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Hold a folder, which exists, as long as the block runs; the kernel lets go of it when a process is killed.

    Raises:
        FolderInUseError: another process holds it.
    """
    descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            remedy = "Wait for that run or stop it; or give another --out."
            raise FolderInUseError("a folder that no other run works in", f"a run that holds {out}", remedy) from None
        if not out.is_dir() or os.stat(out).st_ino != os.fstat(descriptor).st_ino:
            remedy = "Look at what that run has left, then give the command again if it is still wanted."
            raise FolderInUseError(f"the folder {out} to stay", "a run that ended just now and took it away", remedy)
        yield
    finally:
        os.close(descriptor)
