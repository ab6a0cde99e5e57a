"""The control loop: one loop at the link's rate that keeps gate, modes, pilot and recorder in step.

Every 2 ms: wait for the deadline, take the newest state, let the schedule change the mode, choose a target, pass it
through the gate, send. Every tenth tick of WALK and HALT the pilot is due to make a step. In real time the clock
sleeps, the link is polled, and the pilot may sit in another process; in lockstep the clock jumps, the link blocks until
the twin has answered, and the pilot is at hand: the loop does not know which.

However the loop ends, the last frames that leave are damping.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import List, Optional, Sequence

import numpy as np

from deploy.onboard.clock import Clock
from deploy.onboard.endings import ending_of_fault
from deploy.onboard.gate import Gate, GateDecision
from deploy.onboard.lateness import LatenessHistogram
from deploy.onboard.link import Link
from deploy.onboard.modes import ModeMachine, ModeSettings
from deploy.onboard.pilot_seat import Moment, Observer, PilotSeat
from deploy.onboard.reasons import ClampCounts, reason_names
from deploy.onboard.recorder import NO_EPISODE, Recorder
from deploy.onboard.schedule import Change, Schedule, TickView
from deploy.onboard.summary import EpisodeSummary, RunSummary
from deploy.onboard.target import POLICY_MODES, JointTarget, Mode
from deploy.onboard.target_limits import NO_CLAMPS
from deploy.onboard.wire import RobotState
from offline_data.log_schema import Ending, EventKind
from policy.contract import PolicyContract
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel

LINK_LOST = "link lost"
"""Beginning of the reason why a session ended whose robot does not speak any more."""


class SilentRobotError(Go1Error):
    """Not one state came from the robot."""


@dataclass(frozen=True)
class LoopSettings:
    """How the loop meets the link."""

    receive_timeout_s: float
    """How long a tick waits for a state [s of real time]: 0 polls; in lockstep, long enough for the twin to answer."""
    silence_limit_s: float = 5.0
    """The session is given up after this long without any state [s of real time]."""
    farewell_frames: int = 25
    """Damping frames sent at the end, one a tick: 50 ms, so that a few lost packets do not matter."""
    modes: ModeSettings = ModeSettings()


class ControlLoop:
    """Runs one session on one robot. Neither opens nor closes the link."""

    def __init__(
        self,
        robot: RobotModel,
        contract: PolicyContract,
        link: Link,
        clock: Clock,
        pilot: PilotSeat,
        schedule: Schedule,
        recorder: Recorder,
        settings: LoopSettings,
        observers: Sequence[Observer] = (),
    ) -> None:
        contract.check_robot(robot)
        self._link, self._clock, self._pilot = link, clock, pilot
        self._schedule, self._recorder, self._settings = schedule, recorder, settings
        self._observers = tuple(observers)
        self._gate = Gate(robot, np.array(contract.target_lower), np.array(contract.target_upper))
        self._modes = ModeMachine(robot, settings.modes)
        self._link_hz, self._ticks_per_step = robot.link_hz, robot.ticks_per_policy_step
        self._lateness = LatenessHistogram()
        self._late_s = 0.0
        self._tick_index = self._mode_since_index = self._next_step_index = 0
        self._ticks_missed = 0
        self._start_s = self._time_s = self._state_time_s = clock.now_s()
        self._state: Optional[RobotState] = None
        self._heard_s = 0.0
        self._target: Optional[JointTarget] = None
        self._episode = NO_EPISODE
        self._episode_clamps = NO_CLAMPS
        self._episodes: List[EpisodeSummary] = []
        self._faults: List[str] = []
        self._stop_reason = ""

    def request_stop(self, reason: str) -> None:
        """End the session after the running tick; may be called from a signal handler or another thread."""
        self._stop_reason = self._stop_reason or reason

    def run(self) -> RunSummary:
        """Run the session to its end; the robot is damped afterwards, whatever happened.

        Raises:
            SilentRobotError: not one state came.
            Anything that the pilot, the commands, the link or an observer raises, after the robot was damped.
        """
        self._heard_s = started_s = time.perf_counter()
        self._start_s = self._time_s = self._clock.now_s()
        outcome = "the program failed"
        try:
            self._link.send(self._gate.damping_command)
            while not (self._schedule.done or self._stop_reason or self._pilot.stop_reason):
                self._tick()
            outcome = self._stop_reason or self._pilot.stop_reason or self._schedule.stop_reason
        finally:
            failed = self._say_farewell()
            outcome = outcome or failed
            try:
                self._close_episode(Ending.STOPPED, outcome)
                self._note(EventKind.STOP, outcome or "plan complete")
            finally:
                recorder_report = self._recorder.close()
        return RunSummary(
            episodes=tuple(self._episodes),
            faults=tuple(self._faults),
            stop_reason=outcome,
            ticks=self._lateness.total,
            ticks_missed=self._ticks_missed,
            clock_s=self._clock.now_s() - self._start_s,
            wall_s=time.perf_counter() - started_s,
            lateness=self._lateness.to_dict(),
            inference=self._pilot.inference.to_dict(),
            link=self._link.statistics,
            recorder=recorder_report,
        )

    def _tick(self) -> None:
        self._wait_for_deadline()
        self._receive()
        self._follow_schedule()
        self._choose_target()
        # By the clock as it is now: a pilot at hand that has stalled gives a target for a moment that is over.
        decision = self._gate.limit(self._target, self._clock.now_s(), self._modes.mode)
        self._link.send(decision.command)
        self._recorder.low_cmd(decision, self._modes.mode, self._time_s, self._late_s)
        self._take_stock(decision)

    def _wait_for_deadline(self) -> None:
        """Deadlines are absolute: waiting does not drift. Those that have passed altogether are skipped."""
        self._tick_index += 1
        overdue = max(0, int((self._clock.now_s() - self._start_s) * self._link_hz) - self._tick_index)
        self._tick_index += overdue
        self._ticks_missed += overdue
        deadline_s = self._start_s + self._tick_index / self._link_hz
        self._clock.sleep_until(deadline_s)
        self._time_s = self._clock.now_s()
        self._late_s = self._time_s - deadline_s
        self._lateness.add(self._late_s)

    def _receive(self) -> None:
        state = self._link.receive(self._settings.receive_timeout_s)
        if state is not None:
            self._state, self._state_time_s = state, self._time_s
            self._heard_s = time.perf_counter()
            self._recorder.low_state(state, self._time_s)
        elif time.perf_counter() - self._heard_s > self._settings.silence_limit_s:
            self._give_up_on_silence()
        self._gate.inspect(state, self._time_s)

    def _give_up_on_silence(self) -> None:
        if self._state is None:
            raise SilentRobotError(
                f"a state from the robot within {self._settings.silence_limit_s} s",
                "none",
                "Check address and subnet, that sport mode is off, and that no other low-level client is talking.",
            )
        self.request_stop(f"{LINK_LOST}: no state for {self._settings.silence_limit_s} s")

    def _follow_schedule(self) -> None:
        change = self._schedule.decide(self._view())
        if change is not None:
            self._change_mode(change)

    def _view(self) -> TickView:
        return TickView(
            mode=self._modes.mode,
            ramp_finished=self._modes.ramp_finished(self._time_s),
            ticks_in_mode=self._tick_index - self._mode_since_index,
            state=self._state,
            state_faults=self._gate.state_faults,
            keys=self._gate.keys,
            time_s=self._time_s,
        )

    def _change_mode(self, change: Change) -> None:
        if self._modes.mode is Mode.FAULT and self._gate.rearm(self._time_s):
            return  # not fit to move yet; the schedule will ask again
        self._close_episode(change.ending, change.reason)
        self._modes.enter(change.mode, self._state, self._time_s, self._target)
        self._mode_since_index = self._tick_index
        self._note(EventKind.MODE_CHANGE, change.reason)
        if change.mode is Mode.WALK:
            self._begin_episode()

    def _begin_episode(self) -> None:
        self._episode = len(self._episodes)
        self._episode_clamps, self._next_step_index = NO_CLAMPS, self._tick_index
        self._pilot.begin_episode(self._episode, self._target)
        self._note(EventKind.EPISODE_START, "")

    def _close_episode(self, ending: Ending, reason: str) -> None:
        """End the running episode, if there is one."""
        if self._episode == NO_EPISODE:
            return
        self._note(EventKind.EPISODE_END, reason, ending)
        duration_s = (self._tick_index - self._mode_since_index) / self._link_hz
        clamped = self._episode_clamps._asdict()
        summary = EpisodeSummary(
            self._episode, ending.name.lower(), reason, self._pilot.steps, duration_s, dict(clamped)
        )
        self._episode = NO_EPISODE
        self._episodes.append(summary)
        for observer in self._observers:
            observer.on_episode_end(summary)

    def _choose_target(self) -> None:
        mode = self._modes.mode
        moment = Moment(
            time_s=self._time_s,
            late_s=self._late_s,
            tick=self._tick_index,
            mode=mode,
            latched=self._gate.latched,
            step_due=mode in POLICY_MODES and self._step_due(),
            state=self._state,
            state_time_s=self._state_time_s,
        )
        policy_target = self._pilot.attend(moment)
        self._target = policy_target if mode in POLICY_MODES else self._modes.ramp_target(self._time_s)

    def _step_due(self) -> bool:
        # A state that the gate refuses is no food for the policy; the gate will damp in this very tick.
        if self._tick_index < self._next_step_index or self._state is None or self._gate.state_faults:
            return False
        steps_passed = (self._tick_index - self._next_step_index) // self._ticks_per_step
        self._next_step_index += self._ticks_per_step * (1 + steps_passed)
        return True

    def _take_stock(self, decision: GateDecision) -> None:
        # Outside of an episode as well: the next one begins with none.
        if any(decision.clamped):
            self._episode_clamps = ClampCounts(*(a + b for a, b in zip(self._episode_clamps, decision.clamped)))
        if self._gate.latched and self._modes.mode is not Mode.FAULT:
            self._enter_fault(self._gate.latched)

    def _enter_fault(self, reasons: int) -> None:
        names = ", ".join(reason_names(reasons))
        self._faults.append(names)
        self._schedule.on_fault(reasons, self._view())
        self._close_episode(ending_of_fault(reasons), names)
        self._modes.fault(self._time_s)
        self._mode_since_index = self._tick_index
        self._note(EventKind.FAULT, names)

    def _note(self, kind: EventKind, text: str, ending: Ending = Ending.NONE) -> None:
        self._recorder.event(kind, self._modes.mode, self._time_s, text, self._episode, ending)

    def _say_farewell(self) -> str:
        """Damp, frame by frame; one that fails does not keep the next from being tried. Returns what failed first."""
        failed = ""
        for _ in range(self._settings.farewell_frames):
            for act in (self._send_damping, self._wait_for_deadline, self._take_answer):
                try:
                    act()
                except Exception as error:  # noqa: BLE001 - nothing may stand between the robot and damping
                    failed = failed or f"while damping: {error}"
        return failed

    def _send_damping(self) -> None:
        self._link.send(self._gate.damping_command)

    def _take_answer(self) -> None:
        self._link.receive(self._settings.receive_timeout_s)
