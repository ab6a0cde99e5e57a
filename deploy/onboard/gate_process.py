"""The gate's process: the control loop at the link's rate, with its pilot in another process.

Nothing in here waits for anybody. A step of the policy is asked for by one byte into a pipe that is never full for
long, answers are looked for once a tick, and a target that is late expires by its own date.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from types import FrameType
from typing import Dict, Optional

from deploy.onboard.child_process import PARENT_DIED, Done, Reporter
from deploy.onboard.clock import MonotonicClock
from deploy.onboard.control_loop import ControlLoop, LoopSettings
from deploy.onboard.exchange import (
    NO_STEP,
    ORDER,
    AnswerReader,
    PulseWriter,
    Report,
    ReportWriter,
    Slots,
    read_order,
)
from deploy.onboard.lateness import LatenessHistogram
from deploy.onboard.link import Link, LinkStatistics
from deploy.onboard.pilot_seat import Moment
from deploy.onboard.recorder import Recorder
from deploy.onboard.session import RunSettings, make_schedule
from deploy.onboard.shared_slot import SlotReader
from deploy.onboard.target import JointTarget
from deploy.onboard.wire import JointCommand, RobotState
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel

SUPERVISOR_SILENCE_LIMIT_S = 1.0
"""Nobody drives unwatched: a supervisor that is stopped for this long ends the session [s]. Its death does so at once,
by a signal; and while it is only stopped, the gate by itself is as safe as in a single process."""


class PilotElsewhere:
    """The seat of a pilot (`pilot_seat.PilotSeat`) that lives in another process and may stop doing so.

    An answer counts only for the present epoch and episode, and for a step that was asked for and not answered yet;
    whatever date the pilot puts on its target, it expires `target_age_limit_s` after it was seen here.

    Args:
        wake_descriptor: the writing end of the pipe that wakes the pilot.
        epoch: of the lease; answers of any other are refused.
    """

    def __init__(self, slots: Slots, wake_descriptor: int, epoch: int, robot: RobotModel) -> None:
        self._reports, self._answers = ReportWriter(slots.report), AnswerReader(slots.answer)
        self._orders = SlotReader(slots.order, ORDER)
        self._wake_descriptor = wake_descriptor
        os.set_blocking(wake_descriptor, False)
        self._epoch, self._validity_s = epoch, robot.safety.target_age_limit_s
        self._episode = self._steps_asked = self._steps_answered = 0
        self._step_deadline_s = 0.0
        self._target: Optional[JointTarget] = None
        self._refused: Counter[str] = Counter()
        self.steps = 0
        self.inference = LatenessHistogram()
        self.stop_reason = ""

    @property
    def refused(self) -> Dict[str, int]:
        """Answers that were not taken, by what was wrong with them."""
        return dict(self._refused)

    def begin_episode(self, episode: int, standing: Optional[JointTarget]) -> None:
        """The pilot's first target takes a while to come: until it does, or expires, the robot goes on standing."""
        self._episode, self._target = episode, standing
        self.steps = self._steps_asked = self._steps_answered = 0

    def attend(self, moment: Moment) -> Optional[JointTarget]:
        """Tell everybody of the tick, wake the pilot if a step is due, and take its newest answer."""
        if moment.step_due:
            self._steps_asked += 1
            self._step_deadline_s = moment.time_s - moment.late_s
        self._reports.write(self._report(moment))
        if moment.step_due:
            self._wake()
        self._take_answer(moment.time_s)
        self._hear_order(moment.time_s)
        return self._target

    def _report(self, moment: Moment) -> Report:
        return Report(
            time_s=moment.time_s,
            tick=moment.tick,
            mode=moment.mode,
            latched=moment.latched,
            episode=self._episode,
            step=self._steps_asked - 1 if self._steps_asked else NO_STEP,
            step_deadline_s=self._step_deadline_s,
            state=moment.state,
            state_time_s=moment.state_time_s,
        )

    def _wake(self) -> None:
        try:
            os.write(self._wake_descriptor, b"\1")
        except (BlockingIOError, BrokenPipeError):
            return  # stopped for twenty minutes, or dead: its targets expire all the same

    def _take_answer(self, time_s: float) -> None:
        answer = self._answers.read()
        if answer is None:
            return
        if answer.epoch != self._epoch:
            self._refused["of another epoch"] += 1
        elif answer.episode != self._episode:
            self._refused["of another episode"] += 1
        elif not self._steps_answered <= answer.step < self._steps_asked:
            self._refused["out of sequence"] += 1
        else:
            self._steps_answered = answer.step + 1
            self.steps += 1
            self.inference.add(answer.inference_s)
            target = answer.target
            # Not min(): a date that is no number must stay one, for the gate to refuse it.
            if target.valid_until_s > time_s + self._validity_s:
                target = target._replace(valid_until_s=time_s + self._validity_s)
            self._target = target

    def _hear_order(self, time_s: float) -> None:
        order = read_order(self._orders)
        if order is None or self.stop_reason:
            return
        if order.stop_reason:
            self.stop_reason = order.stop_reason
        elif time_s - order.time_s > SUPERVISOR_SILENCE_LIMIT_S:
            self.stop_reason = f"the supervisor has been silent for {SUPERVISOR_SILENCE_LIMIT_S} s"


class PulsingLink:
    """A link that lets the supervisor feel the pulse: every command that has left, and whether it was damping."""

    def __init__(self, link: Link, slots: Slots) -> None:
        self._link, self._pulse = link, PulseWriter(slots.pulse)
        self._sent = 0

    @property
    def statistics(self) -> LinkStatistics:
        """See `Link.statistics`."""
        return self._link.statistics

    def send(self, command: JointCommand) -> None:
        """See `Link.send`."""
        self._link.send(command)
        self._sent += 1
        # Without stiffness nothing pulls: the joints are braked, or free.
        self._pulse.write(self._sent, not command.stiffness.any())

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        """See `Link.receive`."""
        return self._link.receive(timeout_s)

    def close(self) -> None:
        """See `Link.close`."""
        self._link.close()


def run_gate(
    robot: RobotModel,
    contract: PolicyContract,
    link: Link,
    settings: RunSettings,
    recorder: Recorder,
    slots: Slots,
    wake_descriptor: int,
    epoch: int,
    reporter: Reporter,
) -> None:
    """Run the session; its `RunSummary` goes to the supervisor. SIGTERM ends it in order."""
    seat = PilotElsewhere(slots, wake_descriptor, epoch, robot)
    pulsing = PulsingLink(link, slots)
    schedule = make_schedule(settings, robot)
    loop_settings = LoopSettings(receive_timeout_s=0.0, modes=settings.modes)
    loop = ControlLoop(robot, contract, pulsing, MonotonicClock(), seat, schedule, recorder, loop_settings)

    def stop(number: int, frame: Optional[FrameType]) -> None:
        loop.request_stop("the supervisor has died" if number == PARENT_DIED else signal.Signals(number).name)

    for number in (signal.SIGTERM, PARENT_DIED):
        signal.signal(number, stop)
    reporter.ready()
    summary = loop.run()
    reporter.send(Done(replace(summary, targets_refused=seat.refused)))
