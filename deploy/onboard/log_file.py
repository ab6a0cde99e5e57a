"""The recorder process's file: written at known places, synced by a thread of its own, retried until the disk takes it.

What is written survives the end of every process; what is synced survives a power cut. A sync may take as long as the
disk likes: it is asked for at most every `SYNC_PERIOD_S`, in a thread, while the writes go on.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Protocol, Sequence

from deploy.onboard.mcap_blocks import BlockMcapWriter, MessageBlock
from offline_data.log_schema import METADATA_NAME, SessionMetadata

SYNC_PERIOD_S = 0.08
"""Shortest time from one sync's begin to the next's [s].

A power cut costs what was recorded since the begin of the last sync that ended: this period, the time the sync takes,
and the 20 ms between writes. For at most 200 ms the disk may take 100 ms for a sync.
"""


class Disk(Protocol):
    """The calls that reach the disk; each may raise OSError, or take its time."""

    def create(self, path: Path) -> int:
        """A descriptor of a new, empty file, whose name survives a power cut; FileExistsError if it is there."""
        ...

    def write(self, descriptor: int, content: bytes, offset: int) -> int:
        """Write at `offset`; returns how many bytes were taken."""
        ...

    def sync(self, descriptor: int) -> None:
        """Return once everything written before the call survives a power cut."""
        ...

    def close(self, descriptor: int) -> None:
        """Close the file."""
        ...


class SystemDisk:
    """The operating system's files."""

    def create(self, path: Path) -> int:
        """See `Disk.create`."""
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return descriptor

    def write(self, descriptor: int, content: bytes, offset: int) -> int:
        """See `Disk.write`."""
        return os.pwrite(descriptor, content, offset)

    def sync(self, descriptor: int) -> None:
        """See `Disk.sync`."""
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        """See `Disk.close`."""
        os.close(descriptor)


class LogFile:
    """One MCAP file that grows by a chunk at a time.

    Args:
        path: must not exist yet.
        sources: names of the processes whose messages it will hold.

    Raises:
        FileExistsError: it does.
        OSError: it cannot be created.
    """

    def __init__(self, path: Path, metadata: SessionMetadata, sources: Sequence[str], disk: Disk) -> None:
        self.path, self._disk = path, disk
        self._descriptor = disk.create(path)
        self._pending = _PendingBytes()
        self._written = 0
        self._writer = BlockMcapWriter(self._pending, METADATA_NAME, metadata.to_record(), sources)
        self._syncs = _SyncThread(disk, self._descriptor)

    @property
    def pending(self) -> bool:
        """Whether something added is not in the file yet."""
        return bool(self._pending.content)

    @property
    def sync_error(self) -> str:
        """The first failure to sync; empty if there was none."""
        return self._syncs.error

    def add(self, blocks: Sequence[MessageBlock]) -> None:
        """Make the blocks the next chunk, to be written by the next `flush`."""
        self._writer.write_chunk(blocks)

    def add_index(self) -> None:
        """Make the index the end of the file, to be written by the next `flush`."""
        self._writer.finish()

    def flush(self) -> None:
        """Write what was added. After an error the same call tries again, over whatever the failed one left.

        Raises:
            OSError: some of it is not in the file.
        """
        content, done = self._pending.content, 0
        while done < len(content):
            done += self._disk.write(self._descriptor, bytes(content[done:]), self._written + done)
        self._written += done
        content.clear()
        self._syncs.request()

    def close(self) -> None:
        """Sync and close; a failure is in `sync_error`."""
        self._syncs.close()
        self._disk.close(self._descriptor)


class _PendingBytes:
    """Holds what the MCAP writer writes until `LogFile.flush`."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, content: bytes) -> int:
        self.content += content
        return len(content)

    def flush(self) -> None:
        """Nothing: the file decides when."""


class _SyncThread:
    """Syncs soon after it is asked to, at most once a period."""

    def __init__(self, disk: Disk, descriptor: int) -> None:
        self.error = ""
        self._disk, self._descriptor = disk, descriptor
        self._wanted, self._ending = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="log_sync", daemon=True)
        self._thread.start()

    def request(self) -> None:
        self._wanted.set()

    def close(self) -> None:
        """End the thread, then sync what it may have missed."""
        self._ending.set()
        self._wanted.set()
        self._thread.join()
        self._sync()

    def _run(self) -> None:
        self._wanted.wait()
        while not self._ending.is_set():
            self._wanted.clear()
            started_s = time.monotonic()
            self._sync()
            self._ending.wait(max(0.0, started_s + SYNC_PERIOD_S - time.monotonic()))
            self._wanted.wait()

    def _sync(self) -> None:
        try:
            self._disk.sync(self._descriptor)
        except OSError as error:
            self.error = self.error or str(error)
