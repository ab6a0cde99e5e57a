"""Where the control loop gets the targets of WALK from: a pilot in this process, or one in another.

PilotSeat              the loop's view: told of every tick, gives the newest target
  PilotAtHand            runs the policy there and then: lockstep, and everything in one process
  PilotElsewhere         asks the pilot process and never waits for it (`deploy.onboard.gate_process`)
"""

from __future__ import annotations

from typing import NamedTuple, Optional, Protocol, Sequence

from deploy.onboard.lateness import LatenessHistogram
from deploy.onboard.pilot import Pilot, PilotStep
from deploy.onboard.recorder import Recorder
from deploy.onboard.summary import EpisodeSummary
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import RobotState


class Observer(Protocol):
    """Looks on, for evaluations; must be quick, and must not touch what it is shown."""

    def on_policy_step(self, step: PilotStep) -> None:
        """The pilot has made a step; this tick's command has not been sent yet."""

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        """An episode is over; the newest state is the one it ended in."""


class Moment(NamedTuple):
    """One tick of the loop, before its command is chosen."""

    time_s: float
    late_s: float
    """How long after its deadline the tick began [s]."""
    tick: int
    """Link ticks since the session began, those that were missed included."""
    mode: Mode
    latched: int
    """Faults that hold the robot damped; 0 while armed."""
    step_due: bool
    """Whether the policy shall make a step now: in WALK and HALT, on a state that the gate has nothing against."""
    state: Optional[RobotState]
    """The newest; None before the first."""
    state_time_s: float
    """When it was received [s]."""


class PilotSeat(Protocol):
    """A pilot as the loop sees it."""

    @property
    def steps(self) -> int:
        """Policy steps of this episode that gave a target."""

    @property
    def inference(self) -> LatenessHistogram:
        """How long the policy took [s], over all episodes."""

    @property
    def stop_reason(self) -> str:
        """Why the session can not go on, whatever the schedule says; empty if it can."""

    def begin_episode(self, episode: int, standing: Optional[JointTarget]) -> None:
        """WALK begins; `standing` is the target of the tick before, which a pilot that takes time may bridge with."""

    def attend(self, moment: Moment) -> Optional[JointTarget]:
        """Called every tick, in every mode; the target for WALK, None before the episode's first."""


class PilotAtHand:
    """Runs the policy within the loop's own tick, and has the step recorded and looked at."""

    stop_reason = ""

    def __init__(self, pilot: Pilot, recorder: Recorder, observers: Sequence[Observer] = ()) -> None:
        self._pilot, self._recorder, self._observers = pilot, recorder, tuple(observers)
        self._target: Optional[JointTarget] = None
        self.steps = 0
        self.inference = LatenessHistogram()

    def begin_episode(self, episode: int, standing: Optional[JointTarget]) -> None:
        """The first step follows in the same tick: nothing needs bridging."""
        self._target, self.steps = None, 0
        self._pilot.begin_episode(episode)

    def attend(self, moment: Moment) -> Optional[JointTarget]:
        """Make a step if one is due."""
        if moment.step_due and moment.state is not None:
            halting = moment.mode is Mode.HALT
            step = self._pilot.step(moment.state, moment.state_time_s, moment.time_s, halting)
            self._target = step.target
            self.inference.add(step.inference_s)
            if not halting:
                self._note(step, moment.late_s)
        return self._target

    def _note(self, step: PilotStep, late_s: float) -> None:
        self.steps += 1
        self._recorder.policy_tick(step, late_s)
        for observer in self._observers:
            observer.on_policy_step(step)
