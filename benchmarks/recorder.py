"""What a record costs the control loop, against copying its bytes once and against the stock MCAP writer, in one run.

    python -m benchmarks.recorder [--rounds 200] [--json FILE]

The cases take turns, and processor time is measured, so that whatever else the machine does meets all or none; figures
are medians over rounds of 50 calls. The stock writer is given the finished message and only has to buffer it.
"""

from __future__ import annotations

import argparse
import io
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List

import numpy as np
from mcap.writer import Writer

from benchmarks.codec import some_state
from deploy.onboard.gate import NO_CLAMPS, GateDecision
from deploy.onboard.pilot import PilotStep
from deploy.onboard.record_layout import RECORDS
from deploy.onboard.record_ring import RingReader
from deploy.onboard.ring_memory import create_ring
from deploy.onboard.ring_recorder import RingRecorder
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import JointCommand, RobotState, decode_low_state, encode_low_state
from offline_data.log_schema import LOW_STATE, MESSAGE_ENCODING, SCHEMA_ENCODING, Ending, EventKind
from policy.bundle import PolicyOutput

CALLS_A_ROUND = 50
TARGET_US = 5.0
"""Median of one record, the project's own target."""


def some_step(state: RobotState) -> PilotStep:
    """One step of a policy, in the types the pilot gives them."""
    row = np.linspace(-1.0, 1.0, 12).astype(np.float32)
    output = PolicyOutput(row, row, row, row, -12.5, np.zeros(15, np.float32), np.zeros(14, np.float32))
    target = JointTarget(row, np.full(12, 30.0), np.full(12, 0.75), 101.0)
    return PilotStep(target, state, 100.0, 100.002, np.zeros(3, np.float32), row, output, 2e-4, episode=3, tick=9)


def stock_writer_call() -> Callable[[], object]:
    """Hand one finished state message to the stock writer."""
    writer = Writer(io.BytesIO())
    writer.start()
    schema = writer.register_schema(LOW_STATE.schema_name, SCHEMA_ENCODING, LOW_STATE.ros2msg.encode())
    channel = writer.register_channel(LOW_STATE.topic, MESSAGE_ENCODING, schema)
    message = LOW_STATE.zeros(1).tobytes()
    return lambda: writer.add_message(channel, 0, message, 0)


def microseconds_a_call(function: Callable[[], object]) -> float:
    """Processor time, the mean over one round."""
    started_s = time.thread_time()
    for _ in range(CALLS_A_ROUND):
        function()
    return 1e6 * (time.thread_time() - started_s) / CALLS_A_ROUND


def measure(rounds: int, ring: Path) -> Dict[str, float]:
    """Medians over the rounds [us of processor time], and the most expensive record over one copy of its bytes."""
    create_ring(ring)
    reader = RingReader(ring)
    recorder = RingRecorder(ring, "ab" * 32, 1)
    state = decode_low_state(encode_low_state(some_state()))  # the types that a real link hands out
    step = some_step(state)
    decision = GateDecision(JointCommand.servo(np.linspace(-0.5, 0.5, 12), 20.0, 0.5), 0, NO_CLAMPS)
    content = bytes(RECORDS[LOW_STATE.topic].itemsize)
    memory = memoryview(bytearray(len(content)))
    cases: Dict[str, Callable[[], object]] = {
        "low_state_us": lambda: recorder.low_state(state, 100.0),
        "low_cmd_us": lambda: recorder.low_cmd(decision, Mode.WALK, 100.0, 1e-5),
        "policy_tick_us": lambda: recorder.policy_tick(step, 1e-5),
        "event_us": lambda: recorder.event(EventKind.MARK, Mode.WALK, 100.0, "a mark", 1, Ending.NONE),
        "one_copy_us": lambda: memory.__setitem__(slice(0, len(content)), content),
        "stock_writer_us": stock_writer_call(),
    }
    samples: Dict[str, List[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, function in cases.items():
            samples[name].append(microseconds_a_call(function))
        while reader.take(CALLS_A_ROUND):
            reader.release()
    lost = recorder.close().dropped
    reader.close()
    if any(lost.values()):
        raise SystemExit(f"the ring was full, the figures would mean nothing: {lost}")
    figures = {name: round(statistics.median(values), 2) for name, values in samples.items()}
    ratio = figures["low_state_us"] / figures["one_copy_us"]
    return {
        **figures,
        "state_over_copy": round(ratio, 1),
        "stock_over_state": round(figures["stock_writer_us"] / figures["low_state_us"], 2),
    }


def main() -> None:
    """Measure, print, and write the figures where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help=f"of {CALLS_A_ROUND} calls each (default: 200)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    folder = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as directory:
        figures = measure(arguments.rounds, Path(directory) / "ring")
    for name, value in figures.items():
        print(f"{name:18s} {value:8.2f}")
    print(f"{'target_us':18s} {TARGET_US:8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
