"""What happens in a trial and when: a person's keys, the onset of the fault, its end, and what is seen meanwhile."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Deque, Dict, FrozenSet, List, NamedTuple, Optional, Tuple

import numpy as np

from deploy.onboard.chords import HOLD_S
from deploy.onboard.remote import Key
from deploy.onboard.wire import RobotState
from sim.faults.case import FaultCase
from sim.faults.disk_faults import FailingDisk
from sim.faults.monitor import CommandMonitor
from sim.faults.pilot_faults import FaultySeat
from sim.faults.wall_clock import WallClock
from sim.twin.body import TwinBody
from sim.twin.body_faults import tilt_rad
from sim.twin.network_faults import FaultyNetwork, LineFault
from sim.twin.sensor_faults import SENSOR_MEMORY_TICKS, BrokenSensor

STICK_FORWARDS = 0.4
"""Deflection of the left stick from the first step on [-]."""

_STAND_AT_S, _WALK_AT_S = HOLD_S + 0.01, 1.0  # when a chord acts that has been held for as long as it has to be
_ONSET_S = 1.5  # after half a second of walking...
_GAIT_S = 0.5  # ...and up to one gait cycle more, so that faults begin in every phase of it
_WATCH_S = 1.0
_WATCH_DAMPED_S = 0.3  # this much longer after damping and the fault's end: long enough to see a latch that opens
_RELEASE_AFTER_S = 0.05
_LET_GO_S, _STAND_AGAIN_S, _WATCH_REARMED_S = 0.6, 0.9, 1.5  # after the onset, in trials with re-arming
_LOOK_EVERY_TICKS = 10
_SILENCE = LineFault(loss=1.0)


class Sighting(NamedTuple):
    """What was seen of the robot since the onset."""

    tilted_s: Optional[float]
    """When the trunk passed the tilt limit without having been damped before [s since the onset]."""
    speed_error_m_s: float
    """Mean norm of the horizontal velocity's error until it was damped; NaN if it was damped at once."""


class Director:
    """Conducts one trial, tick by tick of the twin.

    Args:
        world: draws the moment of the onset.
        goal_m_s: the forward velocity that the stick asks for.
        choose: called at the onset; the case to play.
        stop: ends the session.
    """

    def __init__(
        self,
        body: TwinBody,
        monitor: CommandMonitor,
        world: int,
        goal_m_s: float,
        choose: Callable[[], FaultCase],
        stop: Callable[[], None],
    ) -> None:
        self._body, self._monitor, self._choose, self._stop = body, monitor, choose, stop
        self._goal = np.array([goal_m_s, 0.0])
        self._hz = body.robot.link_hz
        self.network: Optional[FaultyNetwork] = None
        self.seat: Optional[FaultySeat] = None
        self.disk: Optional[FailingDisk] = None
        self.wall_clock: Optional[WallClock] = None
        self.case: Optional[FaultCase] = None
        """What is broken; None before the onset."""
        self._sensor: Optional[BrokenSensor] = None
        self._past: Deque[RobotState] = deque(maxlen=SENSOR_MEMORY_TICKS)
        phase_s = np.random.default_rng([world, 1]).uniform(0.0, _GAIT_S)
        self._onset = self._ticks(_ONSET_S + phase_s)
        self._repair = self._end = math.inf
        self._keys: Dict[int, FrozenSet[Key]] = {}
        self._press((_STAND_AT_S, frozenset({Key.L2, Key.A})), (_WALK_AT_S, frozenset({Key.START})))
        self._tilted_s: Optional[float] = None
        self._speed_errors: List[float] = []

    @property
    def onset_s(self) -> float:
        """When the fault begins [s of the twin's time]."""
        return self._onset / self._hz

    @property
    def stand_again_s(self) -> float:
        """From when on motion is what a person asked for [s of the twin's time]; infinite without re-arming."""
        return self.onset_s + _STAND_AGAIN_S if self.case is not None and self.case.rearm else math.inf

    @property
    def sighting(self) -> Sighting:
        """What was seen."""
        return Sighting(self._tilted_s, float(np.mean(self._speed_errors)) if self._speed_errors else math.nan)

    def report(self, state: RobotState) -> RobotState:
        """What the robot says when it has measured `state`."""
        if self._sensor is not None:
            return self._sensor(state)
        self._past.append(state)
        return state

    def before_tick(self, tick: int) -> None:
        """Everything that is due before the twin simulates `tick`."""
        self._monitor.remember_state()
        if tick in self._keys:
            walking = tick >= self._ticks(_WALK_AT_S - HOLD_S)
            self._body.press(self._keys[tick], ly=STICK_FORWARDS if walking else 0.0)
        if tick == self._onset:
            self._begin(self._choose())
        if tick == self._repair:
            self._mend()
        if self.case is None:
            return
        if self.case.body is not None:
            self.case.body.act(self._body, tick - self._onset)
        self._look(tick)
        if tick >= self._end or self._seen_enough(self.case, tick):
            self._stop()

    def _begin(self, case: FaultCase) -> None:
        self.case = case
        self._repair = self._onset + case.duration_s * self._hz
        watch_s = _STAND_AGAIN_S + _WATCH_REARMED_S if case.rearm else _WATCH_S
        self._end = self._onset + self._ticks(watch_s)
        if case.rearm:
            let_go_s, stand_s = self.onset_s + _LET_GO_S, self.stand_again_s
            self._press((let_go_s, frozenset({Key.L2, Key.Y})), (stand_s, frozenset({Key.L2, Key.A})))
        self._monitor.watch()
        self._break(case)

    def _break(self, case: FaultCase) -> None:
        assert self.network is not None and self.seat is not None
        if case.sensor is not None:
            self._sensor = BrokenSensor(case.sensor, self._past)
        silent = case.cable == "silent"
        self.network.to_robot.disturb(_SILENCE if silent else case.to_robot, case.seed)
        self.network.from_robot.disturb(_SILENCE if silent else case.from_robot, case.seed + 1)
        self.network.unplugged = case.cable == "unplugged"
        if case.pilot is not None:
            self.seat.disturb(case.pilot, case.seed)
        if self.disk is not None:
            self.disk.fail()
        if self.wall_clock is not None:
            self.wall_clock.jump(case.wall_clock_jump_s)

    def _mend(self) -> None:
        assert self.network is not None and self.seat is not None
        self.network.to_robot.mend()
        self.network.from_robot.mend()
        self.network.unplugged = False
        self.seat.mend()

    def _look(self, tick: int) -> None:
        if self._monitor.first_damping_s is not None:
            return
        if self._tilted_s is None and tilt_rad(self._body) > self._body.robot.safety.tilt_limit_rad:
            self._tilted_s = (tick - self._onset) / self._hz
        if tick % _LOOK_EVERY_TICKS == 0:
            velocity = self._body.truth.linear_velocity_trunk_in_trunk[:2]
            self._speed_errors.append(float(np.linalg.norm(velocity - self._goal)))

    def _seen_enough(self, case: FaultCase, tick: int) -> bool:
        damped_s, mended = self._monitor.first_damping_s, min(self._repair, self._end)
        if damped_s is None or case.rearm or (mended < self._end and tick < mended + _WATCH_DAMPED_S * self._hz):
            return False
        return tick / self._hz >= damped_s + _WATCH_DAMPED_S

    def _press(self, *presses: Tuple[float, FrozenSet[Key]]) -> None:
        for time_s, keys in presses:
            self._keys[self._ticks(time_s - HOLD_S)] = keys
            self._keys[self._ticks(time_s + _RELEASE_AFTER_S)] = frozenset()

    def _ticks(self, time_s: float) -> int:
        return round(time_s * self._hz)
