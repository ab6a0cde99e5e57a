"""How an episode ends that the gate has ended: one row a reason, because learning depends on the difference.

A fall is the task's failure: nothing is worth anything after it. A person, or a limit that protects the motors, took
over from a robot that was up: what would have come next is unknown, not zero. Everything else (link, sensors, programs,
battery) says nothing about how the robot walked.
"""

from __future__ import annotations

from typing import Dict

from deploy.onboard.reasons import Reason
from offline_data.log_schema import Ending

ENDING_OF_REASON: Dict[Reason, Ending] = {
    Reason.STOP_KEY: Ending.INTERVENTION,
    Reason.MOTOR_HOT: Ending.INTERVENTION,
    # Falls.
    Reason.TILT: Ending.TERMINATED,
    Reason.FREE_FALL: Ending.TERMINATED,
    # The link.
    Reason.STATE_MISSING: Ending.STOPPED,
    Reason.STATE_STALE: Ending.STOPPED,
    Reason.STATE_DELAYED: Ending.STOPPED,
    Reason.TICK_JUMP: Ending.STOPPED,
    # The sensors.
    Reason.STATE_NOT_FINITE: Ending.STOPPED,
    Reason.QUATERNION_NORM: Ending.STOPPED,
    Reason.JOINT_POSITION_RANGE: Ending.STOPPED,
    Reason.JOINT_VELOCITY_RANGE: Ending.STOPPED,
    Reason.JOINT_TORQUE_RANGE: Ending.STOPPED,
    Reason.IMU_RANGE: Ending.STOPPED,
    Reason.MOTOR_TEMPERATURE_RANGE: Ending.STOPPED,
    Reason.BATTERY_RANGE: Ending.STOPPED,
    Reason.SENSOR_JUMP: Ending.STOPPED,
    Reason.IMU_FROZEN: Ending.STOPPED,
    Reason.JOINT_FROZEN: Ending.STOPPED,
    Reason.JOINT_MISMATCH: Ending.STOPPED,
    Reason.ROTATION_MISMATCH: Ending.STOPPED,
    Reason.GRAVITY_MISMATCH: Ending.STOPPED,
    # The battery: it would have walked on.
    Reason.BATTERY_LOW: Ending.STOPPED,
    # The pilot: a program that stalls or talks nonsense is mended, not trained.
    Reason.TARGET_MISSING: Ending.STOPPED,
    Reason.TARGET_STALE: Ending.STOPPED,
    Reason.TARGET_NOT_FINITE: Ending.STOPPED,
    Reason.TARGET_MALFORMED: Ending.STOPPED,
    Reason.TARGET_VALID_TOO_LONG: Ending.STOPPED,
    Reason.GAINS_OUT_OF_RANGE: Ending.STOPPED,
}
"""Every reason that latches the gate; clamps do not."""

ORIENTATION_DOUBTED = (
    Reason.QUATERNION_NORM
    | Reason.IMU_RANGE
    | Reason.SENSOR_JUMP
    | Reason.IMU_FROZEN
    | Reason.ROTATION_MISMATCH
    | Reason.GRAVITY_MISMATCH
)
"""Beside one of these, a tilt or a free fall is no evidence of a fall."""


def ending_of_fault(reasons: int) -> Ending:
    """How an episode ends that the gate has ended for the bit set `reasons`.

    Where there are several: a person was first; a fall that the IMU is believed on counts before what came with it.
    """
    found = Reason(reasons)
    if found & Reason.STOP_KEY:
        return Ending.INTERVENTION
    endings = {ending for reason, ending in ENDING_OF_REASON.items() if found & reason}
    if Ending.TERMINATED in endings:
        return Ending.STOPPED if found & ORIENTATION_DOUBTED else Ending.TERMINATED
    return Ending.INTERVENTION if Ending.INTERVENTION in endings else Ending.STOPPED
