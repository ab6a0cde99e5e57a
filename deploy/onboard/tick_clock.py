"""The robot's own clock as the gate sees it: which state is new, and how long it was under way."""

from __future__ import annotations

from typing import NamedTuple, Optional

from deploy.onboard.reasons import Reason
from robot_configs.robot import RobotModel

TICK_MODULUS = 2**32

ROUNDING_S = 1e-6
"""Slack for sums of clock times in float64 [s]: what is as old as it may be is not older."""

STEADY_S = 1.0
"""A delay that neither grows nor shrinks by more than the limit for this long [s] is taken for time that was lost: a
robot whose clock had stood still is late for ever after, however quick its packets."""


class TickAdvance(NamedTuple):
    """How a new state follows the one before it."""

    advance_ms: int
    """Robot time since the state before [ms]; 0 for the first one, and where the count started anew."""
    faults: int
    """Bit set of `Reason`: TICK_JUMP, STATE_DELAYED."""


class _Plateau(NamedTuple):
    """A stretch of states that were all late, and alike."""

    since_s: float
    smallest_difference_s: float
    largest_difference_s: float


class TickClock:
    """Follows the robot's tick (unsigned 32-bit milliseconds) beside our own clock.

    A state's delay is not measurable, but its growth is: the two clocks' difference, less the smallest difference seen
    so far, is how much longer this state was under way than the quickest. The smallest difference may creep upwards
    as fast as two clocks drift apart.

    A tick that is out of line, by more than a state can be late or early, is not believed while the robot's own states
    still come: somebody repeats an old packet, or one was mangled on its way to the checksum. It counts as lost. Where
    nothing else comes for as long as a state may be old, the controller has started anew, and its new count holds.

    After a delay that has been steady for STEADY_S the count starts over. Nothing moves by then: the gate latched at
    the delay's first state, unless the robot lay damped anyway, and nothing but re-arming sets it in motion again.
    """

    def __init__(self, robot: RobotModel) -> None:
        self._jump_limit_ms = robot.safety.max_tick_gap_ms
        self._age_limit_s = robot.safety.state_age_limit_s
        self._drift = robot.plausibility.clock_drift_s_per_s
        self._tick_ms: Optional[int] = None
        self._time_s: float
        self._robot_time_s: float
        self._smallest_difference_s: float
        self._plateau: Optional[_Plateau] = None

    def take(self, tick_ms: int, time_s: float) -> Optional[TickAdvance]:
        """The advance to a state with this tick, received at `time_s`; None for one that must not be used.

        That is one seen already, come too late, or out of line.
        """
        if self._tick_ms is None:
            return self._begin(tick_ms, time_s, Reason.NONE)
        # Both ways round the counter: a late packet is a little behind, whether or not the counter has wrapped between.
        if (self._tick_ms - tick_ms) % TICK_MODULUS <= self._jump_limit_ms:
            return None
        advance_ms = (tick_ms - self._tick_ms) % TICK_MODULUS
        if advance_ms > self._jump_limit_ms:
            # Whoever relies on these states calls the newest one stale by now.
            is_alone = time_s - self._time_s > self._age_limit_s + ROUNDING_S
            return self._begin(tick_ms, time_s, Reason.TICK_JUMP) if is_alone else None
        self._tick_ms, self._time_s = tick_ms, time_s
        self._robot_time_s += 1e-3 * advance_ms
        difference_s = time_s - self._robot_time_s
        crept_s = self._smallest_difference_s + self._drift * 1e-3 * advance_ms
        self._smallest_difference_s = min(crept_s, difference_s)
        return TickAdvance(advance_ms, int(Reason.STATE_DELAYED) if self._is_delayed(difference_s, time_s) else 0)

    def _is_delayed(self, difference_s: float, time_s: float) -> bool:
        if not difference_s - self._smallest_difference_s > self._age_limit_s + ROUNDING_S:
            self._plateau = None
            return False
        # One that is left from before a new baseline is further away than the limit: it is replaced below.
        plateau = self._plateau or _Plateau(time_s, difference_s, difference_s)
        smallest_s = min(plateau.smallest_difference_s, difference_s)
        largest_s = max(plateau.largest_difference_s, difference_s)
        if largest_s - smallest_s > self._age_limit_s + ROUNDING_S:
            self._plateau = _Plateau(time_s, difference_s, difference_s)
            return True
        self._plateau = _Plateau(plateau.since_s, smallest_s, largest_s)
        if time_s - plateau.since_s < STEADY_S:
            return True
        self._smallest_difference_s = smallest_s
        return False

    def _begin(self, tick_ms: int, time_s: float, fault: Reason) -> TickAdvance:
        """Count anew: at the first state, or after the controller has restarted."""
        self._tick_ms, self._time_s = tick_ms, time_s
        self._robot_time_s, self._smallest_difference_s = 0.0, time_s
        return TickAdvance(0, int(fault))
