"""A shadow in a process of its own: however slow or broken the candidate is, the driving policy does not notice.

    pilot ──► ShadowWindow ──► pipe, 64 KiB ──► shadow's process: the candidate, and the comparison
                 never waits;                     started before lease and link, so that it has neither;
                 full or broken: the step         niced, no real-time priority
                 is missed, and counted

Why a process and not a budget of time: nobody can take a core back from an ONNX graph that is in the middle of a step.
"""

from __future__ import annotations

import io
import mmap
import os
import select
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Iterator, List

import numpy as np

from deploy.onboard.child_process import Done, Reporter, start_child
from deploy.onboard.packet_layout import MOTORS
from deploy.onboard.pilot import PilotStep
from deploy.onboard.realtime import NOTHING
from deploy.onboard.shadow import DriverStep, Shadow, check_comparable, driver_step
from deploy.onboard.shadow_report import ShadowError, ShadowFindings, ShadowReport
from deploy.onboard.summary import EpisodeSummary
from policy.bundle import Bundle, PolicySession, verify_bundle
from robot_configs.robot import RobotModel

NICENESS = 10
"""Where no real-time priority is granted, the kernel still gives the others about nine times as much of a core."""

_POLL_S = 0.005


@dataclass(frozen=True)
class ShadowProcessSettings:
    """How the process is waited for; never while a robot walks in real time."""

    patience_s: float = 0.0
    """How long a step may wait for room in the pipe, until that has been in vain once [s of real time]."""
    start_limit_s: float = 60.0
    """Loading and verifying the candidate may take this long [s]."""
    drain_s: float = 2.0
    """For the steps that are still in the pipe when the session is over [s]."""
    end_limit_s: float = 5.0
    """After that long the process is killed [s]."""


IN_LOCKSTEP = ShadowProcessSettings(patience_s=30.0, drain_s=30.0, end_limit_s=60.0)
"""Time waits for whoever is slow, and so no step is missed."""


def step_layout(command_dim: int) -> np.dtype:
    """Of one `DriverStep` in the pipe; with its names and order. Far below PIPE_BUF: written whole or not."""
    return np.dtype(
        [
            ("episode", "<u4"),
            ("tick", "<u4"),
            ("orientation", "<f4", (4,)),
            ("angular_velocity", "<f4", (3,)),
            ("joint_position", "<f4", (MOTORS,)),
            ("joint_velocity", "<f4", (MOTORS,)),
            ("command", "<f4", (command_dim,)),
            ("action_mean", "<f4", (MOTORS,)),
            ("action_std", "<f4", (MOTORS,)),
        ]
    )


class ShadowWindow:
    """The pilot's side of a shadow: an `Observer` through which it looks on, in any process forked later.

    Args:
        descriptor: the writing end of the pipe.
    """

    def __init__(self, descriptor: int, command_dim: int, patience_s: float) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor, self._patience_s = descriptor, patience_s
        self._record = np.zeros((), step_layout(command_dim))
        # Shared with the processes forked later: whoever drives counts, whoever reports reads when that one is gone.
        self._steps = np.frombuffer(mmap.mmap(-1, 8), np.uint64)

    @property
    def steps(self) -> int:
        """Steps of the driver, seen by the shadow or not."""
        return int(self._steps[0])

    def on_policy_step(self, step: PilotStep) -> None:
        """See `pilot_seat.Observer`."""
        self._steps[0] += 1
        record = self._record
        for name, value in zip(DriverStep._fields, driver_step(step)):
            record[name] = value
        if self._patience_s and not select.select([], [self._descriptor], [], self._patience_s)[1]:
            self._patience_s = 0.0  # it hangs: waiting again at every step would help nobody
        try:
            os.write(self._descriptor, record.tobytes())
        except (BlockingIOError, BrokenPipeError):
            return  # full, or nobody reads any more: `steps` has counted it, the shadow will not have seen it

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        """See `pilot_seat.Observer`."""


class ShadowProcess:
    """A shadow's process, from outside. To be started before the processes of the session are.

    Args:
        make_shadow: called in the process; what it raises of this project's errors comes out of here.
        command_dim: of the driver's contract.

    Raises:
        ShadowError: the shadow could not be made.
    """

    def __init__(self, make_shadow: Callable[[], Shadow], command_dim: int, settings: ShadowProcessSettings) -> None:
        self._settings = settings
        reading, self._writing = os.pipe()

        def body(reporter: Reporter) -> None:
            os.close(self._writing)
            os.nice(NICENESS)
            stopped_s: List[float] = []
            signal.signal(signal.SIGTERM, lambda number, frame: stopped_s.append(time.monotonic()))
            shadow = make_shadow()
            reporter.ready()
            _watch(reading, step_layout(command_dim), shadow, lambda: _over(stopped_s, settings.drain_s))
            reporter.send(Done(shadow.findings()))

        self._child = start_child("shadow", body, NOTHING)
        os.close(reading)
        self.window = ShadowWindow(self._writing, command_dim, settings.patience_s)
        try:
            self._await_ready()
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    def report(self, candidate_sha256: str, driver_sha256: str) -> ShadowReport:
        """End the process and say what it found; to be called when the session is over."""
        child, limit_s = self._child, self._settings.end_limit_s
        self._close_pipe()
        child.signal(signal.SIGTERM)
        failure = "" if child.wait(limit_s) else f"was still busy {limit_s:g} s after the session"
        self.close()
        findings = ShadowFindings() if child.done is None else child.done.result
        if child.done is None:
            failure = failure or child.ending
        return ShadowReport(candidate_sha256, driver_sha256, self.window.steps, findings, failure)

    def close(self) -> None:
        """End the process, whatever it does."""
        self._close_pipe()
        self._child.kill()

    def _close_pipe(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1

    def _await_ready(self) -> None:
        child, limit_s = self._child, self._settings.start_limit_s
        deadline_s = time.monotonic() + limit_s
        while child.running and not child.ready and time.monotonic() < deadline_s:
            select.select([child.descriptor], [], [], _POLL_S)
            child.look()
        if child.ready:
            return
        error = child.failed.error if child.failed is not None else None
        if error is not None:
            raise ShadowError(f"a candidate that can run beside: {error.expected}", error.found, error.remedy)
        found = child.ending or "one that is still loading"
        raise ShadowError(f"a shadow that is ready within {limit_s:g} s", found, "See its own message above.")


@contextmanager
def shadow_beside(
    candidate: Bundle, driver: Bundle, robot: RobotModel, settings: ShadowProcessSettings = ShadowProcessSettings()
) -> Iterator[ShadowProcess]:
    """A process in which `candidate` is verified and then runs beside `driver`.

    Raises:
        ShadowError: the two cannot be compared, or the candidate is not for this robot, or computes something else.
    """
    check_comparable(candidate.contract, driver.contract)

    def make_shadow() -> Shadow:
        verify_bundle(candidate, robot)
        return Shadow(PolicySession(candidate, robot), driver.contract, robot)

    process = ShadowProcess(make_shadow, driver.contract.command_dim, settings)
    try:
        yield process
    finally:
        process.close()


def _watch(descriptor: int, layout: np.dtype, shadow: Shadow, over: Callable[[], bool]) -> None:
    """Show the shadow step after step until the driver's side has closed the pipe, or until it is `over`."""
    with io.open(descriptor, "rb", buffering=1 << 16) as stream:
        while not over():
            content = stream.read(layout.itemsize)
            if len(content) < layout.itemsize:
                return
            record = np.frombuffer(content, layout)[0]
            shadow.see(DriverStep(*(record[name] for name in DriverStep._fields)))


def _over(stopped_s: List[float], drain_s: float) -> bool:
    return bool(stopped_s) and time.monotonic() - stopped_s[0] > drain_s
