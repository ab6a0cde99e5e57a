"""Starts and stops: each measure on a record whose answer is known by hand, and one recorded through the wire."""

import dataclasses
import math

import numpy as np
import pytest

from deploy.onboard.stillness import Stillness
from policy.bundle import BUNDLES, read_bundle
from sim.gait_quality import GaitRecordError
from sim.gait_record import GaitRecordingError
from sim.start_stop import StartStopRecord, start_stop
from sim.start_stop_record import record_start_stop

STEP_S, TICKS = 0.002, 10
START, STOP, STEPS = 50, 250, 400  # of policy steps: one second of standing, four of walking, three of standing


@pytest.fixture
def smooth() -> StartStopRecord:
    """At once at the commanded 0.5 m/s, at once at rest, level; targets move by 0.1 rad a step while it walks."""
    walking = np.zeros(STEPS, bool)
    walking[START:STOP] = True
    speed = np.repeat(np.where(walking, 0.5, 0.0), TICKS)
    target = np.cumsum(np.where(walking, 0.1, 0.0))[:, None] * np.ones(12)
    joint_velocity = np.repeat(np.where(walking, 5.0, 0.0), TICKS)[:, None] * np.ones(12)
    rows = STEPS * TICKS
    level = np.tile([1.0, 0.0, 0.0, 0.0], (rows, 1))
    still = np.zeros((rows, 3))
    return StartStopRecord(STEP_S, TICKS, START, STOP, 0.5, level, speed, still, joint_velocity, target)


def test_a_smooth_start_and_stop_by_hand(smooth):
    found = start_stop(smooth)
    assert (found.peak_tilt_rad, found.overshoot_m_s, found.time_to_rest_s) == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    assert found.target_jolt == pytest.approx(1.0)


def test_tilt_is_the_angle_of_the_trunk_to_the_vertical_whatever_its_heading(smooth):
    """0.3 rad about y for a moment, turned by 2 rad about z: w x y z of the product, by hand."""
    tilt, heading = 0.3, 2.0
    c, s, ch, sh = math.cos(tilt / 2), math.sin(tilt / 2), math.cos(heading / 2), math.sin(heading / 2)
    leaning = smooth.orientation_trunk_in_world.copy()
    leaning[1234] = [ch * c, -sh * s, ch * s, sh * c]
    found = start_stop(dataclasses.replace(smooth, orientation_trunk_in_world=leaning))
    assert found.peak_tilt_rad == pytest.approx(tilt)
    before_the_start = smooth.orientation_trunk_in_world.copy()
    before_the_start[100] = leaning[1234]
    assert start_stop(dataclasses.replace(smooth, orientation_trunk_in_world=before_the_start)).peak_tilt_rad == 0.0


@pytest.mark.parametrize(("step", "speed", "overshoot"), [(100, 0.7, 0.2), (300, -0.3, 0.3), (100, 0.4, 0.0)])
def test_overshoot_is_beyond_the_command_or_backwards_after_it_over_a_stride(smooth, step, speed, overshoot):
    """Held for a stride of 0.4 s; what comes and goes within one is its ripple: the same jump for 20 ms counts 5 %."""
    shifted = smooth.forward_velocity_m_s.copy()
    shifted[step * TICKS : step * TICKS + 200] = speed
    found = start_stop(dataclasses.replace(smooth, forward_velocity_m_s=shifted))
    assert found.overshoot_m_s == pytest.approx(overshoot)
    ripple = smooth.forward_velocity_m_s.copy()
    ripple[step * TICKS : step * TICKS + 10] = speed
    found = start_stop(dataclasses.replace(smooth, forward_velocity_m_s=ripple))
    assert found.overshoot_m_s == pytest.approx(overshoot / 20)


def test_rest_begins_when_the_robot_is_still_for_good(smooth):
    """Joints that still move after 0.9 s, and a turn of the trunk after 1.2 s, each beyond the runner's own limits."""
    joints = smooth.joint_velocity.copy()
    joints[STOP * TICKS : STOP * TICKS + 450] = 1.01 * Stillness().joint_velocity_rad_s
    moving = dataclasses.replace(smooth, joint_velocity=joints)
    assert start_stop(moving).time_to_rest_s == pytest.approx(0.9)
    turning = smooth.angular_velocity_trunk_in_trunk.copy()
    turning[STOP * TICKS + 599] = [0.0, 0.0, -1.01 * Stillness().angular_velocity_rad_s]
    assert start_stop(dataclasses.replace(moving, angular_velocity_trunk_in_trunk=turning)).time_to_rest_s == 1.2
    never = smooth.joint_velocity.copy()
    never[-1] = 5.0
    assert start_stop(dataclasses.replace(smooth, joint_velocity=never)).time_to_rest_s == math.inf


@pytest.mark.parametrize("step", [START, START + 20, STOP, STOP + 20])
def test_a_jolt_is_the_largest_change_of_a_target_beside_those_of_steady_walking(smooth, step):
    jolted = smooth.joint_target.copy()
    jolted[step:, 7] += 0.2  # on top of 0.1 while it walks, alone once it stands
    found = start_stop(dataclasses.replace(smooth, joint_target=jolted)).target_jolt
    assert found == pytest.approx(3.0 if step < STOP else 2.0)


def test_a_record_without_steady_walking_says_nothing(smooth):
    with pytest.raises(GaitRecordError, match="at least 2 s of walking"):
        dataclasses.replace(smooth, stop_step=START + 90)
    with pytest.raises(GaitRecordError, match="a rest behind the stop"):
        dataclasses.replace(smooth, stop_step=len(smooth.joint_target))
    with pytest.raises(GaitRecordError, match="4000 rows"):
        dataclasses.replace(smooth, forward_velocity_m_s=np.zeros(3))


def test_a_start_and_a_stop_are_recorded_through_the_wire():
    record = record_start_stop(read_bundle(BUNDLES / "go1_velocity.go1policy"), "nominal", walk_s=2.2, rest_s=1.8)
    assert (record.step_s, record.ticks_per_step) == (0.002, 10)
    assert (record.stop_step - record.start_step) * 0.02 == pytest.approx(2.2)
    speed = record.forward_velocity_m_s
    start, stop = record.start_step * 10, record.stop_step * 10
    assert abs(speed[:start]).max() < 0.1, "it stands before"
    assert speed[start + 500 : stop].mean() == pytest.approx(0.5, abs=0.1)
    assert abs(speed[-100:].mean()) < 0.05, "and after"
    found = start_stop(record)
    assert 0.0 < found.peak_tilt_rad < 0.5 and 0.0 < found.time_to_rest_s < 1.8 and 0.3 < found.target_jolt < 5.0


def test_a_robot_that_does_not_get_that_far_is_an_error(falling):
    with pytest.raises(GaitRecordingError, match="a start and a stop"):
        record_start_stop(read_bundle(falling), "nominal", walk_s=2.2, rest_s=1.0)
