"""Kills and power cuts, a few of each; `benchmarks.log_kills` and `benchmarks.power_cuts` do hundreds.

How many milliseconds a cut costs depends on what else the machine does, and is not judged here; that nothing is lost
which was committed, or which a sync had covered, is.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.power_cuts import Sync, Write, content_after_cut
from deploy.onboard.log_file import SYNC_PERIOD_S
from deploy.onboard.recorder_process import WRITE_PERIOD_S

ROOT = Path(__file__).resolve().parents[3]
WRITES = [Write(0.1 * number, 100 * number, bytes([number + 1]) * 100) for number in range(60)]


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("cases", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_no_kill_loses_a_record(cases: int) -> None:
    result = run("benchmarks.log_kills", "--cases", str(cases), "--seed", "7")
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("cuts", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_no_power_cut_loses_what_was_synced(cuts: int) -> None:
    result = run("benchmarks.power_cuts", "--cuts", str(cuts), "--seconds", "1", "--seed", "7")
    assert "were safe" not in result.stderr and result.stdout.startswith("| cuts"), result.stdout + result.stderr


def test_the_periods_leave_the_disk_100_ms_for_a_sync() -> None:
    assert SYNC_PERIOD_S + WRITE_PERIOD_S + 0.100 <= 0.200 + 1e-9


def test_a_cut_leaves_the_synced_beginning_and_nothing_that_was_not_written() -> None:
    # The sync that ends at 2.5 s began at 2.05 s: it covers the writes 0 to 20. The other has not ended.
    syncs = [Sync(2.05, 2.5), Sync(2.6, 3.5)]
    whole = b"".join(write.content for write in WRITES)
    lengths = set()
    for seed in range(200):
        content, safe = content_after_cut(WRITES, syncs, 3.05, random.Random(seed))
        assert safe == 2100
        assert content[:safe] == whole[:safe]
        assert len(content) <= 3100  # what had been written by then
        assert all(kept in (0, written) for kept, written in zip(content, whole, strict=False))
        lengths.add(len(content))
    assert min(lengths) < 2200 and max(lengths) > 3000


def test_a_cut_before_any_sync_may_leave_nothing() -> None:
    contents = [content_after_cut(WRITES, [Sync(1.0, 2.0)], 1.5, random.Random(seed)) for seed in range(100)]
    assert {safe for _, safe in contents} == {0}
    assert any(not content.strip(b"\0") for content, _ in contents)
