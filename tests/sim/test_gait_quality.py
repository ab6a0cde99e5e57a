"""The gait measures, each on signals whose answer is known by hand."""

import dataclasses

import numpy as np
import pytest

from sim.gait_quality import (
    GaitRecord,
    GaitRecordError,
    gait_quality,
    left_right_asymmetry,
    torque_ripple,
    torque_spectrum,
    touchdowns,
)

FEET = ("FR", "FL", "RR", "RL")
STEP_S, ROWS = 0.002, 1000  # two seconds at the link's rate
MASS_KG = 12.743
WEIGHT_N = MASS_KG * 9.81


@pytest.fixture
def trot() -> GaitRecord:
    """2.5 Hz, diagonals in turn, 1 m/s; feet stand still while loaded, a quarter of the weight over at touchdown."""
    time_s = np.arange(ROWS) * STEP_S
    first = (np.arange(ROWS) // 100) % 2 == 0
    loaded = np.stack([first, ~first, ~first, first], axis=1)
    force = np.where(loaded, 0.5 * WEIGHT_N, 0.0)
    position = np.stack([time_s, 0 * time_s, 0.28 + 0 * time_s], axis=1)
    feet = np.zeros((ROWS, 4, 3))
    feet[:, :, 2] = 0.022
    # Whole steps of 0.4 m once a cycle: a foot advances while it swings.
    swing = np.where(loaded, 0.0, 2.0 * STEP_S)
    feet[:, :, 0] = np.cumsum(swing, axis=0)
    torque = np.ones((ROWS, 12))
    return GaitRecord(STEP_S, FEET, MASS_KG, position, feet, force, np.zeros((ROWS, 12)), torque)


def test_a_clean_trot_by_hand(trot):
    quality = gait_quality(trot)
    assert quality.duty_factor == (0.5, 0.5, 0.5, 0.5)
    assert quality.left_right_asymmetry == 0.0
    # Five cycles of four steps; the two feet that begin loaded have no touchdown in their first.
    assert quality.step_rate_hz == pytest.approx((5 * 4 - 2) / 2.0)
    assert quality.drag == pytest.approx(0.0, abs=1e-9)
    assert quality.stamp == pytest.approx(0.5)
    assert quality.torque_ripple == pytest.approx(0.0, abs=1e-9)
    assert quality.joint_motion_rad_s == 0.0


def test_a_limp_shows_in_the_pair_that_limps():
    """Right rear 0.4, left rear 0.6: 0.2 over the mean of 0.5; the front pair is even."""
    duty = dict(zip(FEET, (0.5, 0.5, 0.4, 0.6), strict=True))
    for order in (FEET, ("FL", "FR", "RL", "RR")):
        assert left_right_asymmetry(np.array([duty[name] for name in order]), order) == pytest.approx(0.4)
    assert left_right_asymmetry(np.zeros(4), FEET) == 0.0


def test_dragging_is_the_way_of_loaded_feet_over_the_way_of_all(trot):
    """One foot slides at 0.1 m/s whenever it is loaded, half of the time: 0.1 m beside the four's 2 m each."""
    feet = trot.foot_position_in_world.copy()
    feet[:, 0, 1] += np.cumsum(np.where(trot.contact[:, 0], 0.1 * STEP_S, 0.0))
    found = gait_quality(dataclasses.replace(trot, foot_position_in_world=feet)).drag
    assert found == pytest.approx(0.1 / (4 * 2.0 + 0.1), rel=0.02)


def test_feet_that_rest_have_no_drag(trot):
    still = dataclasses.replace(trot, foot_position_in_world=np.zeros((ROWS, 4, 3)))
    assert np.isnan(gait_quality(still).drag)


def test_stamping_is_the_peak_after_touchdown_and_not_a_later_one(trot):
    """Peaks of 1.5 weights 10 ms after each touchdown, and of 3 weights after 100 ms, which is no stamp."""
    force = trot.foot_force_n.copy()
    for row, foot in touchdowns(trot.contact, trot.step_s):
        force[row + 5, foot] = 1.5 * WEIGHT_N
        if row + 50 < ROWS:
            force[row + 50, foot] = 3.0 * WEIGHT_N
    assert gait_quality(dataclasses.replace(trot, foot_force_n=force)).stamp == pytest.approx(1.5)


@pytest.mark.parametrize(("step_s", "expected"), [(0.02, [[2, 0], [5, 0]]), (0.01, [[2, 0]]), (0.007, [])])
def test_touchdowns_by_hand(step_s, expected):
    """A step takes 20 ms in the air at least: one row, two, or three (of which the record must know)."""
    contact = np.zeros((6, 4), dtype=bool)
    contact[2:4, 0] = contact[5, 0] = contact[0:3, 3] = True
    assert touchdowns(contact, step_s).tolist() == expected


def test_the_spectrum_adds_up_to_the_variance():
    torque = np.random.default_rng(0).standard_normal((ROWS, 12)) * np.arange(1, 13)
    for rows in (ROWS, ROWS - 1):
        _, power = torque_spectrum(torque[:rows], STEP_S)
        np.testing.assert_allclose(power.sum(axis=0), torque[:rows].var(axis=0))


def test_ripple_is_the_share_above_15_hz():
    """3 Nm at 2.5 Hz and 4 Nm at 40 Hz on all joints: rms of 4 over the rms of both, 4/5; a mean counts as well."""
    time_s = np.arange(ROWS) * STEP_S
    slow, fast = (amplitude * np.sin(2 * np.pi * hz * time_s) for amplitude, hz in ((3.0, 2.5), (4.0, 40.0)))
    assert torque_ripple(np.tile((slow + fast)[:, None], 12), STEP_S) == pytest.approx(0.8)
    assert torque_ripple(np.tile(slow[:, None], 12), STEP_S) == pytest.approx(0.0, abs=1e-9)
    # 12.5 of variance and 12.5 of squared mean.
    with_mean = np.tile((slow + fast + np.sqrt(12.5))[:, None], 12)
    assert torque_ripple(with_mean, STEP_S) == pytest.approx(0.8 / np.sqrt(2.0))
    assert torque_ripple(np.zeros((ROWS, 12)), STEP_S) == 0.0


def test_standing_motion_is_the_rms_of_all_joints(trot):
    velocity = np.zeros((ROWS, 12))
    velocity[:, :3] = 2.0  # a quarter of the joints
    assert gait_quality(dataclasses.replace(trot, joint_velocity=velocity)).joint_motion_rad_s == pytest.approx(1.0)


def test_a_record_is_whole(trot):
    with pytest.raises(GaitRecordError, match="three rows"):
        dataclasses.replace(trot, joint_torque=np.ones((ROWS - 1, 12)))
