"""The lease of a robot: on this machine, one runner at a time may drive it, and the kernel keeps the books.

A lease is an exclusive `flock` on a file named after the robot's address. The lock belongs to the open file, which the
runner's processes inherit: it is held until the last of those that keep it has ended, however they end. Nothing stale
can be left: the file of a runner that was killed is just a file, and its next holder does not mind that it is there.

Every holder has an epoch, greater than those of all holders before it (the machine's monotonic clock, read under the
lock). It is on every target that a pilot writes, and the gate refuses targets of another epoch: a pilot that outlived
its session cannot reach into the next one.

Another machine on the robot's network is out of a lock's reach: the robot's protocol knows no owner.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from pathlib import Path
from typing import Optional

from robot_configs.errors import Go1Error

_RUN_LOCK, _FALLBACK = Path("/run/lock"), Path("/tmp")
_RECORD_BYTES = 64
_ATTEMPTS = 10
_FOR_ALL_USERS = 0o666


class LeaseError(Go1Error):
    """The robot's lease cannot be had."""


class LeaseTakenError(LeaseError):
    """Another runner drives the robot."""


def lease_directory() -> Path:
    """Where every user of this machine looks for leases: /run/lock where it is open to all, as on Debian, else /tmp.

    It must not depend on the user or the environment: two runners that look in different places are two drivers.
    """
    try:
        open_to_all = _RUN_LOCK.stat().st_mode & stat.S_IWOTH
    except FileNotFoundError:
        open_to_all = 0
    return _RUN_LOCK if open_to_all else _FALLBACK


class Lease:
    """The right to drive one robot; taken on construction."""

    def __init__(self, robot_address: str, directory: Optional[Path] = None) -> None:
        """Take the lease of the robot at `robot_address` (HOST:PORT).

        Raises:
            LeaseTakenError: another runner holds it; its process is named.
            LeaseError: the lease's file cannot be used.
        """
        name = re.sub(r"[^0-9A-Za-z.]", "_", robot_address)
        self.path = (lease_directory() if directory is None else directory) / f"go1_{name}.lease"
        descriptor = self._lock(robot_address)
        self._descriptor: Optional[int] = descriptor
        self.epoch = time.monotonic_ns()
        """Greater than that of every holder before."""
        os.pwrite(descriptor, f"{os.getpid()}\n".ljust(_RECORD_BYTES).encode(), 0)

    def release(self) -> None:
        """Give the lease back, once every process that inherited it has ended or disowned it; twice is allowed."""
        if self._descriptor is not None:
            try:
                self.path.unlink()  # still under the lock: whoever opened it before will see that it is another file
            except (FileNotFoundError, PermissionError):
                pass  # removed by hand, or made by another user; the lock is what counts
            self.disown()

    def disown(self) -> None:
        """In a process that inherited the lease: do not hold it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _lock(self, robot_address: str) -> int:
        for _ in range(_ATTEMPTS):
            descriptor = _open(self.path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(self.path, descriptor):
                    return descriptor
                os.close(descriptor)  # the holder before us removed it between our opening and locking it
            except BlockingIOError:
                holder = os.pread(descriptor, _RECORD_BYTES, 0).decode("ascii", errors="replace").strip()
                os.close(descriptor)
                raise LeaseTakenError(
                    f"the robot at {robot_address} to be free",
                    f"a runner that drives it: process {holder or 'unknown'}",
                    f"End that session (kill -INT {holder or 'PID'}) and try again.",
                ) from None
            except OSError as error:
                os.close(descriptor)
                raise LeaseError(f"a file system with locks at {self.path}", str(error), "Use a local one.") from error
        raise LeaseError(f"a lease file that stays at {self.path}", "one that keeps vanishing", "Find who removes it.")


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _open(path: Path) -> int:
    # Without O_CREAT first: Linux forbids it on another user's file in a folder like /tmp (fs.protected_regular), even
    # where that file exists and may be written.
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            return os.open(path, flags)
        except FileNotFoundError:
            descriptor = os.open(path, flags | os.O_CREAT, _FOR_ALL_USERS)
            os.fchmod(descriptor, _FOR_ALL_USERS)  # the umask would keep other users from locking it
            return descriptor
    except OSError as error:
        raise LeaseError(f"a lease file at {path}", str(error), "Correct its folder, owner or permissions.") from error
