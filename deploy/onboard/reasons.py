"""Why the gate did not do what it was asked to."""

from __future__ import annotations

import enum
from typing import NamedTuple, Tuple


class Reason(enum.IntFlag):
    """Why the gate damped the robot (faults) or moved a target (clamps); the bit set goes into the log."""

    NONE = 0
    STATE_MISSING = 1 << 0
    STATE_STALE = 1 << 1
    STATE_NOT_FINITE = 1 << 2
    TICK_JUMP = 1 << 3
    QUATERNION_NORM = 1 << 4
    TILT = 1 << 5
    MOTOR_HOT = 1 << 6
    BATTERY_LOW = 1 << 7
    STOP_KEY = 1 << 8
    TARGET_MISSING = 1 << 9
    TARGET_STALE = 1 << 10
    TARGET_NOT_FINITE = 1 << 11
    GAINS_OUT_OF_RANGE = 1 << 12
    POSITION_CLAMPED = 1 << 16
    RATE_CLAMPED = 1 << 17
    TORQUE_CLAMPED = 1 << 18


def reason_names(bits: int) -> Tuple[str, ...]:
    """Lower-case names of the reasons in a bit set, lowest bit first."""
    return tuple(str(reason.name).lower() for reason in Reason if reason and bits & reason)


class ClampCounts(NamedTuple):
    """Joints whose target was moved, by limit."""

    position: int
    rate: int
    torque: int
