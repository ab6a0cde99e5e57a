"""A flood of datagrams on real sockets: a stranger floods the runner's port, or the robot's."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Literal, Optional, Tuple

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink, UdpTransport
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from policy.bundle import read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.faults.monitor import CommandMonitor
from sim.twin.body import TwinBody
from sim.twin.server import TwinServer

FloodTarget = Literal["runner", "robot"]
FLOOD_TARGETS: Tuple[FloodTarget, ...] = ("runner", "robot")

_LOCAL = "127.0.0.1"
_COMMANDS = "vx=0.5,vy=0,yaw=0"
_FLOODER = """
import os, socket, sys
address, sent = ("127.0.0.1", int(sys.argv[1])), 0
line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
packets = [os.urandom(size) for size in (0, 1, 613, 614, 615, 806, 807, 808, 1400)]
parent = os.getppid()
print("ready", flush=True)
while os.getppid() == parent:
    for packet in packets:
        try:
            line.sendto(packet, address)
            sent += 1
        except OSError:
            pass
    if sent % 900 == 0:
        print(sent, flush=True)
"""


@dataclass(frozen=True)
class FloodResult:
    """One walk under a flood.

    Attributes:
        target: whose port was flooded.
        datagrams: how many the flooder had sent, at least.
        faults: what the gate latched on.
        walked_s: how long the robot walked [s of virtual time].
        violations: commands outside the limits, by kind.
    """

    target: FloodTarget
    datagrams: int
    faults: Tuple[str, ...]
    walked_s: float
    violations: Dict[str, int]


class _WatchedTransport(UdpTransport):
    """Shows every packet to a monitor before it is sent."""

    def __init__(self, address: Tuple[str, int], clock: VirtualClock, monitor: CommandMonitor) -> None:
        super().__init__(*address)
        self._clock, self._monitor = clock, monitor

    def send(self, packet: bytes) -> None:
        """See `PacketTransport.send`."""
        self._monitor.remember_state()
        self._monitor.sent(packet, self._clock.now_s())
        super().send(packet)


def walk_under_flood(bundle_path: Path, target: FloodTarget, walk_s: float, seed: int = 0) -> FloodResult:
    """Walk in lockstep over UDP while another process floods one of the two ports."""
    robot, bundle, condition = load_robot(), read_bundle(bundle_path), load_condition("nominal")
    body, clock = TwinBody(condition, seed, robot=robot), VirtualClock()
    monitor = CommandMonitor(robot, condition.encoders, body.data.qpos[7:19], body.data.qvel[6:18])
    session = SessionSettings(episode_s=walk_s, episodes=1)
    settings = RunSettings(_COMMANDS, session, seed=seed, lockstep=True)
    with TwinServer(body, _LOCAL, 0, lockstep=True) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        transport = _WatchedTransport(server.address, clock, monitor)
        port = server.address[1] if target == "robot" else int(transport.local_address.rpartition(":")[2])
        try:
            with _flooding(port) as flooder:
                summary = run_session(bundle, robot, PacketLink(transport), clock, settings)
                datagrams = flooder()
        finally:
            transport.close()
            server.stop()
            thread.join()
    return FloodResult(
        target,
        datagrams,
        summary.faults,
        sum(episode.duration_s for episode in summary.episodes),
        {kind: count for kind, count in monitor.violations.items() if count},
    )


@contextlib.contextmanager
def _flooding(port: int) -> Iterator[_Counter]:
    process = subprocess.Popen([sys.executable, "-c", _FLOODER, str(port)], stdout=subprocess.PIPE, text=True)
    counter = _Counter(process)
    try:
        yield counter
    finally:
        process.kill()
        process.wait()
        counter.join()


class _Counter:
    """Reads how far a flooder has come; calling it gives the newest count."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._stream = process.stdout
        self._count = 0
        self._stream.readline()  # "ready"
        self._thread: Optional[threading.Thread] = threading.Thread(target=self._read)
        self._thread.start()

    def __call__(self) -> int:
        return self._count

    def join(self) -> None:
        """After the flooder has ended."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._stream.close()

    def _read(self) -> None:
        for line in self._stream:
            self._count = int(line)
