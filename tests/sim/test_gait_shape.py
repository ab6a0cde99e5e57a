"""Measures of a gait's shape on motions whose answer is known by hand."""

import math

import numpy as np
import pytest

from sim.gait_quality import GaitRecord, GaitRecordError
from sim.gait_shape import apex_height, gait_shape, stride_frequency

STEP_S, FEET, RADIUS_M = 0.002, ("FR", "FL", "RR", "RL"), 0.022


def trot(
    frequency_hz: float, apex_m: float, trunk_m: float, ground_m: float = 0.0, duration_s: float = 6.0
) -> GaitRecord:
    """Half-sine swings, diagonals in turn; feet stand on ground of some height."""
    time_s = np.arange(round(duration_s / STEP_S)) * STEP_S
    wave = np.sin(2.0 * np.pi * frequency_hz * time_s)
    swing = apex_m * np.stack([wave, -wave, -wave, wave], axis=1)
    force = np.where(swing <= 0.0, 60.0, 0.0)
    feet = np.zeros((len(time_s), 4, 3))
    feet[:, :, 2] = ground_m + RADIUS_M + np.maximum(swing, 0.0)
    trunk = np.zeros((len(time_s), 3))
    trunk[:, 2] = ground_m + trunk_m + 0.005 * np.sin(4.0 * np.pi * frequency_hz * time_s)
    still = np.zeros((len(time_s), 12))
    return GaitRecord(STEP_S, FEET, 12.7, trunk, feet, force, still, still)


@pytest.mark.parametrize("frequency_hz", [1.5, 2.03, 2.5, 3.5])
@pytest.mark.parametrize(("apex_m", "trunk_m"), [(0.04, 0.24), (0.12, 0.32)])
def test_a_trot_is_measured_as_it_was_made(frequency_hz, apex_m, trunk_m):
    shape = gait_shape(trot(frequency_hz, apex_m, trunk_m, ground_m=0.3), RADIUS_M)
    assert shape.frequency_hz == pytest.approx(frequency_hz, abs=0.011)
    assert shape.apex_height_m == pytest.approx(apex_m, abs=1e-4)
    assert shape.trunk_height_m == pytest.approx(trunk_m, abs=1e-3)


def test_feet_that_rest_have_no_stride():
    shape = gait_shape(trot(2.5, 0.001, 0.28), RADIUS_M)
    assert math.isnan(shape.frequency_hz)
    assert math.isnan(shape.apex_height_m)
    assert shape.trunk_height_m == pytest.approx(0.28, abs=1e-3)


def test_brushing_contacts_do_not_double_the_frequency():
    """Touchdowns counted in the force would be twice as many; the feet's motion is the same."""
    record = trot(2.0, 0.08, 0.28)
    flutter = (np.arange(len(record.contact)) // 10) % 2 == 0
    force = np.where(record.contact & flutter[:, None], 60.0, 0.0)
    fluttering = GaitRecord(**{**vars(record), "foot_force_n": force})
    assert gait_shape(fluttering, RADIUS_M).frequency_hz == pytest.approx(2.0, abs=0.011)


def test_uneven_swings_give_their_median():
    """Three feet swing 0.05 m, one drags at 0.01 m: most strides reach 0.05 m."""
    wave = np.maximum(np.sin(2.0 * np.pi * 2.0 * np.arange(2000) * STEP_S), 0.0)
    above = wave[:, None] * np.array([0.05, 0.05, 0.05, 0.01])
    assert apex_height(above, 2.0, STEP_S) == pytest.approx(0.05, abs=1e-4)


def test_the_frequency_does_not_depend_on_where_the_feet_stand():
    height = trot(2.5, 0.08, 0.28).foot_position_in_world[:, :, 2]
    raised = height + np.array([0.0, 0.5, 1.0, -0.5])
    assert stride_frequency(raised, STEP_S) == stride_frequency(height, STEP_S)


def test_what_can_not_be_measured_is_refused():
    record = trot(2.5, 0.08, 0.28)
    force = record.foot_force_n.copy()
    force[:, 2] = 0.0
    with pytest.raises(GaitRecordError, match="carry load"):
        gait_shape(GaitRecord(**{**vars(record), "foot_force_n": force}), RADIUS_M)
    with pytest.raises(GaitRecordError, match="a stride"):
        apex_height(np.zeros((100, 4)), 1.5, STEP_S)
