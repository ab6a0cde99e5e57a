"""One cell of the fault matrix: what breaks, when, and what has to happen."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Literal, Optional

from sim.faults.disk_faults import DiskFault
from sim.faults.pilot_faults import PilotFault
from sim.twin.body_faults import BodyFault
from sim.twin.network_faults import SOUND, LineFault
from sim.twin.sensor_faults import SensorFault


class Expectation(enum.Enum):
    """What has to happen; decided before the case is run."""

    DETECTABLE = "detectable"
    """The wire shows it at once: damping within 40 ms, latched."""
    PLAUSIBILITY = "plausibility"
    """Only a contradiction between sensors shows it: damping within 200 ms, latched."""
    TOLERATED = "tolerated"
    """It must not stop the robot: it walks on."""
    CONTAINED = "contained"
    """Walking on and damping are both right; past the tilt limit, damping within 40 ms."""


DAMPING_LIMIT_S = {Expectation.DETECTABLE: 0.040, Expectation.PLAUSIBILITY: 0.200, Expectation.CONTAINED: 0.040}
"""Time to the first damping command [s]: from the onset, for CONTAINED from passing the tilt limit."""

Cable = Literal["unplugged", "silent"]
"""unplugged: sending fails; silent: both directions lose everything (a switch between the two has no power)."""


WORLDS = 16
"""Robots that cases are spread over: sensor noise and offsets, the way it lies folded, and the phase at the onset."""


@dataclass(frozen=True)
class FaultCase:
    """What breaks, on a robot that walks.

    Attributes:
        name: unique, for example "joint_position.FR_hip/stuck".
        group: the row of the report it belongs to.
        seed: of the fault's own dice.
        world: seed of the twin and of the moment of the onset (its phase in the gait); cases share worlds.
        duration_s: how long a fault of network, cable or pilot lasts [s]; sensors, motors and grounds stay broken.
        wall_clock_jump_s: how far the machine's wall clock is set [s].
        rearm: after the fault, a person re-arms and asks the robot to stand up, which it may if it lies upright.
    """

    name: str
    group: str
    expectation: Expectation
    seed: int
    world: int = 0
    sensor: Optional[SensorFault] = None
    to_robot: LineFault = SOUND
    from_robot: LineFault = SOUND
    cable: Optional[Cable] = None
    body: Optional[BodyFault] = None
    pilot: Optional[PilotFault] = None
    disk: Optional[DiskFault] = None
    wall_clock_jump_s: float = 0.0
    duration_s: float = math.inf
    rearm: bool = False
