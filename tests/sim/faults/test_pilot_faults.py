"""A broken pilot's targets, step by step, with a policy that is a counter."""

from __future__ import annotations

from typing import Any, List, NamedTuple, Optional, cast

import numpy as np
import pytest

from deploy.onboard.clock import VirtualClock
from deploy.onboard.pilot import Pilot
from deploy.onboard.pilot_seat import Moment
from deploy.onboard.recorder import NoRecorder
from deploy.onboard.target import JointTarget, Mode
from sim.faults.pilot_faults import FaultySeat, InjectedCrashError, PilotFault

STEP_TICKS = 10


class _Step(NamedTuple):
    target: JointTarget
    inference_s: float = 0.0


class CountingPilot:
    """Its n-th target is n rad for every joint, valid for 40 ms."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, state: object, state_time_s: float, time_s: float, halting: bool) -> _Step:
        self.steps += 1
        gains = np.full(12, 20.0), np.full(12, 0.5)
        return _Step(JointTarget(np.full(12, float(self.steps)), *gains, time_s + 0.04))


class Trial:
    """A seat that is asked every 2 ms; the fault begins with tick 15, between the second step and the third."""

    def __init__(self, fault: PilotFault) -> None:
        self.clock, self.pilot = VirtualClock(), CountingPilot()
        self.seat, self.fault = FaultySeat(cast(Pilot, self.pilot), NoRecorder(), self.clock), fault
        self.targets: List[Optional[JointTarget]] = []

    def run(self, ticks: int) -> Trial:
        for tick in range(ticks):
            if tick == 15:
                self.seat.disturb(self.fault, seed=0)
            due = tick % STEP_TICKS == 0
            state: Any = object()
            moment = Moment(0.002 * tick, 0.0, tick, Mode.WALK, 0, due, state, 0.002 * tick)
            self.targets.append(self.seat.attend(moment))
        return self

    def position(self, tick: int) -> float:
        target = self.targets[tick]
        assert target is not None
        assert np.array_equal(target.position, np.full(12, target.position[0]), equal_nan=True)
        return float(target.position[0])

    @property
    def positions(self) -> List[float]:
        return [self.position(tick) for tick in range(0, len(self.targets), STEP_TICKS)]


def test_until_the_onset_the_pilot_works() -> None:
    assert Trial(PilotFault("nan")).run(20).positions == [1.0, 2.0]


@pytest.mark.parametrize(("kind", "expected"), [("infinite", np.inf), ("huge", 1e30), ("constant", 2.0)])
def test_what_a_talking_pilot_says(kind: Any, expected: float) -> None:
    assert Trial(PilotFault(kind)).run(50).positions == [1.0, 2.0, expected, expected, expected]


def test_not_a_number_and_from_one_side_to_the_other() -> None:
    assert np.isnan(Trial(PilotFault("nan")).run(30).position(29))
    assert Trial(PilotFault("saturated")).run(50).positions[2:] == [100.0, -100.0, 100.0]


def test_wild_targets_repeat_with_their_seed() -> None:
    first, second = (Trial(PilotFault("wild")).run(30).targets[-1] for _ in range(2))
    assert first is not None and second is not None
    np.testing.assert_array_equal(first.position, second.position)
    assert np.abs(first.position).max() < np.pi < 3.2
    assert np.ptp(first.position) > 1.0


def test_gains_that_are_too_large_or_negative() -> None:
    large, negative = (Trial(PilotFault(kind)).run(30).targets[-1] for kind in ("excess_gains", "negative_gains"))
    assert large is not None and negative is not None
    assert (large.stiffness[0], large.position[0]) == (2000.0, 3.0)
    assert negative.damping[0] == -0.5


def test_a_crash_comes_with_the_next_step() -> None:
    with pytest.raises(InjectedCrashError):
        Trial(PilotFault("crash")).run(30)


def test_a_stall_takes_the_loops_time_once() -> None:
    trial = Trial(PilotFault("stall", 0.2)).run(50)
    assert trial.clock.now_s() == pytest.approx(0.2)
    assert trial.positions == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_late_pilot_leaves_the_old_target_and_its_date_of_expiry() -> None:
    trial = Trial(PilotFault("late", 0.025)).run(60)  # due at tick 20 (40 ms), done at 65 ms: seen in tick 33
    assert [trial.position(tick) for tick in (20, 32, 33, 39, 40)] == [2.0, 2.0, 3.0, 3.0, 4.0]
    old = trial.targets[32]
    assert old is not None and old.valid_until_s == pytest.approx(0.06)
    assert trial.clock.now_s() == 0.0  # the loop did not wait
    assert trial.seat.late_since_s == pytest.approx(0.04)
    assert trial.pilot.steps == 5  # the step that was due at tick 30 fell into the late one


def test_a_mended_pilot_works_again() -> None:
    trial = Trial(PilotFault("nan")).run(30)
    trial.seat.mend()
    trial.fault = PilotFault("constant")
    trial.run(10)
    assert trial.position(30) == 4.0
