"""The whole twin against mechanics one can work out by hand, and its promises: determinism, standing, rescue."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Callable, List

import numpy as np
import pytest

from deploy.onboard.remote import Key, decode_remote
from deploy.onboard.wire import JointCommand, RobotState, encode_low_state
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition, condition_names, load_condition
from sim.twin.body import TwinBody
from sim.twin.motor import MotorCommandError

GRAVITY = 9.81
Act = Callable[..., Any]


def _packets(states: List[RobotState]) -> List[bytes]:
    return [encode_low_state(state) for state in states]


def _swing(robot: RobotModel, tick: int) -> JointCommand:
    return JointCommand.servo(robot.stand_position + 0.3 * math.sin(0.02 * tick), 40.0, 1.0)


def test_contact_forces_carry_the_weight(quiet: TwinCondition, robot: RobotModel, stand_up: Act) -> None:
    body = TwinBody(quiet, seed=0)
    stand_up(body, 1.5)
    force = body.truth.foot_contact_force_in_world.sum(axis=0)
    np.testing.assert_allclose(force, [0.0, 0.0, robot.total_mass_kg * GRAVITY], atol=0.5)
    assert (body.truth.foot_contact_force_in_world[:, 2] > 15.0).all()


def test_a_payload_is_carried_by_the_feet_as_well(quiet: TwinCondition, robot: RobotModel, stand_up: Act) -> None:
    body = TwinBody(dataclasses.replace(quiet, payload=load_condition("payload").payload), seed=0)
    stand_up(body, 1.5)
    force = body.truth.foot_contact_force_in_world
    assert force[:, 2].sum() == pytest.approx((robot.total_mass_kg + 4.0) * GRAVITY, abs=0.7)
    assert force[2:, 2].sum() > force[:2, 2].sum()  # it sits behind the middle: RR and RL carry more


def test_free_fall(quiet: TwinCondition, put_in_air: Act) -> None:
    body = TwinBody(quiet, seed=0)
    put_in_air(body)
    for _ in range(50):
        state = body.step(None)
    truth = body.truth
    # 100 steps of semi-implicit Euler: v = -g t, z = z0 - g dt^2 n (n + 1) / 2.
    np.testing.assert_allclose(truth.linear_velocity_trunk_in_trunk, [0.0, 0.0, -GRAVITY * 0.1], atol=1e-6)
    assert truth.position_trunk_in_world[2] == pytest.approx(5.0 - GRAVITY * 1e-6 * 100 * 101 / 2, abs=1e-6)
    np.testing.assert_allclose(state.accelerometer_trunk_in_trunk, 0.0, atol=1e-6)
    assert not truth.foot_contact_force_in_world.any()


def test_a_resting_accelerometer_reads_plus_g(quiet: TwinCondition, stand_up: Act) -> None:
    body = TwinBody(quiet, seed=0)
    stand_up(body, 1.5)
    accelerometer = body.step(None).accelerometer_trunk_in_trunk
    assert np.linalg.norm(accelerometer) == pytest.approx(GRAVITY, abs=0.05)
    assert accelerometer[2] > 9.7


def test_linear_velocity_is_in_the_trunk_frame(quiet: TwinCondition) -> None:
    body = TwinBody(quiet, seed=0)
    half = math.pi / 4  # yawed by 90 degrees to the left, the world's +y is ahead
    body.data.qpos[3:7] = [math.cos(half), 0.0, 0.0, math.sin(half)]
    body.data.qvel[:3] = [0.0, 2.0, 0.5]
    np.testing.assert_allclose(body.truth.linear_velocity_trunk_in_trunk, [2.0, 0.0, 0.5], atol=1e-12)


def test_a_step_of_the_target_gives_the_torque_of_the_pd_law(quiet: TwinCondition, put_in_air: Act) -> None:
    body = TwinBody(quiet, seed=0)
    put_in_air(body)
    before = body.truth.joint_position
    target = before + np.linspace(0.05, 0.16, 12)
    body.step(JointCommand.servo(target, 20.0, 0.0))
    # Kp (q* - q); the torque is that of the tick's second millisecond, when the joints have moved by 1e-3 rad at most.
    np.testing.assert_allclose(body.truth.joint_torque, 20.0 * (target - before), rtol=0.02)


def test_same_seed_and_commands_give_the_same_bytes(robot: RobotModel) -> None:
    condition = load_condition("rough")

    def play(body: TwinBody) -> List[bytes]:
        return _packets([body.step(_swing(robot, tick)) for tick in range(300)])

    body = TwinBody(condition, seed=7)
    first = play(body)
    assert play(TwinBody(condition, seed=7)) == first
    body.reset(7)
    assert play(body) == first
    body.reset(8)
    assert play(body) != first


def test_clock_and_tick_advance_by_two_milliseconds(quiet: TwinCondition) -> None:
    body = TwinBody(quiet, seed=0)
    assert [body.step(None).tick_ms for _ in range(3)] == [2, 4, 6]
    assert body.truth.time_s == pytest.approx(0.006)
    assert body.reset(0).tick_ms == 0


def test_reset_leaves_it_folded_upright_and_at_rest(robot: RobotModel, uprightness: Act) -> None:
    for name in condition_names():
        condition = load_condition(name)
        body = TwinBody(condition, seed=3)
        truth = body.truth
        assert uprightness(body) > math.cos(0.15 + abs(condition.ground.slope_rad)), name
        assert np.abs(truth.joint_velocity).max() < 0.1, name
        assert truth.position_trunk_in_world[2] < 0.13, name
        assert np.hypot(*truth.position_trunk_in_world[:2]) < 0.05, name


@pytest.mark.parametrize("name", condition_names())
def test_it_stands_up_in_every_condition(name: str, robot: RobotModel, stand_up: Act, uprightness: Act) -> None:
    condition = load_condition(name)
    body = TwinBody(condition, seed=1)
    stand_up(body, 2.0)
    assert uprightness(body) > math.cos(0.15 + abs(condition.ground.slope_rad))
    assert body.truth.position_trunk_in_world[2] > 0.16
    assert np.abs(body.truth.joint_position - robot.stand_position).max() < 0.25


@pytest.mark.parametrize("slope_rad", [0.15, -0.15])
def test_it_stands_up_on_a_slope(quiet: TwinCondition, stand_up: Act, slope_rad: float) -> None:
    ground = dataclasses.replace(quiet.ground, slope_rad=slope_rad)
    body = TwinBody(dataclasses.replace(quiet, ground=ground), seed=1)
    stand_up(body, 1.0)
    pitch = body.step(None).roll_pitch_yaw[1]
    assert pitch == pytest.approx(-slope_rad, abs=0.06)  # uphill, the nose points up: negative about +y


def test_the_mattress_yields_far_more_than_firm_ground(robot: RobotModel, stand_up: Act) -> None:
    height = {}
    for name in ("nominal", "mattress"):
        body = TwinBody(load_condition(name), seed=1)
        stand_up(body, 2.0)
        height[name] = body.truth.position_trunk_in_world[2]
    assert 0.03 < height["nominal"] - height["mattress"] < 0.06


def test_without_commands_the_last_one_acts_for_ever(quiet: TwinCondition, robot: RobotModel, stand_up: Act) -> None:
    body = TwinBody(quiet, seed=0)
    stand_up(body, 4.0)
    assert body.truth.position_trunk_in_world[2] > 0.25


def test_a_broken_command_does_not_advance_time(quiet: TwinCondition, robot: RobotModel) -> None:
    body = TwinBody(quiet, seed=0)
    broken = JointCommand.servo(np.full(12, np.nan), 20.0, 0.5)
    with pytest.raises(MotorCommandError):
        body.step(broken)
    assert body.time_s == 0.0


def test_mechanical_power_counts_only_work_that_is_done(quiet: TwinCondition, put_in_air: Act) -> None:
    body = TwinBody(quiet, seed=0)
    put_in_air(body)
    body.data.qvel[6:18] = 1.0
    body.step(None)  # braking: every torque works against its motion
    assert (body.truth.joint_torque * body.truth.joint_velocity < 0.0).all()
    assert body.truth.mechanical_power_w == 0.0


def _tip_over(body: TwinBody) -> None:
    body.data.qpos[:7] = [1.0, 0.0, 0.15, math.cos(math.pi / 2), math.sin(math.pi / 2), 0.0, 0.0]
    body.data.qvel[:] = 0.0


def test_the_handler_sets_a_tipped_robot_upright_after_a_second(quiet: TwinCondition, uprightness: Act) -> None:
    body = TwinBody(quiet, seed=0, rescue=True)
    _tip_over(body)
    for _ in range(450):
        body.step(None)
    assert body.rescues == 0
    for _ in range(150):
        state = body.step(None)
    assert body.rescues == 1
    assert uprightness(body) > 0.99
    assert np.hypot(*body.truth.position_trunk_in_world[:2]) < 0.1
    assert state.tick_ms == 1200  # the tick has run on


def test_nobody_comes_without_a_handler(quiet: TwinCondition, uprightness: Act) -> None:
    body = TwinBody(quiet, seed=0)
    _tip_over(body)
    for _ in range(800):
        body.step(None)
    assert (body.rescues, uprightness(body) < 0.0) == (0, True)


def test_a_limp_robot_is_carried_home_once_and_then_left_alone(quiet: TwinCondition) -> None:
    body = TwinBody(quiet, seed=0, rescue=True)
    body.data.qpos[0] += 2.0
    for _ in range(1600):
        body.step(None)
    assert body.rescues == 1
    assert abs(body.truth.position_trunk_in_world[0]) < 0.1


def test_a_standing_robot_is_left_where_it_is(quiet: TwinCondition, stand_up: Act) -> None:
    body = TwinBody(quiet, seed=0, rescue=True)
    body.data.qpos[0] += 2.0
    stand_up(body, 1.5)
    assert body.rescues == 0
    assert body.truth.position_trunk_in_world[0] > 1.9


def test_pushes_come_at_their_mean_interval_and_speed(quiet: TwinCondition, put_in_air: Act) -> None:
    disturbance = dataclasses.replace(quiet.disturbance, push_interval_s=0.5, push_speed_m_s=0.7)
    body = TwinBody(dataclasses.replace(quiet, disturbance=disturbance), seed=2)
    put_in_air(body)
    body.data.qpos[2] = 4000.0  # falls for 20 s without ever landing
    pushes, velocity = [], body.data.qvel[:2].copy()
    for _ in range(10_000):
        body.step(None)
        change = np.linalg.norm(body.data.qvel[:2] - velocity)
        velocity = body.data.qvel[:2].copy()
        if change > 0.1:
            pushes.append(change)
    np.testing.assert_allclose(pushes, 0.7, atol=0.05)
    assert 20 < len(pushes) < 60  # 40 expected, less what falls together within the 0.1 s between two looks


def test_without_an_interval_nobody_pushes(quiet: TwinCondition, put_in_air: Act) -> None:
    body = TwinBody(quiet, seed=2)
    put_in_air(body)
    for _ in range(300):
        body.step(None)
    assert np.abs(body.data.qvel[:2]).max() < 1e-9


def test_the_remote_is_forwarded_until_it_is_let_go(quiet: TwinCondition) -> None:
    body = TwinBody(quiet, seed=0)
    body.press({Key.L2, Key.B}, ly=0.5)
    remote = decode_remote(body.step(None).remote)
    assert (remote.keys, remote.ly) == (frozenset({Key.L2, Key.B}), 0.5)
    body.press()
    assert body.step(None).remote == bytes(40)


def test_foot_sensors_count_the_load(quiet: TwinCondition, stand_up: Act) -> None:
    body = TwinBody(quiet, seed=0)
    stand_up(body, 1.5)
    state = body.step(None)
    normal = body.truth.foot_contact_force_in_world[:, 2]
    np.testing.assert_allclose(state.foot_force, 5.0 * normal, atol=3.0)
