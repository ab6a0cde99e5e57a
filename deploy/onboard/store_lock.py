"""The store's locks: one change at a time, one session at a time, and on record who the session is.

A lock belongs to the open file, which a session's processes inherit: the system drops it with the last of them, however
they end. What stands in the file counts only while the lock is held; a runner that was killed leaves nothing to clean.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, NamedTuple, Optional

from deploy.onboard.store_error import StoreError

POLL_S = 0.01
_MAX_RECORD_BYTES = 128
_RECORD = re.compile(rb"([0-9]{1,10}) ([0-9a-f]{64})?\n")


class Holder(NamedTuple):
    """Who holds the lock of the sessions."""

    pid: Optional[int]
    """Process of the session; None if it could not write it down."""
    sha256: Optional[str]
    """Of the bundle that it drives; None before it has chosen one."""

    @property
    def who(self) -> str:
        """For people."""
        return "a process that is not on record" if self.pid is None else f"process {self.pid}"

    @property
    def remedy(self) -> str:
        """How to get rid of it."""
        return f"Wait for its end, or end it: kill -INT {'PID' if self.pid is None else self.pid}."


class SessionLock:
    """One session at a time on a store."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @contextmanager
    def held(self, wait_s: float) -> Iterator[Callable[[str], None]]:
        """Hold it; yields what puts the bundle's SHA-256 on record.

        Raises:
            StoreError: another session holds it; its process is named.
        """

        def busy(descriptor: int) -> StoreError:
            holder = _holder(descriptor)
            return StoreError("no other session on this robot", f"one of {holder.who}", holder.remedy)

        with _locked(self._path, wait_s, busy) as descriptor:
            _write_down(descriptor, "")
            yield lambda sha256: _write_down(descriptor, sha256)

    def holder(self) -> Optional[Holder]:
        """Who holds it now; None if nobody does. Takes no more than a look, and makes no file."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            # Shared, so that two who look do not take each other for a session.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            return _holder(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def change_lock(path: Path, wait_s: float) -> Iterator[None]:
    """Hold the lock of whoever changes the store.

    Raises:
        StoreError: another change takes longer than `wait_s`.
    """
    busy = StoreError("another change of the store to end", f"{path} held by another process", "Wait for it to end.")
    with _locked(path, wait_s, lambda descriptor: busy):
        yield


@contextmanager
def _locked(path: Path, wait_s: float, busy: Callable[[int], StoreError]) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline_s = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline_s:
                    raise busy(descriptor) from None
                time.sleep(POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _write_down(descriptor: int, sha256: str) -> None:
    """What is known of this session; on a full disk nothing, for that must not keep a confirmed bundle from running."""
    try:
        os.ftruncate(descriptor, 0)  # needs no space: whatever happens, nobody reads an earlier session's record
        os.pwrite(descriptor, f"{os.getpid()} {sha256}\n".encode(), 0)
    except OSError:
        return


def _holder(descriptor: int) -> Holder:
    record = _RECORD.fullmatch(os.pread(descriptor, _MAX_RECORD_BYTES, 0))
    if record is None:
        return Holder(None, None)
    pid, sha256 = record.groups()
    return Holder(int(pid), None if sha256 is None else sha256.decode())
