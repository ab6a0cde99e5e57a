"""What a roboticist would accept of a gait: a bound for each measure, and why it is there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import List, Mapping, Tuple

import numpy as np

from benchmarks.figures import Figure
from benchmarks.transfer import NOMINAL
from deploy.onboard.landing import HALT_LIMIT_S
from policy.gait_contract import DEFAULT_TRUNK_HEIGHT_M
from robot_configs.robot import load_robot

STARTS_AND_STOPS = "starts and stops"
_WALKS = ("forwards", "backwards", "sideways", "turning")
_LEGS = load_robot().geometry
_TIPS_OVER_RAD = math.atan((_LEGS.leg_root_y + _LEGS.hip_offset) / DEFAULT_TRUNK_HEIGHT_M)


@dataclass(frozen=True)
class Limit:
    """A bound.

    Attributes:
        measure: field of `GaitQuality` or `StartStop`.
        walks: that have to stay below it; the worst of them counts.
    """

    measure: str
    at_most: float
    unit: str
    walks: Tuple[str, ...]
    reason: str


LIMITS = (
    Limit(
        "left_right_asymmetry",
        0.1,
        "-",
        ("forwards", "backwards"),
        "a symmetry score below 90 of 100 counts as lame in dogs; 92 % of 66 sound ones are above (Fahie et al. 2018); "
        "sideways and in a turn left and right do not do the same",
    ),
    Limit(
        "drag",
        0.1,
        "-",
        _WALKS,
        "a foot that only rolls on its ball, 22 mm times a swing of the leg of 0.6 rad a stride of 0.32 m, has 0.04",
    ),
    Limit(
        "stamp",
        math.pi / 2.0,
        "weights",
        _WALKS,
        "twice the pi/4 at the top of a half sine that carries half the weight on average, as each foot of a trot does "
        "while it stands",
    ),
    Limit(
        "torque_ripple", 0.2, "-", _WALKS, "copper losses go by the square: a fifth of the torque is 4 % of the heat"
    ),
    Limit(
        "joint_motion_rad_s",
        0.05,
        "rad/s",
        ("standing",),
        "at one swing a second this is 0.6 degrees either way, which nobody sees",
    ),
    Limit(
        "peak_tilt_rad",
        _TIPS_OVER_RAD / 2.0,
        "rad",
        (STARTS_AND_STOPS,),
        "half of the angle at which a standing trunk tips over its feet sideways",
    ),
    Limit(
        "overshoot_m_s",
        NOMINAL.linear_m_s,
        "m/s",
        (STARTS_AND_STOPS,),
        "what the nominal robot may be off on average (`benchmarks.transfer`)",
    ),
    Limit(
        "time_to_rest_s",
        HALT_LIMIT_S,
        "s",
        (STARTS_AND_STOPS,),
        "for so long the runner waits for a policy to come to rest before it stands by itself",
    ),
    Limit(
        "target_jolt",
        1.5,
        "-",
        (STARTS_AND_STOPS,),
        "ours: no joint is thrown half as far again as a step of the steady walk throws it",
    ),
)


def verdicts(walks: Mapping[str, Mapping[str, float]]) -> List[Figure]:
    """A figure a limit, in their order: the worst over its walks, where NaN meets nothing.

    Args:
        walks: measures by name, by the walk's name.
    """
    found = []
    for limit in LIMITS:
        worst = float(np.max([walks[walk][limit.measure] for walk in limit.walks]))
        name = f"{limit.measure}, worst of {', '.join(limit.walks)}"
        found.append(Figure(name, worst, limit.unit, at_most=limit.at_most))
    return found
