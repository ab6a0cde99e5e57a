"""A disk that fails under the recorder: full, or so slow that a write takes a second."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import List, Literal
from unittest import mock

from deploy.onboard.mcap_blocks import BlockMcapWriter, MessageBlock
from robot_configs.errors import Go1Error


class DiskFaultError(Go1Error):
    """A fault of the disk that cannot be."""


@dataclass(frozen=True)
class DiskFault:
    """What the disk does from the onset on.

    Attributes:
        kind: full (every write that would make the log longer fails), stall (the next write takes `stall_s` of real
            time).
    """

    kind: Literal["full", "stall"]
    stall_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.stall_s > 0.0:
            raise DiskFaultError("a stall above 0 s", f"{self.stall_s}", "Correct it.")


class FailingDisk:
    """The disk of a trial: sound until `fail` is called.

    A full disk is one that the kernel allows no file to grow on (RLIMIT_FSIZE): the same error path as ENOSPC, and it
    needs neither privileges nor a file system of its own. It holds for the whole process until the trial is over.
    """

    def __init__(self, fault: DiskFault, log_dir: Path) -> None:
        self._fault, self._log_dir = fault, log_dir
        self.failing = False
        """Whether the fault is still to come true, or lasts."""

    def fail(self) -> None:
        """From now on."""
        self.failing = True
        if self._fault.kind == "full":
            size = max((path.stat().st_size for path in self._log_dir.iterdir()), default=0)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    @contextmanager
    def mounted(self) -> Iterator[None]:
        """While the trial runs."""
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        write_chunk = BlockMcapWriter.write_chunk

        def slow(writer: BlockMcapWriter, blocks: List[MessageBlock]) -> None:
            if self.failing and self._fault.kind == "stall":
                self.failing = False
                time.sleep(self._fault.stall_s)
            write_chunk(writer, blocks)

        try:
            with mock.patch.object(BlockMcapWriter, "write_chunk", slow):
                yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
