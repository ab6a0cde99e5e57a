"""What happens to a twin from outside, one alone or many in a batch: how it is laid down, and how it is pushed."""

from __future__ import annotations

import math

import numpy as np

from robot_configs.twin_conditions import Disturbance

DROP_HEIGHT_M = 0.002
"""Of the lowest foot above the ground when a folded robot is let go."""
SETTLE_LIMIT_S = 3.0
"""From the folded pose, motors braking, nothing moves any more after about 2 s."""
SETTLED_RAD_S = 0.01
"""A robot none of whose velocities [m/s], [rad/s] is larger has settled."""
SETTLED_LOOK_STEPS = 100
"""Physics steps between two looks whether it has."""
LOOK_EVERY_TICKS = 50
"""How often whoever handles the robot looks at it, in ticks of the link: ten times a second."""


def draw_push_tick(disturbance: Disturbance, now_ticks: int, link_hz: int, generator: np.random.Generator) -> float:
    """Tick of the next push; intervals are exponential, so that a policy cannot learn their rhythm. Never: infinity."""
    if disturbance.push_interval_s == 0.0:
        return math.inf
    return now_ticks + float(generator.exponential(disturbance.push_interval_s)) * link_hz


def draw_push(disturbance: Disturbance, generator: np.random.Generator) -> np.ndarray:
    """A push: (3,) change of the trunk's velocity [m/s], world frame, level, of the condition's speed."""
    direction = generator.uniform(-math.pi, math.pi)
    change: np.ndarray = disturbance.push_speed_m_s * np.array([math.cos(direction), math.sin(direction), 0.0])
    return change
