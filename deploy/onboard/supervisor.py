"""The supervisor: starts gate, pilot, recorder and guard, watches them, and damps the robot if the gate can not.

It opens the link and never uses it while the gate lives: a gate that ends without having said farewell, or that is
silent with the motors pulling, is killed for certain, and then the supervisor damps the robot itself.

    gate      ends, or sends nothing for `gate_silence_limit_s`  ->  it is killed, the robot damped, the session over
    pilot     ends                                               ->  the gate is told to end the session
              is late, stopped, or talks nonsense                ->  the gate's own business: latched damping
    recorder  ends                                               ->  a new one goes on where it stopped
    guard     ends                                               ->  a new one takes its place

Nobody is ever started again into a motion: gate and pilot have one life, and the next session begins with a person.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import replace
from typing import List, Optional, Tuple

from deploy.onboard.child_process import Child, Reporter, start_child
from deploy.onboard.control_loop import SilentRobotError
from deploy.onboard.exchange import NO_STEP, PULSE, REPORT, OrderWriter, Report, Slots, read_report
from deploy.onboard.gate_process import run_gate
from deploy.onboard.guard import GuardPost, damp_robot, dismiss_guard, stand_guard
from deploy.onboard.lateness import LatenessHistogram
from deploy.onboard.pilot_process import run_pilot
from deploy.onboard.pulse_watch import PulseWatch
from deploy.onboard.realtime import NOTHING, Grant, request_real_time, scheduling_restored
from deploy.onboard.recorder import RecorderReport
from deploy.onboard.session_log import SessionLog
from deploy.onboard.shared_slot import SlotReader
from deploy.onboard.stop_signals import signals_stop
from deploy.onboard.summary import EpisodeSummary, ProcessSummary, RunSummary
from deploy.onboard.supervision import (
    GUARD_PRIORITY,
    PILOT_PRIORITY,
    SUPERVISOR_PRIORITY,
    SessionPlan,
    SupervisorError,
    SupervisorSettings,
)
from deploy.onboard.target import Mode
from offline_data.log_schema import Ending

SILENT_ROBOT_REMEDY = "Check address and subnet, that sport mode is off, and that no other program talks to it."

FIRST_DAMPING_S = 0.01
"""How long the supervisor damps before it looks at anything else: a few frames, of which some may be lost [s]."""


class Supervisor:
    """Runs one session in processes of their own."""

    def __init__(self, plan: SessionPlan, settings: SupervisorSettings) -> None:
        self._plan, self._settings = plan, settings
        self._slots = Slots.create()
        self._orders = OrderWriter(self._slots.order)
        self._reports, self._pulse = SlotReader(self._slots.report, REPORT), SlotReader(self._slots.pulse, PULSE)
        self._log = SessionLog(plan.log_dir, plan.bundle, plan.robot, plan.settings)
        self._gate: Optional[Child] = None
        self._pilot: Optional[Child] = None
        self._recorders: List[Child] = []
        self._guards: List[Child] = []
        self._guard_pipe: Optional[Tuple[int, int]] = None
        self._grants: Tuple[Grant, ...] = ()
        self._stop_reason = ""
        self._taken_over = ""

    def request_stop(self, reason: str) -> None:
        """End the session in order; may be called from a signal handler."""
        self._stop_reason = self._stop_reason or reason

    def run(self) -> RunSummary:
        """Run the session to its end; the robot is damped and no process is left afterwards, whatever happened.

        The caller gets its scheduling back as it was.

        Raises:
            SupervisorError: a process did not come up.
            Anything of this project's errors that pilot (before the session) or gate (in it) ended with.
        """
        started_s = time.perf_counter()
        with scheduling_restored():
            try:
                self._start()
                self._grants = request_real_time(self._settings.wish(SUPERVISOR_PRIORITY))
                self._watch()
            finally:
                self._end()
        return self._summary(time.perf_counter() - started_s)

    def _start(self) -> None:
        plan, slots, settings = self._plan, self._slots, self._settings
        self._start_recorder()
        reading, writing = os.pipe()

        def pilot(reporter: Reporter) -> None:
            os.close(writing)
            plan.lease.disown()
            recorder = self._log.open_pilot_recorder()
            epoch, observers = plan.lease.epoch, plan.observers
            run_pilot(plan.bundle, plan.robot, plan.settings, recorder, slots, reading, epoch, reporter, observers)

        def gate(reporter: Reporter) -> None:
            os.close(reading)
            recorder, contract = self._log.open_gate_recorder(), plan.bundle.contract
            run_gate(
                plan.robot, contract, plan.link, plan.settings, recorder, slots, writing, plan.lease.epoch, reporter
            )

        try:
            self._orders.write(time.monotonic())
            self._pilot = start_child("pilot", pilot, settings.wish(PILOT_PRIORITY, settings.pilot_core))
            self._await_ready(self._pilot)
            self._guard_pipe = os.pipe()  # now, so that nobody but the gate inherits the writing end
            self._gate = start_child("gate", gate, settings.gate_wish)
        finally:
            os.close(reading)
            os.close(writing)
        self._start_guard()

    def _start_guard(self) -> None:
        plan, settings, gate, pipe = self._plan, self._settings, self._gate, self._guard_pipe
        assert gate is not None and pipe is not None
        post = GuardPost(
            robot=plan.robot,
            link=plan.link,
            slots=self._slots,
            pipe=pipe[0],
            supervisor_pid=os.getpid(),
            gate_pid=gate.pid,
            silence_limit_s=settings.guard_silence_limit_s,
            damping_s=settings.takeover_s,
        )

        def guard(reporter: Reporter) -> None:
            os.close(pipe[1])
            stand_guard(post, reporter)

        self._guards.append(start_child("guard", guard, settings.wish(GUARD_PRIORITY)))

    def _start_recorder(self) -> None:
        def recorder(reporter: Reporter) -> None:
            if self._guard_pipe is not None:
                os.close(self._guard_pipe[1])
            self._plan.lease.disown()
            self._log.run_recorder(reporter)

        if self._log.recorded:
            self._recorders.append(start_child("recorder", recorder, NOTHING))

    def _await_ready(self, child: Child) -> None:
        deadline_s = time.monotonic() + self._settings.start_limit_s
        while child.running and not child.ready and not self._stop_reason and time.monotonic() < deadline_s:
            _wait_for_news([child], self._settings.poll_s)
        if child.failed is not None and child.failed.error is not None:
            raise child.failed.error
        if not child.ready and not self._stop_reason:
            raise SupervisorError(
                f"the {child.name} to be ready within {self._settings.start_limit_s} s",
                f"that it {child.ending or 'is still busy'}",
                "See its own message above.",
            )

    def _watch(self) -> None:
        gate, pilot, settings = self._gate, self._pilot, self._settings
        assert gate is not None and pilot is not None
        watch = PulseWatch(self._pulse, settings.poll_s, time.monotonic())
        while gate.running:
            _wait_for_news([gate, pilot, *self._recorders[-1:], self._guards[-1]], settings.poll_s)
            if not pilot.running:
                self.request_stop(f"the pilot {pilot.ending}")
            if self._recorders and not self._recorders[-1].running and gate.running:
                self._start_recorder()
            if not self._guards[-1].running and gate.running:
                self._start_guard()
            self._orders.write(time.monotonic(), self._stop_reason)
            watch.look(time.monotonic())
            if watch.silent_s > self._silence_limit_s(watch):
                self._taken_over = f"the gate was silent for {1e3 * watch.silent_s:.0f} ms"
                gate.signal(signal.SIGKILL)
                return

    def _silence_limit_s(self, watch: PulseWatch) -> float:
        settings = self._settings
        if not watch.felt:
            return settings.start_limit_s  # not one command has left: nothing pulls, and it may be setting itself up
        return settings.damped_silence_limit_s if watch.damping else settings.gate_silence_limit_s

    def _end(self) -> None:
        """Gate, then robot, then guard, then pilot, then recorder."""
        gate, limit_s = self._gate, self._settings.end_limit_s
        if gate is not None:
            self._end_gate(gate)
        self._end_guard(limit_s)
        if self._pilot is not None and not self._pilot.wait(limit_s if gate is not None else 0.0):
            self._pilot.kill()
        for recorder in self._recorders:
            recorder.signal(signal.SIGTERM)  # it drains first
            if not recorder.wait(limit_s):
                recorder.kill()
        self._log.clean_up()
        self._slots.close()

    def _end_gate(self, gate: Child) -> None:
        if gate.running and not self._taken_over:  # only when the supervisor itself is failing
            self._orders.write(time.monotonic(), self._stop_reason or "the supervisor failed")
            if not gate.wait(self._settings.damped_silence_limit_s):
                gate.kill()
        if gate.done is None:
            # At once: a killed process may take ten milliseconds to be gone, but it sends nothing any more. Were a last
            # command of its still under way, the next damping frame would follow it in two.
            self._damp(FIRST_DAMPING_S)
            gate.kill()
            if gate.failed is None:
                self._log.close_for_gate(self._death_of_gate(gate), read_report(self._reports), time.monotonic())
            self._damp(self._settings.takeover_s)

    def _damp(self, duration_s: float) -> None:
        # The guard has to know that somebody is at it.
        damp_robot(self._plan.link, self._plan.robot, duration_s, lambda: self._orders.write(time.monotonic()))

    def _end_guard(self, limit_s: float) -> None:
        if self._guard_pipe is None:
            return
        if self._guards:
            dismiss_guard(self._guard_pipe[1])
            if not self._guards[-1].wait(limit_s):
                self._guards[-1].kill()
        for descriptor in self._guard_pipe:
            os.close(descriptor)

    def _summary(self, wall_s: float) -> RunSummary:
        gate = self._gate
        assert gate is not None
        if gate.failed is not None and gate.failed.error is not None:
            raise gate.failed.error
        summary: RunSummary = self._obituary(gate, wall_s) if gate.done is None else gate.done.result
        return replace(summary, recorder=self._recorder_report(), processes=self._processes())

    def _obituary(self, gate: Child, wall_s: float) -> RunSummary:
        """What is known of a session whose gate can not tell any more.

        Raises:
            SilentRobotError: it fell silent before any state had come. Nothing had moved, and who starts a session with
                a robot that does not answer has to look there first.
        """
        report = read_report(self._reports)
        nothing = LatenessHistogram().to_dict()
        reason = self._death_of_gate(gate)
        if self._taken_over and (report is None or report.state is None):
            raise SilentRobotError(
                "a state from the robot",
                f"none before {reason}",
                f"{SILENT_ROBOT_REMEDY} Or this computer is too busy: stop its other programs.",
            )
        return RunSummary(
            episodes=self._last_walk(report, reason),
            faults=(reason,),
            stop_reason=reason,
            ticks=report.tick if report else 0,
            ticks_missed=0,
            clock_s=wall_s,
            wall_s=wall_s,
            lateness=nothing,
            inference=nothing,
            link=self._plan.link.statistics,
            recorder=self._recorder_report(),
        )

    def _last_walk(self, report: Optional[Report], reason: str) -> Tuple[EpisodeSummary, ...]:
        """The newest walk as far as the gate has told of it; of those before it the log alone knows."""
        if report is None or (report.step == NO_STEP and report.episode == 0):
            return ()
        steps = 0 if report.step == NO_STEP else report.step + 1
        ending = Ending.STOPPED if report.mode is Mode.WALK else Ending.NONE
        duration_s = steps / self._plan.robot.control_hz
        return (EpisodeSummary(report.episode, ending.name.lower(), reason, steps, duration_s, {}),)

    def _death_of_gate(self, gate: Child) -> str:
        return f"{self._taken_over or 'the gate ' + gate.ending}; the supervisor damped the robot"

    def _recorder_report(self) -> RecorderReport:
        return self._log.report([recorder.done.result for recorder in self._recorders if recorder.done is not None])

    def _processes(self) -> Tuple[ProcessSummary, ...]:
        own = ProcessSummary("supervisor", os.getpid(), "ended in order", tuple(map(str, self._grants)))
        children = [child for child in (self._gate, self._pilot, *self._recorders, *self._guards) if child is not None]
        return (own, *(_process_summary(child) for child in children))


def run_supervised(plan: SessionPlan, settings: Optional[SupervisorSettings] = None) -> RunSummary:
    """Run one session in processes of their own (see `Supervisor.run`); signals that stop programs end it in order."""
    supervisor = Supervisor(plan, SupervisorSettings() if settings is None else settings)
    with signals_stop(supervisor.request_stop):
        return supervisor.run()


def _process_summary(child: Child) -> ProcessSummary:
    return ProcessSummary(child.name, child.pid, child.ending, tuple(map(str, child.grants)))


def _wait_for_news(children: List[Child], timeout_s: float) -> None:
    """Sleep until a child says something or ends, but not longer than `timeout_s`; then look at all of them."""
    running = [child.descriptor for child in children if child.running]
    select.select(running, [], [], timeout_s)
    for child in children:
        child.look()
