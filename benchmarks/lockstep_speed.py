"""How much faster than real time a session with the twin runs in lockstep: in one process, and over UDP.

The same walk, physics at 1 kHz, every byte of the protocol both times. Beside the time that passed, the processor time
of all processes involved is given: on a busy machine only that says what the code costs.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from typing import Callable, Dict, List, Tuple

import numpy as np

from benchmarks.figures import Figure, processor_time_s
from benchmarks.loop_lateness import BUNDLE
from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import Link, PacketLink, UdpTransport
from deploy.onboard.runner import run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.session import RunSettings
from policy.bundle import read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.server import TwinServer
from sim.twin.transport import TwinTransport

_CONTEXT = multiprocessing.get_context("spawn")


def measure_lockstep(rounds: int, walk_s: float) -> List[Figure]:
    """Medians of rounds that take turns."""
    cases: Dict[str, Callable[[float], Tuple[float, float]]] = {"in process": _in_process, "over UDP": _over_udp}
    samples: Dict[str, List[Tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            samples[name].append(run(walk_s))
    targets = {"in process": 15.0, "over UDP": 8.0}
    figures = []
    for name, pairs in samples.items():
        by_wall, by_processor = (float(np.median([pair[which] for pair in pairs])) for which in (0, 1))
        figures.append(Figure(f"lockstep {name}: twin time / time", by_wall, "x", at_least=targets[name]))
        figures.append(Figure(f"lockstep {name}: twin time / processor time", by_processor, "x"))
    return figures


def _in_process(walk_s: float) -> Tuple[float, float]:
    return _session(PacketLink(TwinTransport(TwinBody(load_condition("nominal"), seed=1))), walk_s, lambda: 0.0)


def _over_udp(walk_s: float) -> Tuple[float, float]:
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_serve, args=(sender, os.getpid()), daemon=True)
    process.start()
    link = PacketLink(UdpTransport(*receiver.recv()))
    try:
        return _session(link, walk_s, lambda: processor_time_s(process.pid))
    finally:
        link.close()
        process.kill()
        process.join()


def _serve(sender: Connection, parent: int) -> None:
    with TwinServer(TwinBody(load_condition("nominal"), seed=1), "127.0.0.1", 0, lockstep=True) as server:
        sender.send(server.address)
        while os.getppid() == parent:
            server.serve(server.body.time_s + 1.0)


def _session(link: Link, walk_s: float, processor_s_elsewhere: Callable[[], float]) -> Tuple[float, float]:
    """Twin seconds per second, and per second of processor; the twin's power-up, settling included, is before."""
    robot, bundle = load_robot(), read_bundle(BUNDLE)
    settings = RunSettings("vx=0.5,vy=0,yaw=0", SessionSettings(episode_s=walk_s, episodes=1), lockstep=True)

    def processor_s() -> float:
        return time.process_time() + processor_s_elsewhere()

    started_s, started_processor_s = time.perf_counter(), processor_s()
    summary = run_session(bundle, robot, link, VirtualClock(), settings)
    wall_s, used_s = time.perf_counter() - started_s, processor_s() - started_processor_s
    return summary.clock_s / wall_s, summary.clock_s / used_s
