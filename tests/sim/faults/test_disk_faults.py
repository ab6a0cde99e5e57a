"""A full and a slow disk, below a real writer."""

from __future__ import annotations

import resource
import time
from pathlib import Path
from typing import List

import pytest

from deploy.onboard.mcap_blocks import BlockMcapWriter
from sim.faults.disk_faults import DiskFault, DiskFaultError, FailingDisk


def test_no_file_grows_on_a_full_disk_and_afterwards_they_do(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"12345")
    disk = FailingDisk(DiskFault("full"), tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with disk.mounted(), open(log, "ab", buffering=0) as stream:
        stream.write(b"6")
        disk.fail()
        with pytest.raises(OSError, match="File too large"):
            stream.write(b"7")
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before
    assert log.read_bytes() == b"123456"


def test_a_slow_disk_takes_its_time_over_one_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: List[object] = []
    monkeypatch.setattr(BlockMcapWriter, "write_chunk", lambda writer, blocks: written.append(blocks))
    writer = BlockMcapWriter.__new__(BlockMcapWriter)
    disk = FailingDisk(DiskFault("stall", 0.2), tmp_path)
    with disk.mounted():
        writer.write_chunk([])
        disk.fail()
        begin_s = time.monotonic()
        writer.write_chunk([])
        assert time.monotonic() - begin_s >= 0.2
        assert not disk.failing
    assert len(written) == 2


def test_a_stall_takes_time() -> None:
    with pytest.raises(DiskFaultError, match="above 0 s"):
        DiskFault("stall", 0.0)
