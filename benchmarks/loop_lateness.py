"""How late the 500 Hz loop is: the whole runner against a C loop that only waits, and against a naive Python loop.

The three take turns, round after round, without and with two hogs, and with the same scheduling: SCHED_FIFO at the
gate's priority where the machine grants it. The runner is the real one (its processes, its log, a real-time twin at
the other end of a socket); its lateness is what its own log says. The naive loop is the one that most bridges to the
Go1 have, `while True: ...; time.sleep(0.002)`, and is judged mildly: by how much longer than 2 ms each tick took, for
against absolute deadlines it drifts without bound.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Dict, List, Tuple

import numpy as np

from benchmarks.figures import Figure, hogs, quantiles_us
from deploy.onboard.realtime import RealTimeWish, request_real_time
from deploy.onboard.supervision import GATE_PRIORITY
from offline_data.log_reader import log_paths, read_log
from policy.bundle import BUNDLES
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.server import TwinServer

BUNDLE = BUNDLES / "go1_velocity.go1policy"
HOGS = 2
_TWIN_PRIORITY = 30  # a robot is punctual whatever this machine does; below the runner's, above everybody's
_NAIVE_PATIENCE = 1.5  # times the planned duration
_CONTEXT = multiprocessing.get_context("spawn")


def measure_lateness(rounds: int, walk_s: float) -> List[Figure]:
    """Figures of all rounds; a quantile is the median of the rounds' own."""
    samples: Dict[Tuple[str, str], List[Dict[str, float]]] = {}
    with TemporaryDirectory() as scratch, real_time_twin() as address:
        reference = compile_reference(Path(scratch))
        priority = granted_priority()
        for number in range(rounds):
            for load, count in (("idle", 0), ("hogs", HOGS)):
                with hogs(count):
                    runner = runner_lateness(address, walk_s, Path(scratch, f"{load}{number}"))
                    # As many ticks each, because a quantile near one depends on their number.
                    bare = reference_lateness(reference, len(runner), priority)
                    lateness = {"runner": runner, "c": bare, "naive": naive_lateness(len(runner))}
                for name, seconds in lateness.items():
                    samples.setdefault((load, name), []).append(quantiles_us(seconds))
    return _figures(samples, priority)


def _figures(samples: Dict[Tuple[str, str], List[Dict[str, float]]], priority: int) -> List[Figure]:
    medians = {
        key: {name: float(np.median([entry[name] for entry in entries])) for name in entries[0]}
        for key, entries in samples.items()
    }
    figures = [Figure("SCHED_FIFO priority of runner and C loop (0: not granted)", priority, "")]
    for (load, loop), quantiles in sorted(medians.items()):
        figures += [Figure(f"lateness {name}, {loop}, {load}", value, "us") for name, value in quantiles.items()]
    for load in ("idle", "hogs"):
        ours, bare = medians[load, "runner"]["p99.9"], medians[load, "c"]["p99.9"]
        figures.append(Figure(f"lateness p99.9, runner / C, {load}", ours / bare, "", at_most=1.5))
    naive = medians["hogs", "naive"]["p99.9"] / medians["hogs", "runner"]["p99.9"]
    figures.append(Figure("lateness p99.9, naive / runner, hogs", naive, "", at_least=10.0))
    return figures


def granted_priority() -> int:
    """The gate's priority if this machine grants it to a process of ours, else 0."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_try_priority, args=(sender,))
    process.start()
    granted = receiver.recv()
    process.join()
    return GATE_PRIORITY if granted else 0


def _try_priority(sender: Connection) -> None:
    sender.send(all(grant.granted for grant in request_real_time(RealTimeWish(GATE_PRIORITY, lock_memory=False))))


def compile_reference(folder: Path) -> Path:
    """The C loop, built with the machine's own compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise SystemExit("expected a C compiler (cc) for the reference loop; found none. Install gcc.")
    program = folder / "reference_loop"
    source = Path(__file__).with_name("reference_loop.c")
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-o", str(program), str(source)], check=True)
    return program


def reference_lateness(program: Path, ticks: int, priority: int) -> np.ndarray:
    """Lateness [s] of each tick of the C loop."""
    period_ns = round(1e9 / load_robot().link_hz)
    command = [str(program), str(period_ns), str(ticks), str(priority)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return np.array(printed.split(), dtype=np.float64) * 1e-9


def naive_lateness(ticks: int) -> np.ndarray:
    """By how much each tick [s] of a loop that sleeps for one period exceeded it; fewer ticks where it is very slow."""
    period_s = 1.0 / load_robot().link_hz
    stamps = [time.monotonic()]
    while len(stamps) <= ticks and stamps[-1] < stamps[0] + _NAIVE_PATIENCE * ticks * period_s:
        time.sleep(period_s)
        stamps.append(time.monotonic())
    return np.diff(stamps) - period_s


def runner_lateness(address: Tuple[str, int], walk_s: float, log_dir: Path) -> np.ndarray:
    """Lateness [s] of each tick of a session: standing up, walking for `walk_s`, lying down."""
    words = [sys.executable, "-m", "go1", "robot", "run", "--bundle", str(BUNDLE), "--robot", "{}:{}".format(*address)]
    words += ["--commands", "vx=0.5,vy=0,yaw=0", "--duration", str(walk_s), "--log-dir", str(log_dir), "--auto-rearm"]
    # A process of its own, because the runner keeps the priority that it asks for.
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if not log_dir.is_dir():
        raise SystemExit(f"the runner did not start:\n{result.stderr}")
    log = read_log(log_paths(log_dir)[0])
    return np.asarray(log.low_cmd["lateness_s"], dtype=np.float64)


@contextmanager
def real_time_twin() -> Iterator[Tuple[str, int]]:
    """Host and port of a twin in a process of its own, ticking by itself."""
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_serve_twin, args=(sender, os.getpid()), daemon=True)
    process.start()
    try:
        yield receiver.recv()
    finally:
        process.kill()
        process.join()


def _serve_twin(sender: Connection, parent: int) -> None:
    body = TwinBody(load_condition("nominal"), seed=1, rescue=True)
    request_real_time(RealTimeWish(_TWIN_PRIORITY, lock_memory=False))
    with TwinServer(body, "127.0.0.1", 0) as server:
        sender.send(server.address)
        while os.getppid() == parent:
            server.serve(body.time_s + 1.0)
