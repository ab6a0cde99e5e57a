"""The pilot's process: woken for every policy step, it reads the newest state, runs the bundle, and writes a target.

It sleeps in a read of the pipe that the gate writes one byte into; nothing polls. However many bytes have gathered
while it was busy or stopped, it answers the newest step only: the past needs no targets. The gate's end of the pipe
closes when the gate ends, and with it the pilot.
"""

from __future__ import annotations

import os
from typing import Sequence

from deploy.onboard.child_process import Reporter
from deploy.onboard.clock import MonotonicClock
from deploy.onboard.commands import parse_commands
from deploy.onboard.exchange import NO_STEP, REPORT, Answer, AnswerWriter, Report, Slots, read_report
from deploy.onboard.held_commands import with_gait
from deploy.onboard.pilot import Pilot
from deploy.onboard.pilot_seat import Observer
from deploy.onboard.recorder import Recorder
from deploy.onboard.session import RunSettings
from deploy.onboard.shared_slot import SlotReader
from deploy.onboard.target import POLICY_MODES, Mode
from policy.bundle import Bundle, PolicySession, verify_bundle
from robot_configs.robot import RobotModel

_WAKE_BYTES = 1 << 16
"""As many as the pipe can hold: one read empties it."""


class PilotLoop:
    """Answers the gate's steps with a `Pilot`.

    Args:
        epoch: of the lease, for every answer.
        observers: shown every step after its target was written.
    """

    def __init__(
        self, pilot: Pilot, slots: Slots, epoch: int, recorder: Recorder, observers: Sequence[Observer] = ()
    ) -> None:
        self._pilot, self._recorder, self._observers = pilot, recorder, tuple(observers)
        self._epoch = epoch
        self._reports, self._answers = SlotReader(slots.report, REPORT), AnswerWriter(slots.answer)
        self._clock = MonotonicClock()
        self._answered = (-1, NO_STEP)
        """Episode and step of the last answer."""

    def answer_newest(self) -> None:
        """Make the step that is due, if one is."""
        report = read_report(self._reports)
        if report is None or report.mode not in POLICY_MODES or report.step == NO_STEP or report.state is None:
            return
        if (report.episode, report.step) != self._answered:
            self._answer(report)

    def _answer(self, report: Report) -> None:
        if report.episode != self._answered[0]:
            self._pilot.begin_episode(report.episode)
        self._answered = (report.episode, report.step)
        assert report.state is not None
        halting = report.mode is Mode.HALT
        step = self._pilot.step(report.state, report.state_time_s, self._clock.now_s(), halting)
        self._answers.write(Answer(self._epoch, report.episode, report.step, step.target, step.inference_s))
        if halting:
            return  # no part of the episode
        self._recorder.policy_tick(step, step.time_s - report.step_deadline_s)
        for observer in self._observers:
            observer.on_policy_step(step)


def run_pilot(
    bundle: Bundle,
    robot: RobotModel,
    settings: RunSettings,
    recorder: Recorder,
    slots: Slots,
    wake_descriptor: int,
    epoch: int,
    reporter: Reporter,
    observers: Sequence[Observer] = (),
) -> None:
    """Load the policy, say so, and answer steps until the gate has ended.

    Args:
        observers: see `PilotLoop`; made before the process was.

    Raises:
        ContractError, BundleError: the policy is not for this robot, or does not compute what was sealed.
        CommandError: the command specification is not for this policy.
    """
    verify_bundle(bundle, robot)
    terms = bundle.contract.commands
    commands = with_gait(parse_commands(settings.commands, terms), settings.gait, terms)
    session = PolicySession(bundle, robot)
    pilot = Pilot(session, bundle.contract, robot, commands, settings.exploration, settings.seed)
    loop = PilotLoop(pilot, slots, epoch, recorder, observers)
    reporter.ready()
    while _woken(wake_descriptor):
        loop.answer_newest()
    recorder.close()


def _woken(wake_descriptor: int) -> bool:
    """Sleep until the gate wants a step; False when there is no gate any more."""
    return bool(os.read(wake_descriptor, _WAKE_BYTES))
