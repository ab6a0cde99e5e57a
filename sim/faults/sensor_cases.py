"""Every channel of LowState against every way a sensor can break, with what has to happen.

The classes, one letter a cell, were set from what each kind does to the channel, before the first run but for two: a
state whose tick is out of line is a lost state, as a replayed one is, since the gate tells it from a restart by waiting
for 20 ms. So a tick's spike has to be tolerated, and an intermittent one is like bursts of loss, some longer than that.

    D  detectable    the value cannot be one: not finite, out of range, no longer advancing, or a stop on its own terms
    P  plausibility  each value is possible, but it contradicts its own past or another sensor
    T  tolerated     nothing that moves the robot reads it: stopping would be the fault
    C  contained     nothing that moves the robot reads it, yet it shows that something is broken: damping is right too
    -  not on the wire: integers cannot be NaN, one number has no neighbour

The policy reads orientation, turn rate, joint positions and joint velocities; the gate also the tick, temperatures,
battery and keys. Torques, accelerations and foot forces serve the log.
"""

from __future__ import annotations

import zlib
from typing import Tuple

from sim.faults.case import WORLDS, Expectation, FaultCase
from sim.twin.sensor_channels import CHANNELS
from sim.twin.sensor_faults import SENSOR_FAULT_KINDS, SensorFault

_CLASSES = {
    "D": Expectation.DETECTABLE,
    "P": Expectation.PLAUSIBILITY,
    "T": Expectation.TOLERATED,
    "C": Expectation.CONTAINED,
}

#                     off stuck garbage wrong slow delayed intermittent nan sign_flip bias_step spike
_TABLE = {
    "joint_position": "P   P     D      P     P    P       P            D   P         P         P",
    "joint_velocity": "P   P     D      P     P    P       P            D   P         P         P",
    "joint_torque": "   C   C     C      C     C    C       C            -   C         C         C",
    "gyro": "           P   P     D      P     P    P       P            D   P         P         P",
    "accelerometer": "  C   C     D      C     C    C       C            D   C         C         C",
    "quaternion": "     D   P     D      P     P    P       D            D   P         P         D",
    "foot_force": "     T   T     T      T     T    T       T            -   T         T         T",
    "motor_temperature": "T  T    D      -     T    T       T            -   T         D         D",
    "battery": "        D   T     D      T     T    T       P            -   D         T         D",
    "remote": "         T   T     D      T     T    T       T            T   T         T         T",
    "tick": "           D   D     D      -     D    D       C            -   D         T         T",
}


def sensor_cases() -> Tuple[FaultCase, ...]:
    """One case for every channel and kind that the wire can carry."""
    cases = []
    for channel in CHANNELS:
        row = _TABLE[channel.split(".")[0]].split()
        for kind, letter in zip(SENSOR_FAULT_KINDS, row, strict=True):
            if letter == "-":
                continue
            name = f"{channel}/{kind}"
            seed = zlib.crc32(name.encode())  # of the name, so that a new case does not change the others
            fault = SensorFault(channel, kind, seed)
            cases.append(FaultCase(name, channel.split(".")[0], _CLASSES[letter], seed, seed % WORLDS, sensor=fault))
    return tuple(cases)
