"""Kills a runner and its recorder at random moments, some hundred times, and counts which records the log lacks.

    python -m benchmarks.log_kills [--cases 500] [--seed 0] [--out docs/log_kills.md]

A case is a writer that records at 500 Hz what a gate records, a recorder process, and a `kill -9` of one or of both at
a random moment; a killed recorder is replaced by another, as the supervisor does. Every record carries its number, and
the writer keeps count in memory of its own, so that neither the ring nor the log is believed. Every part of every log
is also opened with the stock reader.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import signal
import statistics
import struct
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Dict, List

import numpy as np
from mcap.exceptions import EndOfFile
from mcap.records import Message
from mcap.stream_reader import StreamReader

from benchmarks.codec import some_state
from deploy.onboard.gate import NO_CLAMPS, GateDecision
from deploy.onboard.recorder_process import RecorderJob, keep_log
from deploy.onboard.ring_memory import create_ring
from deploy.onboard.ring_recorder import RingRecorder
from deploy.onboard.target import Mode
from deploy.onboard.wire import JointCommand
from offline_data.log_reader import read_log, session_parts
from offline_data.log_schema import SessionMetadata
from robot_configs.robot import load_robot

PERIOD_S = 0.002
KINDS = ("runner", "recorder", "recorder twice", "both")
LONGEST_S = 0.25
"""Latest moment of a kill."""
_COUNT = struct.Struct("@Q")


@dataclass(frozen=True)
class Outcome:
    """One case."""

    kind: str
    recorded: int
    """States that the writer had handed over for certain when it died."""
    lost: int
    """Of them, those that the log lacks."""
    behind_ms: float
    """How much of the recording the dead recorder's file lacked at its kill [ms]; 0 where none was killed."""
    repeated: int
    """States that two parts hold."""


def write_states(ring: Path, counter: mmap.mmap) -> None:
    """Record a state and a command every 2 ms for ever; `counter` holds how many states were handed over."""
    recorder = RingRecorder(ring, "ab" * 32, 1)
    state, decision = some_state(), GateDecision(JointCommand.damp(load_robot()), 0, NO_CLAMPS)
    state = replace(state, joint_position=np.zeros(12, np.float32))
    number, next_s = 0, time.monotonic()
    while True:
        now_s = time.monotonic()
        state.joint_position[:] = number
        recorder.low_state(state, now_s)
        number += 1
        _COUNT.pack_into(counter, 0, number)
        recorder.low_cmd(decision, Mode.DAMP, now_s, 0.0)
        next_s += PERIOD_S
        time.sleep(max(0.0, next_s - time.monotonic()))


def start(work: Callable[[], object]) -> int:
    """Run `work` in a child process, forked so that it need not import anything; returns its number."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    return child


def kill(child: int) -> None:
    """kill -9, and wait for the end."""
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def run_case(kind: str, seed: int, folder: Path) -> Outcome:
    """One case; `folder` is empty and on a disk."""
    moment = random.Random(seed)
    counter = mmap.mmap(-1, mmap.PAGESIZE)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        ring = Path(memory) / "gate.ring"
        create_ring(ring)
        metadata = SessionMetadata(f"case_{seed}", "{}", "ab" * 32, "cd" * 32, "{}")
        wall_minus_clock_ns = time.time_ns() - time.monotonic_ns()
        job = RecorderJob(str(folder), metadata, (("gate", str(ring)),), wall_minus_clock_ns)

        def record() -> None:
            keep_log(job, lambda: False, deserted_s=0.0)

        recorder, writer = start(record), start(lambda: write_states(ring, counter))
        # A recorder outlives a writer that never came, until it is told that none will.
        while not _COUNT.unpack_from(counter)[0]:
            time.sleep(PERIOD_S)
        behind_ms = 0.0
        for _ in range({"runner": 0, "recorder": 1, "recorder twice": 2, "both": 1}[kind]):
            time.sleep(moment.uniform(0.0, LONGEST_S))
            # Looked at before the kill: what is not in the file a moment later was certainly behind.
            handed_over = _COUNT.unpack_from(counter)[0]
            kill(recorder)
            behind_ms = max(behind_ms, 1e3 * PERIOD_S * (handed_over - states_in_files(folder)))
            if kind == "both":
                kill(writer)
            recorder = start(record)
        if kind != "both":
            time.sleep(moment.uniform(0.0, LONGEST_S))
            kill(writer)
        os.waitpid(recorder, 0)
    recorded = _COUNT.unpack_from(counter)[0]
    counter.close()
    return judge(kind, recorded, behind_ms, folder)


def states_in_files(folder: Path) -> int:
    """States that the stock reader finds in all parts so far, repetitions counted once."""
    return len({number for part in folder.glob("*.mcap") for number in state_numbers(part)})


def state_numbers(part: Path) -> List[int]:
    """Sequence numbers of the states that the stock reader finds in a file, whole or cut off."""
    numbers = []
    if part.stat().st_size:
        with open(part, "rb") as stream:
            try:
                for record in StreamReader(stream).records:
                    if isinstance(record, Message) and record.channel_id == 1:
                        numbers.append(record.sequence)
            except (EndOfFile, struct.error):
                pass  # cut off, as a killed writer leaves it; struct.error where a record's length is cut
    return numbers


def judge(kind: str, recorded: int, behind_ms: float, folder: Path) -> Outcome:
    """Compare the log with what was recorded."""
    parts = session_parts(min(folder.glob("*.mcap"), key=lambda path: len(path.name)))
    repeated = sum(len(state_numbers(part)) for part in parts) - states_in_files(folder)
    if recorded == 0:
        return Outcome(kind, 0, 0, behind_ms, repeated)
    states = read_log(parts[0]).low_state
    # The record's own content must say what its number says; float32 holds these numbers exactly.
    found = set(states["sequence"][states["joint_position"][:, 11] == states["sequence"]].tolist())
    if len(found) != len(states):
        raise SystemExit(f"{folder}: {len(states) - len(found)} states are repeated, or not what was recorded")
    return Outcome(kind, recorded, len(set(range(recorded)) - found), behind_ms, repeated)


def table(outcomes: List[Outcome]) -> str:
    """The outcomes by kind, as Markdown."""
    lines = [
        "| killed | cases | records | lost: median | worst | behind at the kill [ms]: median | worst | repeated |",
        "|---|---|---|---|---|---|---|---|",
    ]
    by_kind: Dict[str, List[Outcome]] = {kind: [case for case in outcomes if case.kind == kind] for kind in KINDS}
    for kind, cases in by_kind.items():
        lost, behind = [case.lost for case in cases], [case.behind_ms for case in cases]
        recorded, repeated = sum(case.recorded for case in cases), sum(case.repeated for case in cases)
        behind_text = "- | -" if kind == "runner" else f"{statistics.median(behind):.0f} | {max(behind):.0f}"
        lines.append(
            f"| {kind} | {len(cases)} | {recorded} | {statistics.median(lost):.0f} | {max(lost)} | {behind_text} | "
            f"{repeated} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the cases; exit status 1 if a record was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=500, help="kinds take turns (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    arguments = parser.parse_args()
    outcomes = []
    for case in range(arguments.cases):
        with tempfile.TemporaryDirectory() as folder:
            seed = arguments.seed * arguments.cases + case
            outcomes.append(run_case(KINDS[case % len(KINDS)], seed, Path(folder)))
    text = table(outcomes)
    print(text, end="")
    if arguments.out:
        command = f"python -m benchmarks.log_kills --cases {arguments.cases} --seed {arguments.seed}"
        arguments.out.write_text(f"# Kills of runner and recorder\n\n`{command}`\n\n{text}", encoding="utf-8")
    return 1 if any(case.lost for case in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
