"""The twin on the network: a UDP server that the runner and the vendor's SDK take for a Go1's motor controller."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections import Counter, deque
from pathlib import Path
from types import TracebackType
from typing import Deque, Optional, Tuple, Type, Union

from robot_configs.errors import Go1Error
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport

Address = Tuple[str, int]
Datagram = Tuple[bytes, Address]

_RECEIVE_BYTES = 2048  # more than a LowCmd, so that an overlong packet is seen to be one
_DRAIN_LIMIT = 64  # packets looked at per tick: a flood must not stop the clock
_STOP_POLL_S = 0.05  # how often a waiting lockstep server asks whether it shall stop
_CATCH_UP_LIMIT_S = 0.1  # later than this, the twin lets the lost time go instead of running after it


class TwinServerError(Go1Error):
    """The server cannot listen where it was told to."""


class TwinServer:
    """Serves one `TwinBody` over UDP.

    In real time, the twin ticks at the link's rate on its own deadlines, whether anybody listens or not, and sends each
    LowState to whoever sent the last valid LowCmd, as the robot does. In lockstep, time stands still until a LowCmd
    comes; each one makes one step and gets one LowState back. A client in lockstep waits for its answer, so an
    identical packet that was there before the answer left is a copy the network made, and does not step.

    Packets the motor controller would not accept change nothing and are counted in `refused` by the error's name.
    """

    def __init__(self, body: TwinBody, host: str, port: int, lockstep: bool = False) -> None:
        """Listen on `host`:`port`; port 0 takes a free one (see `address`).

        Raises:
            TwinServerError: the address is not ours or is taken.
        """
        self.body = body
        self.lockstep = lockstep
        self._wire = TwinTransport(body)
        self.repeated = 0
        """Copies of a packet that did not step (lockstep)."""
        self.late_ticks = 0
        """Ticks that began more than one period after their deadline (real time)."""
        self.unsent = 0
        """States the network did not take."""
        self._client: Optional[Address] = None
        self._stopping = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        try:
            self._socket.bind((host, port))
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise TwinServerError(
                f"a free UDP port {port} on {host}",
                str(error),
                "Stop the other twin, or choose another --port or a --host of this machine.",
            ) from error

    @property
    def refused(self) -> Counter[str]:
        """Packets that were no acceptable LowCmd, by the name of the error."""
        return self._wire.refused

    @property
    def address(self) -> Address:
        """Host and port it listens on."""
        host, port = self._socket.getsockname()
        return host, port

    def __enter__(self) -> TwinServer:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self._socket.close()

    def serve(self, duration_s: Optional[float] = None) -> None:
        """Run until `stop`, or until the twin's clock reaches `duration_s`."""
        if self.lockstep:
            self._serve_lockstep(duration_s)
        else:
            self._serve_real_time(duration_s)

    def stop(self) -> None:
        """Make `serve` return soon; may be called from another thread."""
        self._stopping.set()

    def _finished(self, duration_s: Optional[float]) -> bool:
        return self._stopping.is_set() or (duration_s is not None and self.body.time_s >= duration_s)

    def _serve_real_time(self, duration_s: Optional[float]) -> None:
        period_s = 1.0 / self.body.robot.link_hz
        deadline_s = time.monotonic()
        while not self._finished(duration_s):
            for packet, client in self._arrived():
                if self._wire.accept(packet):
                    self._client = client
            state = self._wire.receive(0.0)
            if self._client is not None:
                self._answer(state, self._client)
            deadline_s += period_s
            remaining_s = deadline_s - time.monotonic()
            if remaining_s > 0.0:
                time.sleep(remaining_s)
            elif remaining_s < -period_s:
                self.late_ticks += 1
                if remaining_s < -_CATCH_UP_LIMIT_S:
                    deadline_s = time.monotonic()

    def _serve_lockstep(self, duration_s: Optional[float]) -> None:
        waiting: Deque[Datagram] = deque()
        while not self._finished(duration_s):
            if not waiting:
                select.select([self._socket], [], [], _STOP_POLL_S)
                waiting.extend(self._arrived())
                continue
            packet, client = waiting.popleft()
            if not self._wire.accept(packet):
                continue
            state = self._wire.receive(0.0)
            waiting.extend(self._arrived())
            fresh = [datagram for datagram in waiting if datagram != (packet, client)]
            self.repeated += len(waiting) - len(fresh)
            waiting = deque(fresh)
            self._answer(state, client)

    def _arrived(self) -> Tuple[Datagram, ...]:
        """The packets in the socket's queue, oldest first, at most `_DRAIN_LIMIT`."""
        packets = []
        for _ in range(_DRAIN_LIMIT):
            try:
                packets.append(self._socket.recvfrom(_RECEIVE_BYTES))
            except BlockingIOError:
                break
        return tuple(packets)

    def _answer(self, state: bytes, client: Address) -> None:
        try:
            self._socket.sendto(state, client)
        except OSError:
            # A client's network may be gone for a moment; the robot would not notice either.
            self.unsent += 1


def run_twin(
    condition: Union[str, Path],
    host: str,
    port: int,
    lockstep: bool,
    seed: int,
    duration_s: Optional[float] = None,
) -> None:
    """Serve a twin until interrupted, or for `duration_s` of its own time; a fallen one is set upright again.

    Raises:
        TwinConditionError: the condition is not right.
        TwinServerError: the address is taken.
    """
    body = TwinBody(load_condition(condition), seed, rescue=True)
    with TwinServer(body, host, port, lockstep) as server:
        where = "{}:{}".format(*server.address)
        pace = "lockstep" if lockstep else f"{body.robot.link_hz} Hz"
        print(f"twin {body.condition.name!r} listens on {where} ({pace}): {body.condition.description}", flush=True)
        try:
            server.serve(duration_s)
        except KeyboardInterrupt:
            print(f"stopped after {body.time_s:.1f} s of the twin's time, {body.rescues} rescues", flush=True)
