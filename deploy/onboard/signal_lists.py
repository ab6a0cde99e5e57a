"""A state's signals taken apart, and what one tick's rates fail to explain of the change they should have caused."""

from __future__ import annotations

import math
from typing import List, NamedTuple

from deploy.onboard.state_checks import ACCELEROMETER, GYROSCOPE, POSITION, QUATERNION, VELOCITY

# Lists, not arrays: at twelve numbers Python's arithmetic is as quick as NumPy's, at three it is quicker.


class SignalLists(NamedTuple):
    """The signals of one state that are compared with those of the next."""

    quaternion: List[float]
    """(4,) trunk in world, w x y z."""
    gyroscope: List[float]
    """(3,) in the trunk [rad/s]."""
    accelerometer: List[float]
    """(3,) specific force in the trunk [m/s^2]."""
    position: List[float]
    """(12,) joints [rad]."""
    velocity: List[float]
    """(12,) joints [rad/s]."""


def taken_apart(signals: List[float]) -> SignalLists:
    """From a vector of signals (46,), as `state_checks.signals` orders them."""
    return SignalLists(
        signals[QUATERNION], signals[GYROSCOPE], signals[ACCELEROMETER], signals[POSITION], signals[VELOCITY]
    )


class MotionError(NamedTuple):
    """Integral of the rates over one tick, by the trapezoidal rule, less the change that was measured."""

    joint_rad: List[float]
    """(12,) velocities against positions."""
    rotation_rad: List[float]
    """(3,) gyroscope against quaternion, about the trunk's axes."""


def motion_error(before: SignalLists, now: SignalLists, advance_s: float) -> MotionError:
    """What the step from `before` to `now`, `advance_s` long, leaves unexplained."""
    half_s = 0.5 * advance_s
    joints = [
        half_s * (velocity_before + velocity) - (position - position_before)
        for velocity_before, velocity, position, position_before in zip(
            before.velocity, now.velocity, now.position, before.position
        )
    ]
    rotation = [
        half_s * (rate_before + rate) - turned
        for rate_before, rate, turned in zip(
            before.gyroscope, now.gyroscope, _rotation(before.quaternion, now.quaternion)
        )
    ]
    return MotionError(joints, rotation)


def _rotation(before: List[float], now: List[float]) -> List[float]:
    """Small rotation vector [rad] in the trunk from one quaternion (w x y z) to the next: 2 vec(conj(p) q).

    The two may differ in sign, which is the same attitude.
    """
    pw, px, py, pz = before
    w, x, y, z = now
    twice = math.copysign(2.0, pw * w + px * x + py * y + pz * z)
    return [
        twice * (pw * x - px * w - py * z + pz * y),
        twice * (pw * y - py * w - pz * x + px * z),
        twice * (pw * z - pz * w - px * y + py * x),
    ]
