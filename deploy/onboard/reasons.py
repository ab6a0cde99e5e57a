"""Why the gate did not do what it was asked to."""

from __future__ import annotations

import enum
from typing import NamedTuple, Tuple


class Reason(enum.IntFlag):
    """Why the gate damped the robot (faults) or moved a target (clamps); the bit set goes into the log as 32 bits.

    A bit never changes its meaning: logs outlive the program that wrote them.
    """

    NONE = 0
    # The state: absent, old, broken, or dangerous.
    STATE_MISSING = 1 << 0
    STATE_STALE = 1 << 1
    STATE_NOT_FINITE = 1 << 2
    TICK_JUMP = 1 << 3
    QUATERNION_NORM = 1 << 4
    TILT = 1 << 5
    MOTOR_HOT = 1 << 6
    BATTERY_LOW = 1 << 7
    STOP_KEY = 1 << 8
    # The target.
    TARGET_MISSING = 1 << 9
    TARGET_STALE = 1 << 10
    TARGET_NOT_FINITE = 1 << 11
    GAINS_OUT_OF_RANGE = 1 << 12
    TARGET_MALFORMED = 1 << 13
    TARGET_VALID_TOO_LONG = 1 << 14
    # A state that cannot follow the one before it (further ones below).
    SENSOR_JUMP = 1 << 15
    # Targets that were moved to a limit: no faults.
    POSITION_CLAMPED = 1 << 16
    RATE_CLAMPED = 1 << 17
    TORQUE_CLAMPED = 1 << 18
    # A state that no healthy robot measures: by itself...
    JOINT_POSITION_RANGE = 1 << 19
    JOINT_VELOCITY_RANGE = 1 << 20
    JOINT_TORQUE_RANGE = 1 << 21
    IMU_RANGE = 1 << 22
    MOTOR_TEMPERATURE_RANGE = 1 << 23
    BATTERY_RANGE = 1 << 24
    # ... or beside the states before it.
    STATE_DELAYED = 1 << 25
    IMU_FROZEN = 1 << 26
    JOINT_FROZEN = 1 << 27
    JOINT_MISMATCH = 1 << 28
    ROTATION_MISMATCH = 1 << 29
    GRAVITY_MISMATCH = 1 << 30
    FREE_FALL = 1 << 31


CLAMPS = Reason.POSITION_CLAMPED | Reason.RATE_CLAMPED | Reason.TORQUE_CLAMPED
"""The reasons that are no faults."""


def reason_names(bits: int) -> Tuple[str, ...]:
    """Lower-case names of the reasons in a bit set, lowest bit first."""
    return tuple(str(reason.name).lower() for reason in Reason if bits & reason)


class ClampCounts(NamedTuple):
    """Joints whose target was moved, by limit."""

    position: int
    rate: int
    torque: int
