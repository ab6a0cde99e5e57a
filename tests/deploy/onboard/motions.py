"""States to order for the checks of the gate: vectors of signals, attitudes, and a robot whose checks are silent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import List

import numpy as np

from deploy.onboard.plausibility import PlausibilityMonitor
from robot_configs.robot import GRAVITY_M_S2, RobotModel, load_robot

TICK_S = 0.002
POSITION, VELOCITY = 10, 22
Motion = Callable[[int], List[float]]
NEVER = 1e9
_GO1 = load_robot()


def robot_with(**limits: float) -> RobotModel:
    """A Go1 with the given plausibility limits and no other: tests of one check are not about the rest of them."""
    silent = {
        "joint_velocity_jump_rad_s": NEVER,
        "joint_position_jump_rad": NEVER,
        "angular_acceleration_rad_s2": NEVER,
        "rotation_jump_rad": NEVER,
        "cut_out_joint_speed_rad_s": NEVER,
        "cut_out_angular_speed_rad_s": NEVER,
        "frozen_after_s": NEVER,
        "frozen_alone_after_s": NEVER,
        "joint_mismatch_limit_rad": NEVER,
        "rotation_mismatch_limit_rad": NEVER,
        "gravity_mismatch_limit_m_s2": NEVER,
        "free_fall_after_s": NEVER,
    }
    return replace(_GO1, plausibility=replace(_GO1.plausibility, **{**silent, **limits}))


def standing(tick: int) -> List[float]:
    """Level and still, with noise in the IMU's last digits; q, dq and torque are zero."""
    noise = 1e-6 * (tick % 2)
    return [1.0, noise, 0.0, 0.0, noise, 0.0, 0.0, noise, 0.0, GRAVITY_M_S2] + [0.0] * 36


def changed(tick: int, changes: dict[int, float]) -> List[float]:
    values = standing(tick)
    for place, value in changes.items():
        values[place] = value
    return values


def first_alarm(
    monitor: PlausibilityMonitor, motion: Motion, ticks: int = 400, step_s: float = TICK_S
) -> tuple[int, int]:
    """Ticks after the first state at which something is wrong, and what; (ticks, 0) if nothing is."""
    for tick in range(ticks):
        faults = monitor.observe(motion(tick), step_s)
        if faults:
            return tick, faults
    return ticks, 0


def turned(angle_rad: float, axis: int, length: float = 1.0) -> np.ndarray:
    """Quaternion (4,) w x y z of a rotation about one axis."""
    quaternion = np.zeros(4)
    quaternion[0], quaternion[1 + axis] = length * math.cos(angle_rad / 2), length * math.sin(angle_rad / 2)
    return quaternion
