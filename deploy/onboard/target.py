"""What a controller asks of the gate: joint targets with an expiry date, and the modes they are asked in."""

from __future__ import annotations

import enum
from typing import NamedTuple

import numpy as np


class Mode(enum.IntEnum):
    """What the robot is doing; the number goes into the log (`mode` of /low_cmd and /event)."""

    DAMP = 0
    """Motors only brake: the robot sinks to the ground, or lies there."""
    STAND = 1
    """A ramp from the measured pose to the standing pose, held afterwards."""
    WALK = 2
    """The policy's targets."""
    SIT = 3
    """A ramp from the measured pose to the folded pose."""
    FAULT = 4
    """Damping, latched with its reason until the gate is re-armed."""
    HALT = 5
    """The policy's targets for standing still, on the way out of WALK; no part of an episode."""


POLICY_MODES = frozenset({Mode.WALK, Mode.HALT})
"""Modes in which the policy drives."""

MOVING_MODES = POLICY_MODES | {Mode.STAND, Mode.SIT}
"""Modes in which the motors follow a target; in the others they damp."""


class JointTarget(NamedTuple):
    """Set points of the motors' PD loops, wire order, shapes (12,); the arrays are never modified afterwards."""

    position: np.ndarray
    """[rad]"""
    stiffness: np.ndarray
    """[Nm/rad]"""
    damping: np.ndarray
    """[Nm s/rad]"""
    valid_until_s: float
    """Clock time after which the gate must not act on it [s]."""
