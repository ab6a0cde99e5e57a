"""A process of the session: forked, watched through a pipe, and gone when its parent is.

Forked, not started anew: what the supervisor has read and checked (bundle, robot, open link, lease, shared memory) is
there at once and nowhere by name, and the imports are paid for once. The supervisor starts no threads before.

A child that ends, for whatever reason, closes the pipe: the supervisor wakes at that moment, not at its next look. A
supervisor that ends has the kernel send its children PARENT_DIED (PR_SET_PDEATHSIG). Signals from the terminal reach
the whole session at once; the children leave them to the supervisor, which ends the processes in the right order.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import signal
import struct
import sys
import time
import traceback
from typing import Any, Callable, NamedTuple, Optional, Tuple

from deploy.onboard.realtime import Grant, RealTimeWish, request_real_time
from deploy.onboard.stop_signals import STOP_SIGNALS
from robot_configs.errors import Go1Error

PARENT_DIED = signal.SIGUSR1
"""What a child gets when its parent has ended; unless it is handled, the child ends too. The parent's process id tells
less: it stays until the last of the parent's threads is gone, and some have to wait for a processor to end on."""

_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_LENGTH = struct.Struct("<I")
_EXIT_ERROR = 1
_REAP_POLL_S = 0.002


class Ready(NamedTuple):
    """Message of a child: it is set up."""

    grants: Tuple[Grant, ...]


class Failed(NamedTuple):
    """Message of a child: it ends with this error."""

    error: Optional[Go1Error]
    """None where it was an error that nobody expected."""
    text: str


class Done(NamedTuple):
    """Message of a child: it has done what it was there for."""

    result: Any


class Reporter:
    """The child's end of the pipe. Messages are pickled: both ends are one program, forked."""

    def __init__(self, descriptor: int, wish: RealTimeWish) -> None:
        self._descriptor, self._wish = descriptor, wish

    def ready(self) -> None:
        """Set up: ask for real time, and tell the supervisor what was granted."""
        # Objects made so far live as long as the process: the collector need not go through them again and again.
        gc.collect()
        gc.freeze()
        self.send(Ready(request_real_time(self._wish)))

    def send(self, message: object) -> None:
        """Write one message; whoever should read it may be gone."""
        content = pickle.dumps(message)
        content = _LENGTH.pack(len(content)) + content
        try:
            while content:
                content = content[os.write(self._descriptor, content) :]
        except BrokenPipeError:
            return


class Child:
    """The parent's view of a child."""

    def __init__(self, name: str, pid: int, descriptor: int) -> None:
        self.name, self.pid, self.descriptor = name, pid, descriptor
        self.grants: Tuple[Grant, ...] = ()
        self.failed: Optional[Failed] = None
        self.done: Optional[Done] = None
        self.ready = False
        self.ending = ""
        """How it ended, as in "was killed by SIGKILL"; empty while it runs."""
        self._buffer = b""
        os.set_blocking(descriptor, False)

    @property
    def running(self) -> bool:
        """Whether it has not been seen to end."""
        return not self.ending

    def look(self) -> None:
        """Take in its messages, and note its end."""
        if not self.running:
            return
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        self._read()  # after the look at its end: what it wrote before that is complete
        if pid:
            os.close(self.descriptor)
            self.ending = self._describe(status)

    def signal(self, number: int) -> None:
        """Send it a signal, if it has not ended."""
        if self.running:
            os.kill(self.pid, number)

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended within `timeout_s`."""
        deadline_s = time.monotonic() + timeout_s
        self.look()
        while self.running and time.monotonic() < deadline_s:
            time.sleep(_REAP_POLL_S)
            self.look()
        return not self.running

    def kill(self) -> None:
        """End it now, whatever it does; also works on a stopped process."""
        self.signal(signal.SIGKILL)
        while self.running:
            self.wait(1.0)

    def _read(self) -> None:
        try:
            while True:
                content = os.read(self.descriptor, 1 << 16)
                if not content:
                    break
                self._buffer += content
        except BlockingIOError:
            pass
        while len(self._buffer) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                return  # the rest is on its way, or died with the child
            self._note(pickle.loads(self._buffer[_LENGTH.size : end]))
            self._buffer = self._buffer[end:]

    def _note(self, message: object) -> None:
        if isinstance(message, Ready):
            self.ready, self.grants = True, message.grants
        elif isinstance(message, Failed):
            self.failed = message
        elif isinstance(message, Done):
            self.done = message

    def _describe(self, status: int) -> str:
        if os.WIFSIGNALED(status):
            return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
        if self.failed is not None:
            return f"failed: {self.failed.text}"
        code = os.WEXITSTATUS(status)
        return "ended in order" if code == 0 else f"ended with status {code}"


def process_title(name: str) -> str:
    """What ps and top show of the child `name`; at most 15 characters."""
    return f"go1-{name}"


def start_child(name: str, body: Callable[[Reporter], None], wish: RealTimeWish) -> Child:
    """Fork a process that runs `body` and ends with it; the parent must have no other threads of its own."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        # Nothing may return into the parent's program, whose `finally` clauses belong to the parent.
        status = _EXIT_ERROR
        try:
            os.close(reading)
            _become_child(name, parent)
            status = _run(body, Reporter(writing, wish))
        finally:
            os._exit(status)
    os.close(writing)
    return Child(name, pid, reading)


def _run(body: Callable[[Reporter], None], reporter: Reporter) -> int:
    try:
        body(reporter)
    except Go1Error as error:
        reporter.send(Failed(error, f"{type(error).__name__}: {error}"))
    except BaseException as error:  # noqa: BLE001 - the outermost: whatever it is, the supervisor has to be told
        traceback.print_exc()
        sys.stderr.flush()
        reporter.send(Failed(None, f"{type(error).__name__}: {error}"))
    else:
        return 0
    return _EXIT_ERROR


def _become_child(name: str, parent: int) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.SIG_IGN)
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_PDEATHSIG, int(PARENT_DIED), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    library.prctl(_PR_SET_NAME, process_title(name).encode(), 0, 0, 0)
    if os.getppid() != parent:
        raise SystemExit("the supervisor ended before its child had begun")
