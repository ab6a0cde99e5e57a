"""Cuts the power of a recorder at random moments, on paper: replays its writes as a disk could have kept them.

    python -m benchmarks.power_cuts [--cuts 500] [--seed 0] [--seconds 5] [--out docs/power_cuts.md]

A recorder keeps the log of a synthetic writer at 500 Hz on a disk that writes down every call with its times; its syncs
take a random time of up to 90 ms. For a cut, the disk holds what was written before the begin of the last sync that
had ended, and of what came later any sectors, in any order, the others zero, up to any length. The log that is left
must open, hold every record that a sync had covered, and miss at most 200 ms.
"""

from __future__ import annotations

import argparse
import mmap
import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import List, NamedTuple, Tuple

import numpy as np

from benchmarks.log_kills import kill, start, write_states
from deploy.onboard.recorder_process import RecorderJob, keep_log
from deploy.onboard.ring_memory import create_ring
from offline_data.log_reader import EmptyLogError, ForeignLogError, read_log
from offline_data.log_schema import LOW_STATE, SessionMetadata

LONGEST_SYNC_S = 0.09
LIMIT_MS = 200.0
SECTOR_BYTES = (512, 4096)


class Write(NamedTuple):
    """One write call that had returned at `ended_s`."""

    ended_s: float
    offset: int
    content: bytes


class Sync(NamedTuple):
    """One sync call."""

    began_s: float
    ended_s: float


class TracingDisk:
    """A disk in memory that writes down its calls; a sync takes a random time."""

    def __init__(self, seed: int) -> None:
        self.writes: List[Write] = []
        self.syncs: List[Sync] = []
        self._duration = random.Random(seed)

    def create(self, path: Path) -> int:
        """See `Disk.create`."""
        return 1

    def write(self, descriptor: int, content: bytes, offset: int) -> int:
        """See `Disk.write`."""
        self.writes.append(Write(time.monotonic(), offset, content))
        return len(content)

    def sync(self, descriptor: int) -> None:
        """See `Disk.sync`."""
        began_s = time.monotonic()
        time.sleep(self._duration.uniform(0.0, LONGEST_SYNC_S))
        self.syncs.append(Sync(began_s, time.monotonic()))

    def close(self, descriptor: int) -> None:
        """See `Disk.close`."""


def content_after_cut(writes: List[Write], syncs: List[Sync], cut_s: float, choice: random.Random) -> Tuple[bytes, int]:
    """A content that the file may have after the power went at `cut_s`; and how much of it was safe [bytes]."""
    covered_s = max((sync.began_s for sync in syncs if sync.ended_s <= cut_s), default=float("-inf"))
    image = bytearray()
    for write in writes:
        if write.ended_s <= cut_s:
            image[len(image) :] = bytes(max(0, write.offset - len(image)))
            image[write.offset : write.offset + len(write.content)] = write.content
    safe = max((write.offset + len(write.content) for write in writes if write.ended_s < covered_s), default=0)
    sector, kept_share = choice.choice(SECTOR_BYTES), choice.choice((0.0, 0.5, 0.9, 1.0))
    for sector_start in range(safe // sector * sector, len(image), sector):
        if choice.random() >= kept_share:
            first, last = max(sector_start, safe), min(sector_start + sector, len(image))
            image[first:last] = bytes(last - first)
    return bytes(image[: choice.randint(safe, len(image))]), safe


def record(seconds: float, disk: TracingDisk) -> None:
    """Let a recorder keep the log of a synthetic writer for a while."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        ring = Path(memory) / "ring"
        create_ring(ring)
        metadata = SessionMetadata("cut", "{}", "ab" * 32, "cd" * 32, "{}")
        job = RecorderJob(memory, metadata, (("gate", str(ring)),), time.time_ns() - time.monotonic_ns())
        writer = start(lambda: write_states(ring, mmap.mmap(-1, mmap.PAGESIZE)))
        # The recorder ends when its writer has gone.
        end_of_writer = threading.Timer(seconds, kill, [writer])
        end_of_writer.start()
        report = keep_log(job, lambda: False, disk, deserted_s=0.0)
        end_of_writer.join()
    if any(report.dropped.values()):
        raise SystemExit(f"the recorder lost records on a healthy disk: {report.dropped}")


def states_in(content: bytes, folder: Path) -> np.ndarray:
    """The states that can be read out of a file of this content; none where it ends before the first."""
    path = folder / "cut.mcap"
    path.write_bytes(content)
    try:
        return read_log(path).low_state
    except (EmptyLogError, ForeignLogError):
        return LOW_STATE.zeros(0)


def lost_ms(disk: TracingDisk, cut_s: float, choice: random.Random, folder: Path, stamps_ns: np.ndarray) -> float:
    """How much of the recording before the cut is gone [ms].

    Raises:
        SystemExit: a record that a sync had covered is not there, or one is there that was not recorded.
    """
    content, safe = content_after_cut(disk.writes, disk.syncs, cut_s, choice)
    found = states_in(content, folder)["sequence"].astype(int)
    covered = states_in(content[:safe], folder)["sequence"].astype(int)
    if set(covered) - set(found) or set(found) - set(range(len(stamps_ns))):
        raise SystemExit(f"cut at {cut_s} s: {len(covered)} states were safe, {len(found)} were found")
    # The log is good up to its first hole; what is behind that is a gift.
    recorded = int(np.searchsorted(stamps_ns, cut_s * 1e9))
    missing = np.setdiff1d(np.arange(recorded), found)
    return max(0.0, cut_s * 1e3 - stamps_ns[missing[0]] * 1e-6) if len(missing) else 0.0


def measure(cuts: int, seed: int, seconds: float) -> List[float]:
    """Milliseconds lost at each of the random moments."""
    disk, choice = TracingDisk(seed), random.Random(seed)
    record(seconds, disk)
    whole = b"".join(write.content for write in disk.writes)
    with tempfile.TemporaryDirectory() as folder:
        stamps_ns = states_in(whole, Path(folder))["monotonic_ns"]
        first_s, last_s = stamps_ns[0] * 1e-9, stamps_ns[-1] * 1e-9
        moments = [choice.uniform(first_s, last_s) for _ in range(cuts)]
        return [lost_ms(disk, moment, choice, Path(folder), stamps_ns) for moment in moments]


def main() -> int:
    """Measure and print; exit status 1 if a cut cost more than the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=500, help="moments (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of moments, sectors and syncs (default: 0)")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the recording (default: 5)")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    lost = sorted(measure(arguments.cuts, arguments.seed, arguments.seconds))
    row = [f"{value:.0f}" for value in (statistics.median(lost), lost[int(0.99 * len(lost))], lost[-1])]
    text = "| cuts | lost [ms]: median | 99 % | worst | limit |\n|---|---|---|---|---|\n"
    text += f"| {len(lost)} | {' | '.join(row)} | {LIMIT_MS:.0f} |\n"
    print(text, end="")
    if arguments.out:
        options = f"--cuts {arguments.cuts} --seed {arguments.seed} --seconds {arguments.seconds:g}"
        arguments.out.write_text(f"# Power cuts\n\n`python -m benchmarks.power_cuts {options}`\n\n{text}", "utf-8")
    return 1 if lost[-1] > LIMIT_MS else 0


if __name__ == "__main__":
    sys.exit(main())
