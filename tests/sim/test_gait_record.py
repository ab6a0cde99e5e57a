"""Recording a walk through the wire: what is recorded is the twin's truth, at the link's rate, while it walks."""

from pathlib import Path

import numpy as np
import pytest

from policy.bundle import Bundle, read_bundle
from robot_configs.robot import GRAVITY_M_S2, load_robot
from robot_configs.twin_conditions import load_condition
from sim.gait_quality import gait_quality
from sim.gait_record import GaitRecordingError, ground_normal, record_gait

BUNDLE = Path(__file__).resolve().parents[2] / "policy/bundles/go1_velocity.go1policy"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(BUNDLE)


def test_a_walk_is_recorded_at_the_links_rate(bundle):
    robot = load_robot()
    record = record_gait(bundle, "nominal", "vx=0.6,vy=0,yaw=0", walk_s=2.0, skip_s=1.0)
    assert record.step_s == pytest.approx(0.002)
    assert record.duration_s == pytest.approx(1.0, abs=0.04)
    walked = record.position_trunk_in_world[-1, 0] - record.position_trunk_in_world[0, 0]
    assert 0.4 < walked < 0.8
    weight = robot.total_mass_kg * GRAVITY_M_S2
    assert record.foot_force_n.sum(axis=1).mean() == pytest.approx(weight, rel=0.15)
    # A loaded foot's centre is its radius above the floor.
    loaded_height = record.foot_position_in_world[:, :, 2][record.contact]
    assert np.median(loaded_height) == pytest.approx(robot.geometry.foot_radius, abs=0.003)
    quality = gait_quality(record)
    assert all(0.3 < duty < 0.9 for duty in quality.duty_factor)
    assert quality.step_rate_hz > 4.0


def test_the_floors_normal_by_hand():
    """A slope of 10 degrees that rises along x leans back by as much."""
    slope = load_condition("slope").ground
    angle = slope.slope_rad
    np.testing.assert_allclose(ground_normal(slope), [-np.sin(angle), 0.0, np.cos(angle)], atol=1e-12)
    np.testing.assert_allclose(ground_normal(load_condition("nominal").ground), [0.0, 0.0, 1.0])


def test_on_a_slope_the_feet_bear_what_presses_on_it(bundle):
    """Standing: m g cos(10 degrees). The vertical force is m g, 1.5 % more, friction included."""
    record = record_gait(bundle, "slope", "vx=0,vy=0,yaw=0", walk_s=1.2, skip_s=0.6)
    weight = load_robot().total_mass_kg * GRAVITY_M_S2
    angle = load_condition("slope").ground.slope_rad
    assert record.foot_force_n.sum(axis=1).mean() == pytest.approx(weight * np.cos(angle), rel=0.007)


def test_a_session_that_ends_before_it_walks_is_an_error(bundle, monkeypatch: pytest.MonkeyPatch):
    class Summary:
        faults = ("tilt",)

    monkeypatch.setattr("sim.gait_record.run_session", lambda *args, **settings: Summary())
    with pytest.raises(GaitRecordingError, match="most of 2 s of walking") as caught:
        record_gait(bundle, "nominal", "vx=0,vy=0,yaw=0", walk_s=3.0, skip_s=1.0)
    assert "tilt" in caught.value.found
