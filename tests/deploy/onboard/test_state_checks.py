"""What one state says for itself: every limit just inside and just outside, every signal in its place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deploy.onboard.reasons import Reason
from deploy.onboard.state_checks import ConditionChecks, SignalRanges, signals
from deploy.onboard.wire import MOTOR_MODE_OVERHEATED, MOTOR_MODE_SERVO, RobotState
from robot_configs.robot import RobotModel, load_robot
from tests.deploy.onboard.motions import turned

StateMaker = Callable[..., RobotState]


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    """Held here so that the numbers below stay true when go1.yaml is tuned."""
    model = load_robot()
    return replace(
        model,
        safety=replace(
            model.safety,
            tilt_limit_rad=1.0,
            motor_temperature_limit_c=80.0,
            battery_soc_minimum_percent=5.0,
            quaternion_norm_tolerance=0.05,
        ),
        plausibility=replace(
            model.plausibility,
            joint_position_margin_rad=0.15,
            joint_velocity_factor=1.5,
            joint_torque_factor=1.25,
            angular_velocity_limit_rad_s=35.0,
            specific_force_limit_m_s2=400.0,
            motor_temperature_minimum_c=-30.0,
        ),
    )


class TestSignals:
    def test_every_signal_has_its_place(self, make_state: StateMaker) -> None:
        state = make_state(
            orientation_trunk_in_world=np.arange(0.0, 4.0),
            angular_velocity_trunk_in_trunk=np.arange(4.0, 7.0),
            accelerometer_trunk_in_trunk=np.arange(7.0, 10.0),
            joint_position=np.arange(10.0, 22.0),
            joint_velocity=np.arange(22.0, 34.0),
            joint_torque=np.arange(34.0, 46.0),
        )
        assert np.array_equal(signals(state), np.arange(46.0))

    def test_they_are_doubles_of_their_own(self, make_state: StateMaker) -> None:
        state = make_state()
        values = signals(state)
        assert values.dtype == np.float64
        values[:] = 99.0
        assert state.joint_position.max() < 99.0


# (place, bound, reason): hip, thigh, calf limits by hand: 1.047 + 0.15, 4.501 + 0.15, -0.837 + 0.15 and so on.
RANGES = [
    *[(place, bound, Reason.QUATERNION_NORM) for place in (0, 3) for bound in (1.05, -1.05)],
    *[(place, bound, Reason.IMU_RANGE) for place in (4, 6) for bound in (35.0, -35.0)],
    *[(place, bound, Reason.IMU_RANGE) for place in (7, 9) for bound in (400.0, -400.0)],
    *[(place, bound, Reason.JOINT_POSITION_RANGE) for place in (10, 19) for bound in (1.197, -1.197)],
    *[(place, bound, Reason.JOINT_POSITION_RANGE) for place in (11, 20) for bound in (4.651, -0.836)],
    *[(place, bound, Reason.JOINT_POSITION_RANGE) for place in (12, 21) for bound in (-0.687, -2.968)],
    *[(place, bound, Reason.JOINT_VELOCITY_RANGE) for place in (22, 32) for bound in (45.15, -45.15)],
    *[(place, bound, Reason.JOINT_VELOCITY_RANGE) for place in (24, 33) for bound in (30.09, -30.09)],
    *[(place, bound, Reason.JOINT_TORQUE_RANGE) for place in (34, 44) for bound in (29.625, -29.625)],
    *[(place, bound, Reason.JOINT_TORQUE_RANGE) for place in (36, 45) for bound in (44.4375, -44.4375)],
]


class TestRanges:
    @pytest.fixture
    def healthy(self, make_state: StateMaker) -> np.ndarray:
        return signals(make_state())

    @pytest.mark.parametrize(("place", "bound", "reason"), RANGES)
    def test_each_bound(self, robot: RobotModel, healthy: np.ndarray, place: int, bound: float, reason: Reason) -> None:
        ranges = SignalRanges(robot)
        outer = bound - robot.stand_position[place - 10] if 10 <= place < 22 else bound
        healthy[place] = bound - math.copysign(1e-9, outer)
        assert ranges.faults(healthy) == 0
        healthy[place] = bound + math.copysign(1e-9, outer)
        assert ranges.faults(healthy) == reason

    @pytest.mark.parametrize(("place", "bound"), [(4, 35.0), (5, -35.0), (8, 400.0), (9, -400.0)])
    def test_a_bound_itself_is_inside(self, robot: RobotModel, healthy: np.ndarray, place: int, bound: float) -> None:
        healthy[place] = bound
        assert SignalRanges(robot).faults(healthy) == 0
        healthy[place] = math.nextafter(bound, 2 * bound)
        assert SignalRanges(robot).faults(healthy) == Reason.IMU_RANGE

    @pytest.mark.parametrize("place", range(46))
    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_what_is_not_finite_is_named_so_wherever_it_is(
        self, robot: RobotModel, healthy: np.ndarray, place: int, value: float
    ) -> None:
        healthy[place] = value
        assert SignalRanges(robot).faults(healthy) == Reason.STATE_NOT_FINITE

    def test_several_at_once_are_all_named(self, robot: RobotModel, healthy: np.ndarray) -> None:
        healthy[[5, 11, 30, 40]] = 1e30
        assert SignalRanges(robot).faults(healthy) == (
            Reason.IMU_RANGE | Reason.JOINT_POSITION_RANGE | Reason.JOINT_VELOCITY_RANGE | Reason.JOINT_TORQUE_RANGE
        )


class TestCondition:
    @pytest.mark.parametrize(
        ("changes", "faults"),
        [
            ({}, 0),
            ({"orientation_trunk_in_world": turned(0.999, 0)}, 0),
            ({"orientation_trunk_in_world": turned(1.001, 0)}, Reason.TILT),
            ({"orientation_trunk_in_world": turned(-0.999, 1)}, 0),
            ({"orientation_trunk_in_world": turned(-1.001, 1)}, Reason.TILT),
            ({"orientation_trunk_in_world": turned(0.999, 0, 0.96)}, 0),
            ({"orientation_trunk_in_world": turned(1.001, 0, 1.04)}, Reason.TILT),
            ({"orientation_trunk_in_world": turned(0.999, 1, 1.04)}, 0),
            ({"orientation_trunk_in_world": turned(1.001, 1, 0.96)}, Reason.TILT),
            ({"orientation_trunk_in_world": turned(math.pi, 0)}, Reason.TILT),
            ({"orientation_trunk_in_world": turned(math.pi, 1)}, Reason.TILT),
            ({"orientation_trunk_in_world": turned(math.pi, 2)}, 0),  # facing backwards is no tilt
            ({"orientation_trunk_in_world": -turned(0.5, 2)}, 0),  # the same attitude with the other sign
            # Heading and tilt together: half a turn about z, then 0.999 and 1.001 rad about x.
            ({"orientation_trunk_in_world": np.array([0, 0, math.sin(0.4995), math.cos(0.4995)])}, 0),
            ({"orientation_trunk_in_world": np.array([0, 0, math.sin(0.5005), math.cos(0.5005)])}, Reason.TILT),
            ({"orientation_trunk_in_world": np.array([1.0499, 0, 0, 0])}, 0),
            ({"orientation_trunk_in_world": np.array([1.0501, 0, 0, 0])}, Reason.QUATERNION_NORM),
            ({"orientation_trunk_in_world": np.array([0.9501, 0, 0, 0])}, 0),
            ({"orientation_trunk_in_world": np.array([0.9499, 0, 0, 0])}, Reason.QUATERNION_NORM),
            ({"orientation_trunk_in_world": np.array([1.0, 0, 0, 0.33])}, Reason.QUATERNION_NORM),
            ({"orientation_trunk_in_world": np.zeros(4)}, Reason.QUATERNION_NORM),  # a firmware mismatch
            ({"joint_temperature": np.array([30] * 11 + [80], np.int8)}, 0),
            ({"joint_temperature": np.array([30] * 11 + [81], np.int8)}, Reason.MOTOR_HOT),
            ({"joint_temperature": np.array([-30] + [30] * 11, np.int8)}, 0),
            ({"joint_temperature": np.array([-31] + [30] * 11, np.int8)}, Reason.MOTOR_TEMPERATURE_RANGE),
            (
                {"joint_temperature": np.array([-128, 127] + [30] * 10, np.int8)},
                Reason.MOTOR_HOT | Reason.MOTOR_TEMPERATURE_RANGE,
            ),
            (
                {"joint_mode": np.array([MOTOR_MODE_SERVO] * 11 + [MOTOR_MODE_OVERHEATED], np.uint8)},
                Reason.MOTOR_HOT,
            ),
            ({"battery_soc_percent": 5}, 0),
            ({"battery_soc_percent": 4}, Reason.BATTERY_LOW),
            ({"battery_soc_percent": 100}, 0),
            ({"battery_soc_percent": 101}, Reason.BATTERY_RANGE),
            (
                {"battery_soc_percent": 0, "orientation_trunk_in_world": turned(2.0, 0)},
                Reason.TILT | Reason.BATTERY_LOW,
            ),
        ],
    )
    def test_each_limit(self, robot: RobotModel, make_state: StateMaker, changes: dict[str, Any], faults: int) -> None:
        assert ConditionChecks(robot).faults(make_state(**changes)) == faults

    @pytest.mark.parametrize(
        ("quaternion", "faults"),
        [
            ((1.25, 0, 0, 0), 0),
            ((math.nextafter(1.25, 2.0), 0, 0, 0), Reason.QUATERNION_NORM),
            ((0.75, 0, 0, 0), 0),
            ((math.nextafter(0.75, 0.0), 0, 0, 0), Reason.QUATERNION_NORM),
            ((1, 0, 0, 1e-9), 0),
            ((1, 1e-6, 0, 0), Reason.TILT),
        ],
    )
    def test_the_limits_of_the_attitude_themselves_are_allowed(
        self, robot: RobotModel, make_state: StateMaker, quaternion: tuple[float, ...], faults: int
    ) -> None:
        """Where nothing is rounded: a norm that may be wrong by a quarter, and level where no tilt is allowed."""
        strict = replace(robot, safety=replace(robot.safety, quaternion_norm_tolerance=0.25, tilt_limit_rad=0.0))
        state = make_state(orientation_trunk_in_world=np.array(quaternion, dtype=np.float64))
        assert ConditionChecks(strict).faults(state) == faults
