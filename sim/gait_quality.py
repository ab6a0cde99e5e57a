"""How a walk looks to a roboticist, in numbers: symmetry, dragging, stamping, ripple, rest.

Everything is computed from a `GaitRecord` of the twin's truth; no measure needs to know what the policy wanted the feet
to do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from robot_configs.errors import Go1Error
from robot_configs.robot import GRAVITY_M_S2

CONTACT_ABOVE_N = 5.0  # a sixth of a standing foot's 31 N, and above the noise of a foot that brushes the ground
RIPPLE_ABOVE_HZ = 15.0  # a trot of 2.5 Hz has five harmonics below; the policy acts at 50 Hz
_TOUCHDOWN_WINDOW_S = 0.03
_IN_THE_AIR_S = 0.02  # what a step is above the ground at least: a foot that leaves it bounces for some milliseconds


class GaitRecordError(Go1Error):
    """A record that says nothing about a gait."""


@dataclass(frozen=True, eq=False)
class GaitRecord:
    """A walk at equal time steps; joints and feet in the robot's wire order.

    Attributes:
        step_s: between two rows [s].
        foot_names: (4,), with F or R for front or rear and R or L for right or left.
        mass_kg: of the robot.
        position_trunk_in_world: (T, 3) [m].
        foot_position_in_world: (T, 4, 3), of the feet's centres [m].
        foot_force_n: (T, 4), of the ground on the feet, along the normal of the floor (not of a bump on it).
        joint_velocity: (T, 12) [rad/s].
        joint_torque: (T, 12), delivered [Nm].
    """

    step_s: float
    foot_names: tuple[str, ...]
    mass_kg: float
    position_trunk_in_world: np.ndarray
    foot_position_in_world: np.ndarray
    foot_force_n: np.ndarray
    joint_velocity: np.ndarray
    joint_torque: np.ndarray

    def __post_init__(self) -> None:
        rows = {len(value) for value in vars(self).values() if isinstance(value, np.ndarray)}
        if len(rows) != 1 or min(rows) < 3:
            raise GaitRecordError("at least three rows of everything", f"{sorted(rows)}", "Record a longer walk.")

    @property
    def contact(self) -> np.ndarray:
        """(T, 4) bool, whether a foot carries load."""
        return self.foot_force_n > CONTACT_ABOVE_N

    @property
    def duration_s(self) -> float:
        return len(self.contact) * self.step_s


@dataclass(frozen=True)
class GaitQuality:
    """The measures; smaller is better but for `duty_factor` and `step_rate_hz`, which only describe.

    Attributes:
        duty_factor: share of the time that each foot carries load, in the record's order.
        step_rate_hz: touchdowns a second of all feet together.
        left_right_asymmetry: of the duty factors: largest |left - right| of front and rear over the mean [-].
        drag: way that loaded feet slide over the ground over the way that feet go at all [-]; NaN if they rest.
        stamp: median over the touchdowns of the largest force within 30 ms, over the robot's weight [-]; 0 without any.
        torque_ripple: rms of the torques above 15 Hz over the rms of all torques [-].
        joint_motion_rad_s: rms of the joints' velocities, which says how still a standing robot stands.
    """

    duty_factor: tuple[float, ...]
    step_rate_hz: float
    left_right_asymmetry: float
    drag: float
    stamp: float
    torque_ripple: float
    joint_motion_rad_s: float


def gait_quality(record: GaitRecord) -> GaitQuality:
    """All measures of one walk."""
    duty = record.contact.mean(axis=0)
    return GaitQuality(
        duty_factor=tuple(duty.tolist()),
        step_rate_hz=len(touchdowns(record.contact, record.step_s)) / record.duration_s,
        left_right_asymmetry=left_right_asymmetry(duty, record.foot_names),
        drag=drag(record),
        stamp=stamp(record),
        torque_ripple=torque_ripple(record.joint_torque, record.step_s),
        joint_motion_rad_s=float(np.sqrt(np.mean(record.joint_velocity**2))),
    )


def touchdowns(contact: np.ndarray, step_s: float) -> np.ndarray:
    """(K, 2) row and foot of every first loaded row after a time in the air; contact is (T, 4) bool."""
    rows = max(1, round(_IN_THE_AIR_S / step_s))
    loaded = np.cumsum(np.concatenate([np.zeros_like(contact[:1], int), contact]), axis=0)
    begins = contact[rows:] & (loaded[rows:-1] == loaded[: -rows - 1])
    return np.argwhere(begins) + [rows, 0]


def left_right_asymmetry(values: np.ndarray, foot_names: tuple[str, ...]) -> float:
    """Largest |left - right| of the front and the rear pair, over their mean; 0 if both are zero."""
    worst = 0.0
    for end in ("F", "R"):
        right, left = (values[foot_names.index(end + side)] for side in ("R", "L"))
        if right + left > 0.0:
            worst = max(worst, abs(left - right) / (0.5 * (left + right)))
    return float(worst)


def drag(record: GaitRecord) -> float:
    """Way of the feet over the ground while they carry load, over all of their way.

    A foot's centre moves a little without sliding, as the foot rolls: up to its radius times the leg's swing a step.
    """
    along = np.linalg.norm(np.diff(record.foot_position_in_world[:, :, :2], axis=0), axis=2)
    loaded = record.contact[1:] & record.contact[:-1]
    return float((along * loaded).sum() / along.sum()) if along.mean(axis=1).sum() > 0.1 else float("nan")


def stamp(record: GaitRecord) -> float:
    """Median over the touchdowns of the largest force within `_TOUCHDOWN_WINDOW_S`, over the robot's weight."""
    window = max(1, round(_TOUCHDOWN_WINDOW_S / record.step_s))
    events = touchdowns(record.contact, record.step_s)
    if not len(events):
        return 0.0
    peaks = [record.foot_force_n[row : row + window, foot].max() for row, foot in events]
    return float(np.median(peaks) / (record.mass_kg * GRAVITY_M_S2))


def torque_spectrum(joint_torque: np.ndarray, step_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies (F,) [Hz] and power (F, 12) [Nm^2] of the torques (T, 12) without their means.

    The powers of a joint add up to the variance of its torque (Parseval), so that they can be read as shares.
    """
    moving = joint_torque - joint_torque.mean(axis=0)
    rows = len(moving)
    power = 2.0 * np.abs(np.fft.rfft(moving, axis=0)) ** 2 / rows**2
    if rows % 2 == 0:
        power[-1] /= 2.0  # the highest frequency has no twin
    return np.fft.rfftfreq(rows, step_s), power


def torque_ripple(joint_torque: np.ndarray, step_s: float) -> float:
    """rms of the torques (T, 12) above `RIPPLE_ABOVE_HZ` over the rms of all, their means included."""
    frequency, power = torque_spectrum(joint_torque, step_s)
    total = float(np.mean(joint_torque**2, axis=0).sum())
    return float(np.sqrt(power[frequency > RIPPLE_ABOVE_HZ].sum() / total)) if total > 0.0 else 0.0
