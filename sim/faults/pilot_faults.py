"""A pilot that has gone wrong: it talks nonsense, comes late, stalls, or dies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Optional

import numpy as np

from deploy.onboard.clock import VirtualClock
from deploy.onboard.pilot import Pilot
from deploy.onboard.pilot_seat import Moment, PilotAtHand
from deploy.onboard.recorder import Recorder
from deploy.onboard.target import JointTarget

PilotFaultKind = Literal[
    "nan",
    "infinite",
    "huge",
    "constant",
    "saturated",
    "wild",
    "excess_gains",
    "negative_gains",
    "late",
    "stall",
    "crash",
]


class InjectedCrashError(Exception):
    """The pilot died, as it was told to."""


@dataclass(frozen=True)
class PilotFault:
    """What the pilot does instead of its work.

    Attributes:
        kind: nan, infinite and huge (1e30 rad) targets; constant (the same target again and again), saturated (100 rad
            to the one side and to the other), wild (random targets within half a turn); gains a hundred times too
            large, or negative; late (a pilot in a process of its own stalls: meanwhile the gate finds the old target),
            stall (a pilot in the loop's process stalls, and everything with it), crash.
        delay_s: of late and stall [s].
    """

    kind: PilotFaultKind
    delay_s: float = 0.0


class FaultySeat(PilotAtHand):
    """A pilot at hand that works until `disturb` is called, and from then on does what the fault says."""

    def __init__(self, pilot: Pilot, recorder: Recorder, clock: VirtualClock) -> None:
        super().__init__(pilot, recorder)
        self._clock = clock
        self._fault: Optional[PilotFault] = None
        self._dice = np.random.default_rng(0)
        self._stalled_until_s = -math.inf
        self._step_overdue = False
        self.late_since_s: Optional[float] = None
        """When the step was due that comes late [s]; until then nothing is wrong."""

    def disturb(self, fault: PilotFault, seed: int) -> None:
        """From now on `fault` happens, by the dice of `seed`."""
        self._fault, self._dice = fault, np.random.default_rng(seed)

    def mend(self) -> None:
        """The pilot works again."""
        self._fault = None

    def attend(self, moment: Moment) -> Optional[JointTarget]:
        """See `PilotSeat.attend`."""
        if self._fault is None:
            return super().attend(moment)
        if self._fault.kind == "late":
            return self._attend_late(moment, self._fault.delay_s)
        if not moment.step_due:
            return super().attend(moment)
        if self._fault.kind == "crash":
            raise InjectedCrashError("the pilot died")
        if self._fault.kind == "stall" and self._stalled_until_s < 0.0:
            self._stalled_until_s = moment.time_s + self._fault.delay_s
            self._clock.advance(self._fault.delay_s)
        before = self._target
        target = super().attend(moment)
        self._target = None if target is None else self._disturbed(target, before)
        return self._target

    def _attend_late(self, moment: Moment, delay_s: float) -> Optional[JointTarget]:
        """The first step that is due takes `delay_s` longer than it should; steps due meanwhile fall into one."""
        if moment.step_due and self._stalled_until_s < 0.0:
            self._stalled_until_s = moment.time_s + delay_s
            self.late_since_s = moment.time_s
        self._step_overdue |= moment.step_due
        if moment.time_s < self._stalled_until_s:
            return self._target
        due, self._step_overdue = self._step_overdue, False
        return super().attend(moment._replace(step_due=due))

    def _disturbed(self, target: JointTarget, before: Optional[JointTarget]) -> JointTarget:
        assert self._fault is not None
        kind, joints = self._fault.kind, len(target.position)
        if kind == "excess_gains":
            return target._replace(stiffness=100.0 * target.stiffness)
        if kind == "negative_gains":
            return target._replace(damping=-target.damping)
        if kind == "constant":
            return target if before is None else target._replace(position=before.position)
        positions = {
            "nan": np.full(joints, math.nan),
            "infinite": np.full(joints, math.inf),
            "huge": np.full(joints, 1e30),
            "saturated": np.full(joints, 100.0 if self.steps % 2 else -100.0),
            "wild": self._dice.uniform(-math.pi, math.pi, joints),
        }
        return target._replace(position=positions.get(kind, target.position))
