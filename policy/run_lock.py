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
        yield
    finally:
        os.close(descriptor)
