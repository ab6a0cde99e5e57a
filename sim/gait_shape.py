"""How a walk is shaped, for comparison with a command: stride frequency, height of the swing, height of the trunk.

Everything comes from the motion in a `GaitRecord` on level ground, nothing from the policy's clock.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.gait_quality import GaitRecord, GaitRecordError

_RESOLUTION_HZ = 0.01
_BAND_HZ = (0.7, 6.0)  # of strides that a leg of this size can make; below it is the wandering of the record's mean
_STILL_BELOW_M = 0.002  # rms of a foot's vertical motion: standing feet of the twin move by tenths of a millimetre


@dataclass(frozen=True)
class GaitShape:
    """The measures of one walk.

    Attributes:
        frequency_hz: strides a second of one foot; NaN where the feet rest.
        apex_height_m: median over feet and strides of a foot's highest point above where it stands; NaN likewise.
        trunk_height_m: mean height of the trunk above the ground that the loaded feet stand on.
    """

    frequency_hz: float
    apex_height_m: float
    trunk_height_m: float


def gait_shape(record: GaitRecord, foot_radius_m: float) -> GaitShape:
    """All measures of one walk.

    Raises:
        GaitRecordError: a foot that never carried load, or a record shorter than a stride.
    """
    height = record.foot_position_in_world[:, :, 2]
    if not np.all(record.contact.any(axis=0)):
        raise GaitRecordError("four feet that carry load at times", f"{record.contact.mean(axis=0)}", "Record a walk.")
    standing = np.array([np.median(height[record.contact[:, foot], foot]) for foot in range(height.shape[1])])
    frequency = stride_frequency(height, record.step_s)
    trunk = float(record.position_trunk_in_world[:, 2].mean() - standing.mean() + foot_radius_m)
    return GaitShape(frequency, apex_height(height - standing, frequency, record.step_s), trunk)


def stride_frequency(foot_height: np.ndarray, step_s: float) -> float:
    """Strongest frequency [Hz] in the vertical motion (T, 4) [m] of all feet; NaN where they rest.

    A foot that lifts for half a stride and stands for the other moves like a half-rectified sine, whose first two
    harmonics are 1/2 and 2/(3 pi): the stride's own frequency has 5.6 times the power of twice that.
    """
    moving = foot_height - foot_height.mean(axis=0)
    if np.sqrt(np.mean(moving**2)) < _STILL_BELOW_M:
        return float("nan")
    rows = max(len(moving), round(1.0 / (_RESOLUTION_HZ * step_s)))
    window = np.hanning(len(moving))[:, np.newaxis]
    power = (np.abs(np.fft.rfft(window * moving, n=rows, axis=0)) ** 2).sum(axis=1)
    frequency = np.fft.rfftfreq(rows, step_s)
    inside = (frequency >= _BAND_HZ[0]) & (frequency <= _BAND_HZ[1])
    return float(frequency[inside][np.argmax(power[inside])])


def apex_height(above_standing: np.ndarray, frequency_hz: float, step_s: float) -> float:
    """Median over feet and whole strides of the highest point (T, 4) [m]; NaN where there is no stride.

    Raises:
        GaitRecordError: the record is shorter than a stride.
    """
    if np.isnan(frequency_hz):
        return float("nan")
    rows = round(1.0 / (frequency_hz * step_s))
    strides = len(above_standing) // rows
    if strides < 1:
        raise GaitRecordError(f"a stride of {rows * step_s:g} s", f"{len(above_standing) * step_s:g} s", "Walk longer.")
    # A stride's length of time holds one swing of each foot, or the two ends of two.
    highest = above_standing[: strides * rows].reshape(strides, rows, -1).max(axis=1)
    return float(np.median(highest))
