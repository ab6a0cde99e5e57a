"""What happens to the twin's body and motors: pushes, falls, hands that lift it, ice, and motors that fail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import mujoco
import numpy as np

from sim.twin.body import TwinBody

_JAM_DAMPING_NM_S_RAD = 1000.0  # the motor's full torque turns it by 2 degrees a second
_HOLD_STIFFNESS_N_M, _HOLD_DAMPING_N_S_M = 2000.0, 400.0  # two arms that follow without swinging...
_LEVEL_STIFFNESS_NM_RAD, _LEVEL_DAMPING_NM_S_RAD = 40.0, 8.0  # ...and keep the trunk about level
_FIRST_JOINT_DOF = 6


class BodyFault(Protocol):
    """Acts on a body in every tick from its onset on."""

    def act(self, body: TwinBody, ticks_since_onset: int) -> None:
        """Called before each tick of the link; the first time with 0."""
        ...


@dataclass(frozen=True)
class Push:
    """A sudden change of the trunk's velocity: `speed_m_s` towards `direction_rad` (0 is the world's +x)."""

    speed_m_s: float
    direction_rad: float

    def act(self, body: TwinBody, ticks_since_onset: int) -> None:
        """See `BodyFault.act`."""
        if ticks_since_onset == 0:
            body.data.qvel[0] += self.speed_m_s * math.cos(self.direction_rad)
            body.data.qvel[1] += self.speed_m_s * math.sin(self.direction_rad)


@dataclass(frozen=True)
class Topple:
    """A torque about a horizontal axis of the world, `duration_s` long: enough of it throws the robot over."""

    torque_nm: float
    axis_rad: float
    duration_s: float = 0.3

    def act(self, body: TwinBody, ticks_since_onset: int) -> None:
        """See `BodyFault.act`."""
        ends = ticks_since_onset >= self.duration_s * body.robot.link_hz
        torque = 0.0 if ends else self.torque_nm
        _trunk_wrench(body)[3:5] = torque * math.cos(self.axis_rad), torque * math.sin(self.axis_rad)


@dataclass(frozen=True)
class Lift:
    """Hands take the trunk and lift it by `height_m` within half a second; after `hold_s` they let go."""

    height_m: float
    hold_s: float = math.inf

    def act(self, body: TwinBody, ticks_since_onset: int) -> None:
        """See `BodyFault.act`."""
        wrench, elapsed_s = _trunk_wrench(body), ticks_since_onset / body.robot.link_hz
        if elapsed_s >= self.hold_s:
            wrench[:] = 0.0
            return
        standing_m = body.robot.geometry.thigh_length + body.robot.geometry.foot_radius
        goal_m = standing_m + self.height_m * min(1.0, elapsed_s / 0.5)
        velocity = body.data.qvel[:3]
        wrench[:3] = -_HOLD_DAMPING_N_S_M * velocity
        wrench[2] += _HOLD_STIFFNESS_N_M * (goal_m - body.data.qpos[2]) + _weight_n(body)
        rotation = _rotation(body)
        up, turn_rate = rotation[:, 2], rotation @ body.data.qvel[3:6]
        wrench[3:] = _LEVEL_STIFFNESS_NM_RAD * np.cross(up, [0.0, 0.0, 1.0]) - _LEVEL_DAMPING_NM_S_RAD * turn_rate


@dataclass(frozen=True)
class Ice:
    """The ground's friction changes under the feet."""

    friction: float

    def act(self, body: TwinBody, ticks_since_onset: int) -> None:
        """See `BodyFault.act`."""
        body.model.geom("floor").friction[0] = self.friction


@dataclass(frozen=True)
class WeakMotor:
    """A motor delivers `strength` of what is demanded: 0 is dead. It measures current, so it does not notice."""

    joint: int
    strength: float

    def act(self, body: TwinBody, ticks_since_onset: int) -> None:
        """See `BodyFault.act`."""
        body.set_motor_strength(self.joint, self.strength)


@dataclass(frozen=True)
class JammedMotor:
    """A gear jams: the joint stays where it is."""

    joint: int

    def act(self, body: TwinBody, ticks_since_onset: int) -> None:
        """See `BodyFault.act`."""
        body.model.dof_damping[_FIRST_JOINT_DOF + self.joint] = _JAM_DAMPING_NM_S_RAD


def tilt_rad(body: TwinBody) -> float:
    """True angle between the trunk's and the world's vertical [rad]."""
    return math.acos(min(1.0, max(-1.0, float(_rotation(body)[2, 2]))))


def _rotation(body: TwinBody) -> np.ndarray:
    """(3, 3) from the trunk's frame to the world's."""
    entries = np.empty(9)
    mujoco.mju_quat2Mat(entries, body.data.qpos[3:7])
    return entries.reshape(3, 3)


def _weight_n(body: TwinBody) -> float:
    return float(-body.model.opt.gravity[2] * body.model.body_mass.sum())


def _trunk_wrench(body: TwinBody) -> np.ndarray:
    """View of the force [N] and torque [Nm] (6,) from outside on the trunk, world frame."""
    view: np.ndarray = body.data.xfrc_applied[body.model.body("trunk").id]
    return view
