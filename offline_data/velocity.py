"""Base velocity of a whole log: leg odometry and the IMU, smoothed forwards and backwards.

No sensor of the Go1 measures the velocity of its trunk. A foot that stands still tells it (leg odometry), the
accelerometer tells its changes. Feet swing, roll and slip, and accelerometers drift; so the velocity v of the IMU in
the world is smoothed over the log under

    v[k+1] = v[k] + (R[k] (f[k] - b) + g) dt + process noise,      R trunk to world, f specific force, b constant bias
    z[k,i] = v[k] + foot noise,     z[k,i] = -R (foot velocity relative to the IMU) of the contact point of foot i

with Student-t foot noise (iteratively reweighted): a foot that contradicts the other feet and the IMU loses its
weight, so slipping needs no threshold, and on ice the IMU carries the velocity from grip to grip. The equations are
linear and, with equal noise on the three axes, share one scalar gain: Rauch, Tung and Striebel's smoother (AIAA
Journal 3(8), 1965).

On soft ground the vertical axis is the weak one: a foot that sinks while it bears looks like a trunk that rises. On the
twin's mattress that is a bias of 4 to 8 cm/s; the confidence speaks of the horizontal axes.

The contact point lies one foot radius below the foot's centre and moves with the calf, as a ball rolls; leaving the
rolling out loses about 7 % of the speed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from robot_configs.errors import Go1Error
from robot_configs.kinematics import foot_jacobian_in_trunk, foot_position_in_trunk
from robot_configs.robot import GRAVITY_M_S2, RobotModel

_UNKNOWN_VELOCITY_VARIANCE = 1.0
"""Of a velocity before anything was measured, and of its change across a hole in the log [(m/s)^2]."""
_HOLE_S = 0.1
"""Two samples further apart than this are not connected by the accelerometer."""
_WINDOW_S = 8.0
_OVERLAP_S = 2.0
"""The log is smoothed in windows side by side; an overlap of several correlation times (0.3 s) hides the seams."""


_HORIZONTAL, _SPACE = slice(0, 2), slice(0, 3)
"""A foot that sinks into soft ground may still tell the horizontal velocity, so that is judged by horizontal residuals
alone; the vertical one needs feet that are at rest altogether."""
_STANCE_HEIGHT_M = 0.03
_LIVE_FOOT_FORCE_COUNTS = 20.0
"""A foot that swings changes its reading by a hundred counts and more; a dead or always loaded one by its noise."""
_SMALLEST_LIKELIHOOD = 0.001


class VelocityError(Go1Error):
    """Signals that no velocity can be estimated from."""


@dataclass(frozen=True)
class VelocitySettings:
    """Noise model; the defaults were chosen on the twin (nominal, mattress, ice), see tests/offline_data."""

    acceleration_noise: float = 0.07
    """Random walk of the velocity that the accelerometer leaves, tilt errors included [m/s per sqrt(s)]."""
    acceleration_noise_without_imu: float = 2.0
    """The same where there is no accelerometer: how fast a walking trunk changes its velocity [m/s per sqrt(s)]."""
    foot_noise_m_s: float = 0.1
    """Velocity of the contact point of a standing foot."""
    foot_noise_correlation_s: float = 0.1
    """How long that velocity persists; samples closer together than this do not count fully."""
    degrees_of_freedom: float = 0.2
    """Of the Student-t foot noise; small: a contradicting foot loses all weight."""
    iterations: int = 8
    """Rounds of reweighting."""
    error_bound_m_s: float = 0.1
    """The confidence is the probability that the error of a horizontal axis is below this."""


@dataclass(frozen=True)
class Motion:
    """Signals of N moments, in order of time; rows with NaN are bridged with low confidence."""

    time_s: np.ndarray
    """(N,) monotonic clock [s]."""
    orientation_trunk_in_world: np.ndarray
    """(N, 4) w x y z."""
    angular_velocity_trunk_in_trunk: np.ndarray
    """(N, 3) [rad/s]."""
    joint_position: np.ndarray
    """(N, 12) [rad], wire order."""
    joint_velocity: np.ndarray
    """(N, 12) [rad/s], wire order."""
    specific_force_imu_in_trunk: np.ndarray | None = None
    """(N, 3) accelerometer [m/s^2]."""
    foot_force: np.ndarray | None = None
    """(N, 4) raw counts; without it the lowest feet are taken to stand."""


@dataclass(frozen=True)
class VelocityEstimate:
    """What the smoother found for N moments."""

    velocity_trunk_in_trunk: np.ndarray
    """(N, 3) of the trunk's origin [m/s]."""
    deviation_m_s: np.ndarray
    """(N,) posterior standard deviation of each axis."""
    confidence: np.ndarray
    """(N,) in [0, 1], see `VelocitySettings.error_bound_m_s`."""
    accelerometer_bias: np.ndarray
    """(3,) [m/s^2], trunk frame; includes a constant tilt error of the orientation."""


def estimate_velocity(robot: RobotModel, motion: Motion, settings: VelocitySettings | None = None) -> VelocityEstimate:
    """Smoothed velocity of the trunk over a whole log.

    Raises:
        VelocityError: time does not increase.
    """
    settings = settings or VelocitySettings()
    interval = np.diff(motion.time_s)
    if len(motion.time_s) == 0 or (interval <= 0).any():
        raise VelocityError(
            "at least one sample, in strictly increasing time",
            "none" if len(motion.time_s) == 0 else f"{int((interval <= 0).sum())} steps back or repeated",
            "Sort the samples by their monotonic stamp and drop repetitions.",
        )
    usable = _usable_rows(motion)
    motion = _with_zeros_for_nan(motion, usable)
    rotation = rotation_trunk_to_world(motion.orientation_trunk_in_world)
    imu_from_trunk = np.cross(motion.angular_velocity_trunk_in_trunk, np.array(robot.geometry.imu_in_trunk))
    foot_in_trunk = trunk_velocity_by_foot(robot, motion) + imu_from_trunk[:, None]
    foot = np.einsum("nij,nfj->nfi", rotation, foot_in_trunk)
    stance = _stance_likelihood(robot, motion, rotation) * usable[:, None]
    velocity, variance, _ = _reweighted_smoothing(
        foot, stance, _DeadReckoning(motion, rotation, usable, settings), settings, _HORIZONTAL
    )
    in_space, _, bias = _reweighted_smoothing(
        foot, stance, _DeadReckoning(motion, rotation, usable, settings), settings, _SPACE
    )
    velocity[:, 2] = in_space[:, 2]
    in_trunk = np.einsum("nji,nj->ni", rotation, velocity) - imu_from_trunk
    deviation = np.sqrt(variance)
    return VelocityEstimate(in_trunk, deviation, _confidence(deviation, settings), bias)


def trunk_velocity_by_foot(robot: RobotModel, motion: Motion) -> np.ndarray:
    """Leg odometry: the trunk velocity (N, 4, 3) [m/s, trunk frame] that each foot implies by standing still."""
    gravity = -rotation_trunk_to_world(motion.orientation_trunk_in_world)[:, 2, :]
    centre = foot_position_in_trunk(robot, motion.joint_position)
    jacobian = foot_jacobian_in_trunk(robot, motion.joint_position)
    joint_velocity = motion.joint_velocity.reshape(-1, 4, 3)
    hip = motion.joint_position.reshape(-1, 4, 3)[..., 0]
    calf_axis = np.stack([np.zeros_like(hip), np.cos(hip), np.sin(hip)], axis=-1)
    calf_rate = calf_axis * joint_velocity[..., 1:].sum(axis=-1, keepdims=True)
    calf_rate[..., 0] += joint_velocity[..., 0]
    to_contact = np.broadcast_to(robot.geometry.foot_radius * gravity[:, None], centre.shape)
    contact_velocity = (
        np.einsum("nfij,nfj->nfi", jacobian, joint_velocity)
        + np.cross(calf_rate, to_contact)
        + np.cross(motion.angular_velocity_trunk_in_trunk[:, None], centre + to_contact)
    )
    return -contact_velocity


def rotation_trunk_to_world(orientation: np.ndarray) -> np.ndarray:
    """Rotation matrices (N, 3, 3) of quaternions (N, 4), w x y z, of any non-zero length."""
    w, x, y, z = (orientation / np.linalg.norm(orientation, axis=1, keepdims=True)).T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


class _DeadReckoning:
    """Changes of the velocity between samples: from the accelerometer where there is one, else zero with more noise."""

    def __init__(self, motion: Motion, rotation: np.ndarray, usable: np.ndarray, settings: VelocitySettings) -> None:
        self.bias = np.zeros(3)
        self.interval = np.diff(motion.time_s, prepend=motion.time_s[0])
        self._rotation = rotation
        self._force = motion.specific_force_imu_in_trunk
        noise = settings.acceleration_noise_without_imu if self._force is None else settings.acceleration_noise
        previous_usable = np.concatenate([[False], usable[:-1]])
        self._connected = usable & previous_usable & (self.interval <= _HOLE_S)
        # A gap of t seconds lets the velocity wander, but never further than not knowing it at all.
        wander = np.minimum(settings.acceleration_noise_without_imu**2 * self.interval, _UNKNOWN_VELOCITY_VARIANCE)
        self.variance = np.where(self._connected, noise**2 * self.interval, wander)

    def change(self) -> np.ndarray:
        """(N, 3) velocity change from the previous sample to this one [m/s], world frame; trapezoids."""
        if self._force is None:
            return np.zeros((len(self.interval), 3))
        acceleration = np.einsum("nij,nj->ni", self._rotation, self._force - self.bias) - [0.0, 0.0, GRAVITY_M_S2]
        mean = 0.5 * (acceleration + np.roll(acceleration, 1, axis=0))
        return np.where(self._connected[:, None], mean * self.interval[:, None], 0.0)

    def learn_bias(self, velocity: np.ndarray) -> None:
        """Moves the bias by the mean difference (trunk frame) between integrated and smoothed velocity changes."""
        rows = np.nonzero(self._connected)[0]
        if self._force is None or len(rows) == 0:
            return
        surplus = (self.change()[rows] - (velocity[rows] - velocity[rows - 1])) / self.interval[rows, None]
        self.bias = self.bias + np.einsum("nji,nj->ni", self._rotation[rows], surplus).mean(axis=0)


def _reweighted_smoothing(
    foot: np.ndarray,
    stance: np.ndarray,
    dead_reckoning: _DeadReckoning,
    settings: VelocitySettings,
    judged_axes: slice,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Velocity (N, 3), its variance (N,), both in the world frame, and the bias, after the rounds of reweighting.

    Weight of a foot with residual r under a Student-t of n degrees of freedom, relative to that of r = 0:
    n / (n + r^2 / sigma^2), with r taken along `judged_axes`.
    """
    squared_noise = settings.foot_noise_m_s**2
    independent = np.clip(dead_reckoning.interval / settings.foot_noise_correlation_s, 0.0, 1.0)
    weight = stance
    velocity = np.zeros((len(foot), 3))
    variance = np.full(len(foot), _UNKNOWN_VELOCITY_VARIANCE)
    for _ in range(settings.iterations):
        precision_by_foot = weight * independent[:, None] / squared_noise
        precision = precision_by_foot.sum(axis=1)
        measured = np.einsum("nf,nfi->ni", precision_by_foot, foot) / np.maximum(precision, 1e-12)[:, None]
        velocity, variance = _smooth_in_windows(measured, precision, dead_reckoning)
        residual = ((foot - velocity[:, None])[..., judged_axes] ** 2).sum(axis=-1)
        weight = stance * settings.degrees_of_freedom / (settings.degrees_of_freedom + residual / squared_noise)
        dead_reckoning.learn_bias(velocity)
    return velocity, variance, dead_reckoning.bias


def _smooth_in_windows(
    measured: np.ndarray, precision: np.ndarray, dead_reckoning: _DeadReckoning
) -> tuple[np.ndarray, np.ndarray]:
    """The smoother on overlapping windows at once, so that NumPy loops over one window's length, not over the log's."""
    count = len(measured)
    typical_interval = float(np.median(dead_reckoning.interval[1:])) if count > 1 else 1.0
    core = max(1, round(_WINDOW_S / typical_interval))
    overlap = round(_OVERLAP_S / typical_interval)
    starts = np.arange(0, count, core)
    rows = starts[:, None] + np.arange(-overlap, core + overlap)
    outside = (rows < 0) | (rows >= count)
    rows = np.clip(rows, 0, count - 1)
    change = np.where(outside[..., None], 0.0, dead_reckoning.change()[rows])
    variance = np.where(outside, 0.0, dead_reckoning.variance[rows])
    velocity, posterior = _smooth(measured[rows], np.where(outside, 0.0, precision[rows]), change, variance)
    inside = slice(overlap, overlap + core)
    return velocity[:, inside].reshape(-1, 3)[:count], posterior[:, inside].reshape(-1)[:count]


def _smooth(
    measured: np.ndarray, precision: np.ndarray, change: np.ndarray, change_variance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rauch-Tung-Striebel smoother of W windows of L samples at once; three axes share the scalar variances.

    Args:
        measured: (W, L, 3), the velocity that the feet tell, of the given precision (W, L) [1/variance].
        change: (W, L, 3), known velocity change from the sample before, of the given variance (W, L).

    Returns:
        Velocity (W, L, 3) and posterior variance (W, L) given all samples of the window.
    """
    windows, length = precision.shape
    mean, predicted_variance = np.empty_like(measured), np.empty_like(precision)
    variance = np.empty_like(precision)
    velocity, uncertainty = np.zeros((windows, 3)), np.full(windows, _UNKNOWN_VELOCITY_VARIANCE)
    for k in range(length):
        velocity = velocity + change[:, k]
        uncertainty = uncertainty + change_variance[:, k]
        predicted_variance[:, k] = uncertainty
        gain = uncertainty * precision[:, k] / (1.0 + uncertainty * precision[:, k])
        velocity = velocity + gain[:, None] * (measured[:, k] - velocity)
        uncertainty = uncertainty * (1.0 - gain)
        mean[:, k], variance[:, k] = velocity, uncertainty
    for k in range(length - 2, -1, -1):
        gain = variance[:, k] / predicted_variance[:, k + 1]
        mean[:, k] += gain[:, None] * (mean[:, k + 1] - mean[:, k] - change[:, k + 1])
        variance[:, k] += gain**2 * (variance[:, k + 1] - predicted_variance[:, k + 1])
    return mean, variance


def _stance_likelihood(robot: RobotModel, motion: Motion, rotation: np.ndarray) -> np.ndarray:
    """(N, 4) in (0, 1]: how likely each foot stands, before its velocity is looked at.

    By force: counts have an unknown offset and scale per foot, so they are compared with that foot's own 5th and 95th
    percentiles over the log; a third of that span is a standing foot. By height where there is no force, or none that
    changes (a foot that never left the ground, or whose sensor is dead): within 3 cm of the lowest foot.
    """
    depth = -np.einsum("nfi,ni->nf", foot_position_in_trunk(robot, motion.joint_position), rotation[:, 2, :])
    likelihood = 1.0 - (depth.max(axis=1, keepdims=True) - depth) / _STANCE_HEIGHT_M
    if motion.foot_force is not None:
        unloaded, loaded = np.percentile(motion.foot_force, [5, 95], axis=0)
        by_force = 3.0 * (motion.foot_force - unloaded) / np.maximum(loaded - unloaded, 1.0) - 0.3
        likelihood = np.where(loaded - unloaded > _LIVE_FOOT_FORCE_COUNTS, by_force, likelihood)
    return np.clip(likelihood, _SMALLEST_LIKELIHOOD, 1.0)


def _confidence(deviation: np.ndarray, settings: VelocitySettings) -> np.ndarray:
    """P(|error| < bound) of a normal error with this deviation: erf(bound / (sigma sqrt 2))."""
    ratio = settings.error_bound_m_s / (math.sqrt(2.0) * np.maximum(deviation, 1e-9))
    return np.array([math.erf(value) for value in ratio.tolist()])


def _signals(motion: Motion) -> dict[str, np.ndarray]:
    names = ("orientation_trunk_in_world", "angular_velocity_trunk_in_trunk", "joint_position", "joint_velocity")
    signals = {name: getattr(motion, name) for name in names}
    for name in ("specific_force_imu_in_trunk", "foot_force"):
        if getattr(motion, name) is not None:
            signals[name] = getattr(motion, name)
    return signals


def _usable_rows(motion: Motion) -> np.ndarray:
    """(N,) bool: every signal finite, the quaternion not zero."""
    finite = [np.isfinite(values).all(axis=1) for values in _signals(motion).values()]
    norm = np.linalg.norm(np.nan_to_num(motion.orientation_trunk_in_world), axis=1)
    return np.logical_and.reduce([*finite, norm > 0.5])


def _with_zeros_for_nan(motion: Motion, usable: np.ndarray) -> Motion:
    """The motion in float64, with unusable rows at rest and upright: they carry no weight, but must not spread NaN."""
    signals = {
        name: np.where(usable[:, None], values, 0.0).astype(np.float64) for name, values in _signals(motion).items()
    }
    signals["orientation_trunk_in_world"][~usable, 0] = 1.0
    return Motion(time_s=motion.time_s, **signals)
