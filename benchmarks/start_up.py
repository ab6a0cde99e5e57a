"""How long `go1 robot run` takes from its start as a process to its first packets, and how much memory it takes.

A twin that steps once for each command stands at the other end of the socket and looks into every packet: the first one
at all (damping), the first that moves the robot (standing up), the first of the policy. Standing up lasts as long as
the runner's settings say, so that part is not start-up and is given apart. Memory is that of all the runner's processes
while the policy walks: the proportional set size, in which what they share counts once.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Dict, List, Sequence

import numpy as np

from benchmarks.figures import Figure, processor_time_s
from benchmarks.loop_lateness import BUNDLE
from deploy.onboard.wire import decode_low_cmd
from policy.bundle import read_bundle
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport

GIVE_UP_S = 60.0
_WALK_S = 1.0  # of walking before memory is read


@dataclass(frozen=True)
class StartUp:
    """One start; times since the process was started [s], memory in bytes."""

    first_command_s: float
    processor_to_first_command_s: float
    first_motion_s: float
    first_policy_target_s: float
    memory_shared_once: int
    processes: int


def measure_start_up(rounds: int) -> List[Figure]:
    """Medians over starts with warm file caches and compiled modules; the first, which warms them, does not count."""
    with TemporaryDirectory() as compiled:
        starts = [start_once(Path(compiled)) for _ in range(rounds + 1)][1:]

    def median(name: str) -> float:
        return float(np.median([getattr(start, name) for start in starts]))

    return [
        Figure("start to first command on the wire", median("first_command_s"), "s", at_most=1.0),
        Figure("the same in processor time of all processes", median("processor_to_first_command_s"), "s"),
        Figure("start to first command that moves", median("first_motion_s"), "s"),
        Figure("start to first target of the policy (stands up before)", median("first_policy_target_s"), "s"),
        Figure("memory of all processes, shared pages once", median("memory_shared_once") / 1e6, "MB", at_most=120.0),
        Figure("processes", median("processes"), ""),
    ]


def start_once(compiled: Path) -> StartUp:
    """Start the runner against a twin, follow it into the walk, and end it.

    Args:
        compiled: folder for Python's compiled modules, so that they are used whatever this environment says of them.
    """
    body = TwinBody(load_condition("nominal"), seed=1)
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(compiled)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as robot, TemporaryDirectory() as logs:
        robot.bind(("127.0.0.1", 0))
        robot.settimeout(GIVE_UP_S)
        words = [sys.executable, "-m", "go1", "robot", "run", "--bundle", str(BUNDLE), "--commands", "vx=0,vy=0,yaw=0"]
        words += ["--duration", "60", "--log-dir", logs, "--robot", "{}:{}".format(*robot.getsockname())]
        started_s = time.monotonic()
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env=environment)
        try:
            robot.recvfrom(2048, socket.MSG_PEEK)
            processor_s = sum(processor_time_s(member) for member in descendants(process.pid))
            first_s = follow_until_walking(robot, TwinTransport(body), started_s)
            family = descendants(process.pid)
            memory = sum(proportional_set_size(member) for member in family)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(GIVE_UP_S)
    return StartUp(first_s["any"], processor_s, first_s["motion"], first_s["policy"], memory, len(family))


def follow_until_walking(robot: socket.socket, twin: TwinTransport, started_s: float) -> Dict[str, float]:
    """Answer every command until the policy has walked for a while; when each kind of command came first [s]."""
    policy_stiffness = np.array(read_bundle(BUNDLE).contract.stiffness)
    first_s: Dict[str, float] = {}
    while "policy" not in first_s or time.monotonic() - started_s < first_s["policy"] + _WALK_S:
        packet, client = robot.recvfrom(2048)
        now_s = time.monotonic() - started_s
        first_s.setdefault("any", now_s)
        stiffness = decode_low_cmd(packet).stiffness
        if stiffness.any():
            first_s.setdefault("motion", now_s)
        # Standing up ramps the stiffness through every value: the policy's is the one that comes after the stand's.
        if "motion" in first_s and np.array_equal(stiffness, policy_stiffness) and now_s > first_s["motion"] + 0.5:
            first_s.setdefault("policy", now_s)
        twin.send(packet)
        robot.sendto(twin.receive(0.0), client)
    return first_s


def descendants(process_id: int) -> Sequence[int]:
    """The process and all its children's children."""
    found = [process_id]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in children.read_text().split()]
    return found


def proportional_set_size(process_id: int) -> int:
    """Bytes of memory, a page that n processes share counted as an n-th."""
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
