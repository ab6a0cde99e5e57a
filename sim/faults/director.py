"""What happens in a trial and when: a person's keys, the onset of the fault, its end, and what is seen meanwhile."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Dict, FrozenSet, List, NamedTuple, Optional

import numpy as np

from deploy.onboard.remote import Key
from sim.faults.case import FaultCase
from sim.faults.disk_faults import FailingDisk
from sim.faults.monitor import CommandMonitor
from sim.faults.pilot_faults import FaultySeat
from sim.faults.wall_clock import WallClock
from sim.twin.body import TwinBody
from sim.twin.body_faults import tilt_rad
from sim.twin.network_faults import SOUND, FaultyNetwork, LineFault
from sim.twin.sensor_faults import BrokenSensor

STICK_FORWARDS = 0.4
"""Deflection of the left stick from the first step on [-]."""

_STAND_AT_S, _WALK_AT_S = 0.1, 1.5
_ONSET_S = 2.0  # after half a second of walking...
_GAIT_S = 0.5  # ...and up to one gait cycle more, so that faults begin in every phase of it
_WATCH_S = 1.0
_WATCH_DAMPED_S = 0.3  # this much longer after damping and the fault's end: long enough to see a latch that opens
_HOLD_KEY_S = 0.1
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
        stop: ends the session.
        goal_m_s: the forward velocity that the stick asks for.
    """

    def __init__(
        self, case: FaultCase, body: TwinBody, monitor: CommandMonitor, goal_m_s: float, stop: Callable[[], None]
    ) -> None:
        self._case, self._body, self._monitor, self._stop = case, body, monitor, stop
        self._goal = np.array([goal_m_s, 0.0])
        self._hz = body.robot.link_hz
        self.sensor = BrokenSensor(case.sensor) if case.sensor is not None else None
        self.network: Optional[FaultyNetwork] = None
        self.seat: Optional[FaultySeat] = None
        self.disk: Optional[FailingDisk] = None
        self.wall_clock: Optional[WallClock] = None
        phase_s = np.random.default_rng([case.seed, 1]).uniform(0.0, _GAIT_S)
        self._onset = self._ticks(_ONSET_S + phase_s)
        self._repair = self._onset + case.duration_s * self._hz
        self.stand_again_s = (self._onset / self._hz + _STAND_AGAIN_S) if case.rearm else math.inf
        """From when on a motion is what a person asked for [s]."""
        watch_s = _STAND_AGAIN_S + _WATCH_REARMED_S if case.rearm else _WATCH_S
        self._end = self._onset + self._ticks(watch_s)
        self._keys = self._plan_keys()
        self._tilted_s: Optional[float] = None
        self._speed_errors: List[float] = []

    @property
    def onset_s(self) -> float:
        """When the fault begins [s of the twin's time]."""
        return self._onset / self._hz

    def before_tick(self, tick: int) -> None:
        """Everything that is due before the twin simulates `tick`."""
        self._monitor.remember_state()
        if tick in self._keys:
            walking = tick >= self._ticks(_WALK_AT_S)
            self._body.press(self._keys[tick], ly=STICK_FORWARDS if walking else 0.0)
        if tick == self._onset:
            self._monitor.watch()
            self._break()
        if tick == self._repair:
            self._mend()
        if tick >= self._onset:
            if self._case.body is not None:
                self._case.body.act(self._body, tick - self._onset)
            self._look(tick)
        if tick >= self._end or self._seen_enough(tick):
            self._stop()

    @property
    def sighting(self) -> Sighting:
        """What was seen."""
        return Sighting(self._tilted_s, float(np.mean(self._speed_errors)) if self._speed_errors else math.nan)

    def _seen_enough(self, tick: int) -> bool:
        damped_s, mended = self._monitor.first_damping_s, min(self._repair, self._end)
        if damped_s is None or self._case.rearm or (mended < self._end and tick < mended + _WATCH_DAMPED_S * self._hz):
            return False
        return tick / self._hz >= damped_s + _WATCH_DAMPED_S

    def _ticks(self, time_s: float) -> int:
        return round(time_s * self._hz)

    def _plan_keys(self) -> Dict[int, FrozenSet[Key]]:
        presses = [(_STAND_AT_S, frozenset({Key.L2, Key.A})), (_WALK_AT_S, frozenset({Key.START}))]
        if self._case.rearm:
            onset_s = self._onset / self._hz
            presses += [
                (onset_s + _LET_GO_S, frozenset({Key.L2, Key.Y})),
                (onset_s + _STAND_AGAIN_S, frozenset({Key.L2, Key.A})),
            ]
        plan: Dict[int, FrozenSet[Key]] = {}
        for time_s, keys in presses:
            plan[self._ticks(time_s)] = keys
            plan[self._ticks(time_s + _HOLD_KEY_S)] = frozenset()
        return plan

    def _break(self) -> None:
        case = self._case
        assert self.network is not None and self.seat is not None
        if self.sensor is not None:
            self.sensor.active = True
        self.network.to_robot.fault, self.network.from_robot.fault = case.to_robot, case.from_robot
        if case.cable == "silent":
            self.network.to_robot.fault = self.network.from_robot.fault = _SILENCE
        self.network.unplugged = case.cable == "unplugged"
        self.seat.broken = True
        if self.disk is not None:
            self.disk.fail()
        if self.wall_clock is not None:
            self.wall_clock.jump(case.wall_clock_jump_s)

    def _mend(self) -> None:
        assert self.network is not None and self.seat is not None
        self.network.to_robot.fault = self.network.from_robot.fault = SOUND
        self.network.unplugged = False
        self.seat.broken = False

    def _look(self, tick: int) -> None:
        if self._monitor.first_damping_s is not None:
            return
        if self._tilted_s is None and tilt_rad(self._body) > self._body.robot.safety.tilt_limit_rad:
            self._tilted_s = (tick - self._onset) / self._hz
        if tick % _LOOK_EVERY_TICKS == 0:
            velocity = self._body.truth.linear_velocity_trunk_in_trunk[:2]
            self._speed_errors.append(float(np.linalg.norm(velocity - self._goal)))
