"""Measurements against the truth they are made from."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, List

import numpy as np
import pytest

from deploy.onboard.wire import RobotState
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.twin.sensors import SensorSuite

UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])
SERVO = np.full(12, 0x0A, dtype=np.uint8)


def _measure(suite: SensorSuite, generator: np.random.Generator, **changes: Any) -> RobotState:
    signals = {
        "tick_ms": 0,
        "orientation": UPRIGHT,
        "angular_velocity": np.zeros(3),
        "specific_force": np.zeros(3),
        "joint_position": np.zeros(12),
        "joint_velocity": np.zeros(12),
        "estimated_torque": np.zeros(12),
        "motor_mode": SERVO,
        "foot_force_n": np.zeros(4),
    }
    return suite.measure(generator, **{**signals, **changes})


def _many(condition: TwinCondition, robot: RobotModel, count: int) -> List[RobotState]:
    generator = np.random.default_rng(5)
    suite = SensorSuite(condition, robot)
    suite.reset(generator)
    return [_measure(suite, generator) for _ in range(count)]


def test_without_noise_the_truth_is_measured(quiet: TwinCondition, robot: RobotModel) -> None:
    generator = np.random.default_rng(0)
    suite = SensorSuite(quiet, robot)
    suite.reset(generator)
    half = math.radians(30.0) / 2
    state = _measure(
        suite,
        generator,
        tick_ms=42,
        orientation=np.array([math.cos(half), 0.0, math.sin(half), 0.0]),
        angular_velocity=np.array([1.0, 2.0, 3.0]),
        specific_force=np.array([0.0, 0.0, 9.81]),
        joint_position=np.arange(12.0),
        joint_velocity=-np.arange(12.0),
        estimated_torque=np.full(12, 2.0),
        foot_force_n=np.array([0.0, 10.0, 20.0, 1e6]),
    )
    assert state.tick_ms == 42
    np.testing.assert_allclose(state.orientation_trunk_in_world, [math.cos(half), 0.0, math.sin(half), 0.0])
    np.testing.assert_allclose(state.roll_pitch_yaw, [0.0, math.radians(30.0), 0.0], atol=1e-12)
    np.testing.assert_array_equal(state.angular_velocity_trunk_in_trunk, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(state.accelerometer_trunk_in_trunk, [0.0, 0.0, 9.81])
    np.testing.assert_array_equal(state.joint_position, np.arange(12.0))
    np.testing.assert_array_equal(state.joint_velocity, -np.arange(12.0))
    np.testing.assert_array_equal(state.joint_torque, np.full(12, 2.0))
    np.testing.assert_array_equal(state.joint_mode, SERVO)
    # Five counts to the newton, and the converter ends at 4095.
    np.testing.assert_array_equal(state.foot_force, [0, 50, 100, 4095])


def test_noise_has_the_spread_of_the_condition_and_bias_stays(robot: RobotModel) -> None:
    nominal = load_condition("nominal")
    states = _many(nominal, robot, 2000)
    gyro = np.array([state.angular_velocity_trunk_in_trunk for state in states])
    position = np.array([state.joint_position for state in states])
    roll_pitch_yaw = np.array([state.roll_pitch_yaw for state in states])
    np.testing.assert_allclose(gyro.std(axis=0), nominal.imu.gyro_noise_rad_s, rtol=0.1)
    np.testing.assert_allclose(position.std(axis=0), nominal.encoders.position_noise_rad, rtol=0.1)
    np.testing.assert_allclose(roll_pitch_yaw.std(axis=0), nominal.imu.orientation_noise_rad, rtol=0.1)
    # The mean over 2000 samples is the zero offset within 4 standard errors, and offsets are of their own spread.
    offsets = position.mean(axis=0)
    assert 0.3 * nominal.encoders.zero_offset_rad < offsets.std() < 2.0 * nominal.encoders.zero_offset_rad
    halves = position[:1000].mean(axis=0) - position[1000:].mean(axis=0)
    assert np.abs(halves).max() < 5.0 * nominal.encoders.position_noise_rad * math.sqrt(2 / 1000)


def test_noisy_quaternions_stay_of_unit_length(robot: RobotModel) -> None:
    for state in _many(load_condition("nominal"), robot, 20):
        assert np.linalg.norm(state.orientation_trunk_in_world) == pytest.approx(1.0, abs=1e-12)


def test_states_already_handed_out_do_not_change(robot: RobotModel) -> None:
    generator = np.random.default_rng(0)
    suite = SensorSuite(load_condition("nominal"), robot)
    suite.reset(generator)
    hard_work = {"estimated_torque": np.full(12, 20.0)}
    first = _measure(suite, generator, **hard_work)
    copies = {
        entry.name: np.copy(getattr(first, entry.name))
        for entry in dataclasses.fields(first)
        if isinstance(getattr(first, entry.name), np.ndarray)
    }
    for _ in range(5000):
        last = _measure(suite, generator, **hard_work)
    assert last.joint_temperature[0] > first.joint_temperature[0]
    for name, copy in copies.items():
        np.testing.assert_array_equal(getattr(first, name), copy, err_msg=name)


def test_motors_heat_by_their_copper_losses(quiet: TwinCondition, robot: RobotModel) -> None:
    power = dataclasses.replace(quiet.power, motor_thermal_resistance_k_w=100.0)
    suite = SensorSuite(dataclasses.replace(quiet, power=power), robot)
    generator = np.random.default_rng(0)
    suite.reset(generator)
    torque = np.zeros(12)
    torque[4] = 20.0
    for _ in range(10 * robot.link_hz):
        state = _measure(suite, generator, estimated_torque=torque)
    # 0.15 W/Nm^2 x 400 Nm^2 = 60 W for 10 s into 300 J/K: 2 K, cooling aside (100 K/W: 0.003 K).
    assert state.joint_temperature[4] == int(quiet.power.ambient_temperature_c + 1.99)
    assert state.joint_temperature[5] == quiet.power.ambient_temperature_c


def test_the_battery_empties_by_the_energy_drawn(quiet: TwinCondition, robot: RobotModel) -> None:
    power = dataclasses.replace(quiet.power, start_soc_percent=100.0, capacity_wh=1.0, idle_power_w=3.8)
    suite = SensorSuite(dataclasses.replace(quiet, power=power), robot)
    generator = np.random.default_rng(0)
    suite.reset(generator)
    first = _measure(suite, generator)
    assert (first.battery_soc_percent, int(first.battery_cell_mv[0])) == (100, 4200)
    # 12 x 3 Nm x 5 rad/s = 180 W of work, 12 x 0.15 x 9 = 16.2 W of heat, 3.8 W idle: 200 W, in 10 s 55.6 % of 3600 J.
    for _ in range(10 * robot.link_hz - 1):
        state = _measure(suite, generator, estimated_torque=np.full(12, 3.0), joint_velocity=np.full(12, 5.0))
    assert state.battery_soc_percent == 44
    expected_cell_v = 3.4 + (1.0 - 2000 / 3600) * 0.8
    assert state.battery_cell_mv[0] == pytest.approx(1000 * expected_cell_v, abs=2)
    assert state.battery_current_ma == pytest.approx(-1000 * 200.0 / (6 * expected_cell_v), rel=0.01)


def test_an_empty_battery_stays_at_zero(quiet: TwinCondition, robot: RobotModel) -> None:
    power = dataclasses.replace(quiet.power, start_soc_percent=0.0)
    suite = SensorSuite(dataclasses.replace(quiet, power=power), robot)
    generator = np.random.default_rng(0)
    suite.reset(generator)
    for _ in range(100):
        state = _measure(suite, generator)
    assert state.battery_soc_percent == 0
    assert state.battery_cell_mv[0] == 3400


def test_a_measured_state_would_pass_the_checks_that_it_was_spared(robot: RobotModel) -> None:
    (state,) = _many(load_condition("nominal"), robot, 1)
    assert set(vars(state)) == {entry.name for entry in dataclasses.fields(RobotState)}
    dataclasses.replace(state)
