"""The velocity estimate against motions whose truth is built, not simulated."""

from dataclasses import replace

import numpy as np
import pytest

from offline_data.velocity import (
    GRAVITY_M_S2,
    Motion,
    VelocityError,
    VelocityEstimate,
    VelocitySettings,
    _smooth,
    estimate_velocity,
    rotation_trunk_to_world,
    trunk_velocity_by_foot,
)
from offline_data.velocity_error import velocity_error_report
from robot_configs.kinematics import foot_position_in_trunk
from robot_configs.robot import load_robot

ROBOT = load_robot()
HZ = 100
BIAS = np.array([0.1, -0.05, 0.08])


def about(axis: int, angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    i, j = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = cos, -sin, sin, cos
    return matrix


def upright(count: int) -> np.ndarray:
    return np.tile([1.0, 0.0, 0.0, 0.0], (count, 1))


def standing_motion(seconds: float = 6.0, slip_m_s: float = 0.0) -> tuple[Motion, np.ndarray]:
    """A trunk that sways over four standing feet, and its true velocity; joints integrate the contacts' rates.

    With `slip_m_s`, foot FR glides forward at that speed during each second half second.
    """
    count = round(seconds * HZ)
    time_s = np.arange(count) / HZ
    truth = 0.15 * np.stack([np.sin(4 * time_s), np.cos(5 * time_s), 0.3 * np.sin(6 * time_s)], axis=1)
    position, rate = np.empty((count, 12)), np.empty((count, 12))
    position[0] = ROBOT.stand_position
    gliding = (time_s % 1.0) >= 0.5
    for k in range(count):
        if k:
            position[k] = position[k - 1] + rate[k - 1] / HZ
        unit = Motion(np.arange(12), upright(12), np.zeros((12, 3)), np.tile(position[k], (12, 1)), np.eye(12))
        response = trunk_velocity_by_foot(ROBOT, unit)  # (12 joints, 4 feet, 3)
        for foot in range(4):
            joints = slice(3 * foot, 3 * foot + 3)
            wanted = truth[k] - (np.array([slip_m_s, 0, 0]) if foot == 0 and gliding[k] else 0.0)
            rate[k, joints] = np.linalg.solve(response[joints, foot].T, wanted)
    acceleration = np.gradient(truth, 1 / HZ, axis=0)
    force = acceleration + [0, 0, GRAVITY_M_S2] + BIAS
    motion = Motion(time_s, upright(count), np.zeros((count, 3)), position, rate, force, np.full((count, 4), 100.0))
    return motion, truth


# All feet carry the same constant force: no span to scale by, so every foot gets the smallest prior. Use heights
# instead.
def without_foot_force(motion: Motion) -> Motion:
    return replace(motion, foot_force=None)


def test_leg_odometry_against_finite_differences() -> None:
    """The material point of the calf under the foot's centre, moved by small joint and trunk rotations."""
    random = np.random.default_rng(0)
    radius, step = ROBOT.geometry.foot_radius, 1e-6
    for _ in range(20):
        joints = ROBOT.stand_position + 0.3 * random.standard_normal(12)
        rates, turning = 3 * random.standard_normal(12), random.standard_normal(3)
        tilt = about(0, 0.2 * random.standard_normal()) @ about(1, 0.2 * random.standard_normal())
        down = -tilt[2]

        def contact(angles: np.ndarray, at: np.ndarray = joints, down: np.ndarray = down) -> np.ndarray:
            points = foot_position_in_trunk(ROBOT, angles)
            for foot in range(4):
                now, then = angles[3 * foot : 3 * foot + 3], at[3 * foot : 3 * foot + 3]
                turned = about(0, now[0]) @ about(1, now[1:].sum())
                original = about(0, then[0]) @ about(1, then[1:].sum())
                points[foot] = points[foot] + turned @ original.T @ (radius * down)
            return points

        relative = (contact(joints + step * rates) - contact(joints - step * rates)) / (2 * step)
        expected = -(relative + np.cross(turning, contact(joints)))
        motion = Motion(np.zeros(1), quaternion(tilt)[None], turning[None], joints[None], rates[None])
        np.testing.assert_allclose(trunk_velocity_by_foot(ROBOT, motion)[0], expected, atol=1e-6)


def quaternion(rotation: np.ndarray) -> np.ndarray:
    w = 0.5 * np.sqrt(1 + np.trace(rotation))
    anti = rotation - rotation.T
    return np.array([w, anti[2, 1] / (4 * w), anti[0, 2] / (4 * w), anti[1, 0] / (4 * w)])


def test_rotation_matrices() -> None:
    matrix = about(2, 0.3) @ about(1, -0.2) @ about(0, 0.7)
    np.testing.assert_allclose(rotation_trunk_to_world(2.0 * quaternion(matrix)[None])[0], matrix, atol=1e-12)


def test_smoother_solves_the_least_squares_problem() -> None:
    """On 12 samples, against the normal equations solved at once."""
    random = np.random.default_rng(1)
    count = 12
    measured, change = random.standard_normal((1, count, 3)), random.standard_normal((1, count, 3))
    precision, variance = random.uniform(0, 5, (1, count)), random.uniform(0.1, 1, (1, count))
    velocity, posterior = _smooth(measured, precision, change, variance)
    information, right = np.diag(precision[0]), precision[0][:, None] * measured[0]
    information[0, 0] += 1 / (1.0 + variance[0, 0])
    right[0] += change[0, 0] / (1.0 + variance[0, 0])
    for k in range(1, count):
        row = np.zeros(count)
        row[k], row[k - 1] = 1.0, -1.0
        information += np.outer(row, row) / variance[0, k]
        right += row[:, None] * change[0, k] / variance[0, k]
    np.testing.assert_allclose(velocity[0], np.linalg.solve(information, right), atol=1e-9)
    np.testing.assert_allclose(posterior[0], np.diag(np.linalg.inv(information)), atol=1e-9)


def test_swaying_trunk_and_accelerometer_bias() -> None:
    motion, truth = standing_motion()
    estimate = estimate_velocity(ROBOT, without_foot_force(motion))
    assert np.abs(estimate.velocity_trunk_in_trunk - truth).max() < 0.01
    np.testing.assert_allclose(estimate.accelerometer_bias, BIAS, atol=0.02)
    assert estimate.confidence.min() > 0.9


def test_a_slipping_foot_is_outvoted() -> None:
    motion, truth = standing_motion(slip_m_s=0.5)
    by_feet = trunk_velocity_by_foot(ROBOT, motion).mean(axis=1)
    assert np.abs(by_feet - truth)[:, 0].max() > 0.12  # the plain mean is a quarter of the slip off
    estimate = estimate_velocity(ROBOT, without_foot_force(motion))
    assert np.abs(estimate.velocity_trunk_in_trunk - truth).max() < 0.02


def test_imu_carries_through_when_all_feet_slip() -> None:
    motion, truth = standing_motion()
    rates = motion.joint_velocity.copy()
    lost = slice(300, 340)
    rates[lost] += np.random.default_rng(0).normal(0, 4.0, (40, 12))
    motion = without_foot_force(replace(motion, joint_velocity=rates))
    error = np.abs(estimate_velocity(ROBOT, motion).velocity_trunk_in_trunk - truth)
    without_imu = np.abs(
        estimate_velocity(ROBOT, replace(motion, specific_force_imu_in_trunk=None)).velocity_trunk_in_trunk - truth
    )
    assert error[lost].max() < 0.03
    assert without_imu[lost].max() > 2 * error[lost].max()


def test_unloaded_feet_are_not_believed() -> None:
    """By foot force: FL and RR swing for half a second at a time, carrying nothing."""
    motion, truth = standing_motion()
    swinging = (motion.time_s % 1.0) >= 0.5
    rates, force = motion.joint_velocity.copy(), np.full((len(truth), 4), 300.0)
    force[swinging, 1], force[swinging, 2] = 20.0, 20.0
    force[~swinging, 0], force[~swinging, 3] = 20.0, 20.0
    rates[swinging, 3:9] += 5.0
    force += np.array([0.0, 50.0, -10.0, 200.0])  # offsets differ by foot and mean nothing
    estimate = estimate_velocity(ROBOT, replace(motion, joint_velocity=rates, foot_force=force))
    assert np.abs(estimate.velocity_trunk_in_trunk - truth).max() < 0.02


def test_a_force_that_never_changes_tells_nothing() -> None:
    motion, truth = standing_motion(2.0)
    estimate = estimate_velocity(ROBOT, motion)  # 100 counts on every foot, all the time
    np.testing.assert_array_equal(
        estimate.velocity_trunk_in_trunk, estimate_velocity(ROBOT, without_foot_force(motion)).velocity_trunk_in_trunk
    )
    assert np.abs(estimate.velocity_trunk_in_trunk - truth).max() < 0.01


def test_heading_does_not_matter() -> None:
    motion, _ = standing_motion(2.0)
    motion = without_foot_force(motion)
    turned = replace(motion, orientation_trunk_in_world=np.tile([np.cos(1.0), 0, 0, np.sin(1.0)], (200, 1)))
    np.testing.assert_allclose(
        estimate_velocity(ROBOT, turned).velocity_trunk_in_trunk,
        estimate_velocity(ROBOT, motion).velocity_trunk_in_trunk,
        atol=1e-9,
    )


def test_nan_rows_and_holes_lower_the_confidence_there_only() -> None:
    motion, truth = standing_motion()
    motion = without_foot_force(motion)
    broken = motion.joint_position.copy()
    broken[200:260] = np.nan
    estimate = estimate_velocity(ROBOT, replace(motion, joint_position=broken))
    assert np.isfinite(estimate.velocity_trunk_in_trunk).all()
    assert estimate.confidence[230] < 0.5 < estimate.confidence[150]
    kept = estimate.confidence > 0.5
    assert np.abs(estimate.velocity_trunk_in_trunk - truth)[kept].max() < 0.1


def test_longer_than_a_window_leaves_no_seam() -> None:
    motion, truth = standing_motion(3.0)
    long = Motion(np.arange(3000) / HZ, *[np.tile(values, (10, 1)) for values in signals(motion)])
    estimate = estimate_velocity(ROBOT, long)
    repeated = np.tile(truth, (10, 1))
    error = np.abs(estimate.velocity_trunk_in_trunk - repeated).max(axis=1)
    away_from_joins = np.ones(3000, dtype=bool)
    for join in range(300, 3000, 300):  # the sway itself jumps where its copies meet
        away_from_joins[join - 60 : join + 60] = False
    assert error[away_from_joins].max() < 0.03


def signals(motion: Motion) -> list[np.ndarray]:
    assert motion.specific_force_imu_in_trunk is not None
    return [
        motion.orientation_trunk_in_world,
        motion.angular_velocity_trunk_in_trunk,
        motion.joint_position,
        motion.joint_velocity,
        motion.specific_force_imu_in_trunk,
    ]


def test_time_must_increase() -> None:
    motion, _ = standing_motion(0.1)
    stamps = motion.time_s.copy()
    stamps[5] = stamps[4]
    with pytest.raises(VelocityError, match="1 steps back or repeated"):
        estimate_velocity(ROBOT, replace(motion, time_s=stamps))
    with pytest.raises(VelocityError, match="at least one sample"):
        estimate_velocity(ROBOT, Motion(*[values[:0] for values in (stamps, *signals(motion))]))


def test_error_report_by_hand() -> None:
    estimate = VelocityEstimate(
        velocity_trunk_in_trunk=np.array([[1.0, 0.0, 0.0], [2.0, 0.3, 0.0], [9.0, 9.0, 9.0]]),
        deviation_m_s=np.zeros(3),
        confidence=np.array([0.9, 0.7, 0.1]),
        accelerometer_bias=np.zeros(3),
    )
    truth = np.array([[1.0, 0.0, 0.0], [1.6, 0.0, 0.0], [0.0, 0.0, 0.0]])
    report = velocity_error_report(estimate, truth, minimum_confidence=0.5)
    assert report.rows == 2 and report.kept == pytest.approx(2 / 3)
    assert report.rms_error == pytest.approx((0.4 / np.sqrt(2), 0.3 / np.sqrt(2), 0.0))
    assert report.rms_error_horizontal == pytest.approx(0.5 / np.sqrt(2))
    assert report.bias == pytest.approx((0.2, 0.15, 0.0))
    assert report.slope_forward == pytest.approx((1.0 + 3.2) / (1.0 + 2.56))
    assert report.within_bound == pytest.approx(2 / 4)  # horizontal axes only
    assert report.mean_confidence == pytest.approx(0.8)
    with pytest.raises(VelocityError, match="at most 0.900"):
        velocity_error_report(estimate, truth, minimum_confidence=0.95, settings=VelocitySettings())
