"""When the policy's answer is there, at 50 Hz beside a hog: our session in a pilot's clothes against a plain one.

The plain one is what a script does: `onnxruntime.InferenceSession(path)` with its default threads, `time.sleep` to the
next tick. Ours is `PolicySession` (one thread, buffers kept), our clock, and the real-time priority of the pilot's
process where the machine grants it. Both run the shipped policy on the same signals; a tick's time runs from its
deadline to the answer.
"""

from __future__ import annotations

import multiprocessing
import time
from multiprocessing.connection import Connection
from typing import Callable, Dict, List

import numpy as np
import onnxruntime

from benchmarks.figures import Figure, hogs, quantiles_us
from benchmarks.loop_lateness import BUNDLE
from deploy.onboard.clock import MonotonicClock
from deploy.onboard.realtime import RealTimeWish, request_real_time
from deploy.onboard.supervisor import PILOT_PRIORITY
from policy.bundle import PolicySession, read_bundle
from robot_configs.robot import load_robot

_CONTEXT = multiprocessing.get_context("spawn")
_WARM_UP_TICKS = 25


def measure_policy_tick(rounds: int, round_s: float) -> List[Figure]:
    """The two take turns; quantiles are over the ticks of all rounds, for 50 a second are few."""
    ticks = round(round_s * load_robot().control_hz)
    samples: Dict[str, List[np.ndarray]] = {"plain": [], "ours": []}
    with hogs(1):
        for _ in range(rounds):
            for name, target in (("plain", _run_plain), ("ours", _run_ours)):
                samples[name].append(_in_a_process(target, ticks))
    figures, worst = [], {}
    for name, rounds_of_it in samples.items():
        quantiles = quantiles_us(np.concatenate(rounds_of_it))
        worst[name] = quantiles["p99.9"]
        figures += [Figure(f"policy tick {key}, {name}, one hog", value, "us") for key, value in quantiles.items()]
    return [*figures, Figure("policy tick p99.9, ours / plain", worst["ours"] / worst["plain"], "", at_most=0.5)]


def _in_a_process(target: Callable[[Connection, int], None], ticks: int) -> np.ndarray:
    """Seconds from deadline to answer, of each tick; in a new process, because a granted priority stays."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=target, args=(sender, ticks))
    process.start()
    seconds = np.asarray(receiver.recv())
    process.join()
    return seconds


def _run_ours(sender: Connection, ticks: int) -> None:
    robot = load_robot()
    bundle = read_bundle(BUNDLE)
    session, clock = PolicySession(bundle, robot), MonotonicClock()
    signals = [bundle.golden[f"in.{name}"][0, 0] for name in _SIGNALS]
    request_real_time(RealTimeWish(PILOT_PRIORITY))
    sender.send(_times(ticks, clock.sleep_until, lambda: session.step(*signals)))


def _run_plain(sender: Connection, ticks: int) -> None:
    bundle = read_bundle(BUNDLE)
    session = onnxruntime.InferenceSession(bundle.onnx_bytes, providers=["CPUExecutionProvider"])
    feed = {name: bundle.golden[f"in.{name}"][0, :1] for name in _SIGNALS}
    feed["memory"] = np.zeros((1, bundle.contract.memory_dim), dtype=np.float32)

    def sleep_until(deadline_s: float) -> None:
        time.sleep(max(0.0, deadline_s - time.monotonic()))

    sender.send(_times(ticks, sleep_until, lambda: session.run(None, feed)))


_SIGNALS = (
    "orientation_trunk_in_world",
    "angular_velocity_trunk_in_trunk",
    "joint_position",
    "joint_velocity",
    "command",
    "noise",
)


def _times(ticks: int, sleep_until: Callable[[float], None], step: Callable[[], object]) -> np.ndarray:
    period_s = 1.0 / load_robot().control_hz
    start_s = time.monotonic()
    seconds = np.empty(ticks + _WARM_UP_TICKS)
    for tick in range(len(seconds)):
        deadline_s = start_s + (tick + 1) * period_s
        sleep_until(deadline_s)
        step()
        seconds[tick] = time.monotonic() - deadline_s
    return seconds[_WARM_UP_TICKS:]
