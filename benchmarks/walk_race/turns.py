"""Two trainings that take turns on one machine, so that whatever else it does falls on both.

Each runs in a process of its own and stops between two iterations when its turn is over; its clock stands still while
it waits.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Optional, Sequence

from robot_configs.errors import Go1Error

ROOT = Path(__file__).resolve().parent.parent.parent
_PAUSED = b"p"


class RaceError(Go1Error):
    """A training that did not come to its end."""


class OwnTurns:
    """A training's side. Its first turn began when its process was launched.

    Args:
        channel: to the race. None never pauses.
        launched_at: of `time.monotonic`, which all processes of a machine share.
    """

    def __init__(self, channel: Optional[socket.socket], launched_at: float, turn_s: float) -> None:
        self._channel, self._turn_s = channel, turn_s
        self._turn_began = launched_at
        self._before = 0.0
        self.cap_s = float("inf")
        """Time of its own after which a training is to end [s]; the race may lower it between turns."""
        self.pauses = 0
        self.loads: list[float] = []

    @property
    def own_s(self) -> float:
        """Time in its own turns so far [s]."""
        return self._before + time.monotonic() - self._turn_began

    def pause_if_due(self) -> None:
        """Called between two iterations: hand over where the turn is over, and wait for the next."""
        if self._channel is None or time.monotonic() - self._turn_began < self._turn_s:
            return
        self._before = self.own_s
        self.loads.append(os.getloadavg()[0])
        try:
            self._channel.sendall(_PAUSED)
            answer = _line(self._channel)
        except ConnectionError:
            answer = ""
        if not answer:
            raise SystemExit("whoever led the race is gone")
        self._turn_began = time.monotonic()
        self.cap_s = float(answer)
        self.pauses += 1


def _line(channel: socket.socket) -> str:
    """Up to a line's end; empty where the other side is gone."""
    received = b""
    while not received.endswith(b"\n"):
        part = channel.recv(64)
        if not part:
            return ""
        received += part
    return received.decode()


class Racer:
    """The race's side of one training.

    Args:
        command: of the training's process, without the last two arguments: its socket and when it was launched.
        log: file for all that it prints.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        self.name = name
        self._command, self._log = list(command), log
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._channel: Optional[socket.socket] = None

    def take_turn(self, cap_s: float) -> bool:
        """Let it run until it pauses; returns False when it has ended.

        Raises:
            RaceError: it failed.
        """
        if self._channel is None:
            self._launch(cap_s)
        else:
            self._channel.sendall(f"{cap_s!r}\n".encode())
        assert self._channel is not None and self._process is not None
        if self._channel.recv(1) == _PAUSED:
            return True
        status = self._process.wait()
        if status != 0:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:]
            raise RaceError(
                f"{self.name} to train to its end", f"status {status}: {''.join(last)}", f"See {self._log}."
            )
        return False

    def _launch(self, cap_s: float) -> None:
        ours, theirs = socket.socketpair()
        with open(self._log, "wb") as log, theirs:
            arguments = [*self._command, str(theirs.fileno()), repr(time.monotonic()), repr(cap_s)]
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self._process = subprocess.Popen(
                arguments, cwd=ROOT, env=environment, stdout=log, stderr=log, pass_fds=[theirs.fileno()]
            )
        self._channel = ours

    def stop(self) -> None:
        """End it where it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._channel is not None:
            self._channel.close()


def python_command(python: Optional[str], module: str, *words: str) -> list[str]:
    """A module of this project in this Python or another."""
    return [python if python is not None else sys.executable, "-m", module, *words]
