"""How smoothly a robot sets off and comes to rest, in numbers: tilt, overshoot, time to rest, jolts of the targets."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from deploy.onboard.stillness import Stillness
from sim.gait_quality import GaitRecordError

STRIDE_S = 0.4  # of the policies' clock: the speed that counts is the mean over it, for within it every trot sways
_TRANSIENT_S = 1.0  # after a start or a stop; the command itself takes an eighth of a second to 0.5 m/s
_LEAST_WALK_S = 2.0  # of which at least a second is steady


@dataclass(frozen=True, eq=False)
class StartStopRecord:
    """Standing, walking forwards, standing again; T rows at the link's rate, S steps of the policy.

    Attributes:
        step_s: between two rows [s].
        ticks_per_step: rows of one policy step.
        start_step, stop_step: the first policy steps at which walking, and standing again, were commanded.
        commanded_m_s: forward speed in between.
        orientation_trunk_in_world: (T, 4) w x y z.
        forward_velocity_m_s: (T,), of the trunk along its x axis.
        angular_velocity_trunk_in_trunk: (T, 3) [rad/s].
        joint_velocity: (T, 12) [rad/s].
        joint_target: (S, 12), what the policy asked for [rad].
    """

    step_s: float
    ticks_per_step: int
    start_step: int
    stop_step: int
    commanded_m_s: float
    orientation_trunk_in_world: np.ndarray
    forward_velocity_m_s: np.ndarray
    angular_velocity_trunk_in_trunk: np.ndarray
    joint_velocity: np.ndarray
    joint_target: np.ndarray

    def __post_init__(self) -> None:
        rows = len(self.joint_target) * self.ticks_per_step
        found = [len(value) for value in vars(self).values() if isinstance(value, np.ndarray)][:-1]
        if set(found) != {rows}:
            raise GaitRecordError(f"{rows} rows of everything but the targets", f"{found}", "Record it anew.")
        walk_s = (self.stop_step - self.start_step) * self.ticks_per_step * self.step_s
        if walk_s < _LEAST_WALK_S:
            raise GaitRecordError(f"at least {_LEAST_WALK_S:g} s of walking", f"{walk_s:g} s", "Walk longer.")
        if self.stop_step >= len(self.joint_target):
            last = f"a stop at step {self.stop_step} of {len(self.joint_target)}"
            raise GaitRecordError("a rest behind the stop", last, "Record for longer.")


@dataclass(frozen=True)
class StartStop:
    """The measures; smaller is better.

    Attributes:
        peak_tilt_rad: largest angle between the trunk's z axis and the vertical, from the start on.
        overshoot_m_s: of the mean speed over a stride: beyond the command while walking, or backwards after the stop.
        time_to_rest_s: from the stop until trunk and joints are still (`Stillness`) for good; infinite if they are not.
        target_jolt: largest change of a joint's target within a policy step in the second after the start and after the
            stop, over the largest in the steady walk between [-].
    """

    peak_tilt_rad: float
    overshoot_m_s: float
    time_to_rest_s: float
    target_jolt: float


def start_stop(record: StartStopRecord) -> StartStop:
    """All measures of one start and stop."""
    start, stop = record.start_step * record.ticks_per_step, record.stop_step * record.ticks_per_step
    mean = stride_mean(record.forward_velocity_m_s, record.step_s)
    beyond = [*(mean[start:stop] - record.commanded_m_s), *-mean[stop:], 0.0]
    return StartStop(
        peak_tilt_rad=float(tilt_rad(record.orientation_trunk_in_world[start:]).max()),
        overshoot_m_s=float(max(beyond)),
        time_to_rest_s=time_to_rest_s(record, stop),
        target_jolt=target_jolt(record),
    )


def tilt_rad(orientation: np.ndarray) -> np.ndarray:
    """(T,) angles between the trunk's z axis and the world's, of quaternions (T, 4), w x y z."""
    upright = 1.0 - 2.0 * (orientation[:, 1] ** 2 + orientation[:, 2] ** 2)
    angles: np.ndarray = np.arccos(np.clip(upright, -1.0, 1.0))
    return angles


def stride_mean(values: np.ndarray, step_s: float) -> np.ndarray:
    """(T,) mean over the last stride of (T,) values; before the first stride has passed, over what there is."""
    rows = round(STRIDE_S / step_s)
    sums = np.concatenate([np.zeros(1), np.cumsum(values)])
    first = np.maximum(np.arange(1, len(sums)) - rows, 0)
    means: np.ndarray = (sums[1:] - sums[first]) / (np.arange(1, len(sums)) - first)
    return means


def time_to_rest_s(record: StartStopRecord, stop: int) -> float:
    """From row `stop` on [s]."""
    limits = Stillness()
    turn_rate = np.linalg.norm(record.angular_velocity_trunk_in_trunk[stop:], axis=1)
    joint_rate = np.sqrt(np.mean(record.joint_velocity[stop:] ** 2, axis=1))
    still = (turn_rate < limits.angular_velocity_rad_s) & (joint_rate < limits.joint_velocity_rad_s)
    if not still[-1]:
        return math.inf
    moving = np.flatnonzero(~still)
    return float((moving[-1] + 1) * record.step_s) if len(moving) else 0.0


def target_jolt(record: StartStopRecord) -> float:
    """See `StartStop.target_jolt`."""
    change = np.abs(np.diff(record.joint_target, axis=0)).max(axis=1)  # row i leads to step i + 1
    steps = round(_TRANSIENT_S / (record.step_s * record.ticks_per_step))
    start, stop = record.start_step - 1, record.stop_step - 1
    transient = max(change[start : start + steps].max(), change[stop : stop + steps].max())
    return float(transient / change[start + steps : stop].max())
