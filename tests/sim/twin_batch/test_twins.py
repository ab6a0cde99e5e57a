"""A batch of twins against single twins: the same motion, the same errors of the sensors; falls, pushes, resets."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from deploy.onboard.wire import MOTOR_MODE_SERVO, JointCommand
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.twin.body import TwinBody
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.twins import TwinBatch

ROBOT = load_robot()
GAINS = np.full(12, 20.0), np.full(12, 0.5)


def changed(condition: TwinCondition, **sections: Mapping[str, Any]) -> TwinCondition:
    """The condition with some values of some sections replaced."""
    return dataclasses.replace(
        condition,
        **{name: dataclasses.replace(getattr(condition, name), **values) for name, values in sections.items()},
    )


def without_noise(condition: TwinCondition) -> TwinCondition:
    imu = {"gyro_noise_rad_s": 0.0, "orientation_noise_rad": 0.0, "accelerometer_noise_m_s2": 0.0}
    encoders = {"position_noise_rad": 0.0, "velocity_noise_rad_s": 0.0}
    return changed(condition, imu=imu, encoders=encoders, foot_force={"noise_counts": 0.0})


@pytest.fixture(scope="module")
def nominal() -> TwinBatch:
    return TwinBatch(without_noise(load_condition("nominal")), (3, 4), threads=1)


def stand_again(twins: TwinBatch) -> TwinBatch:
    twins.reset(np.arange(twins.count))
    return twins


@pytest.mark.parametrize("condition", ["nominal", "mattress", "latex", "weak_motor", "payload"])
def test_the_motion_of_one_robot_is_the_twins_step_by_step(condition):
    """Both from the batch's stand, through 40 policy steps of targets that shake the robot: equal to the last bit."""
    loaded = load_condition(condition)
    batch, twin = TwinBatch(loaded, (5,), threads=1), TwinBody(loaded, 5)
    _put(twin, batch)
    random = np.random.default_rng(2)
    for _ in range(40):
        target = ROBOT.stand_position + random.normal(0.0, 0.25, 12)
        fell = batch.step(target[np.newaxis], *GAINS).fell[0]
        upright = []
        for _ in range(10):
            twin.step(JointCommand(np.full(12, MOTOR_MODE_SERVO, np.uint8), target, ZEROS, ZEROS, *GAINS))
            _, x, y, _ = twin.truth.orientation_trunk_in_world
            upright.append(1.0 - 2.0 * (x * x + y * y))
        mine, theirs = batch.truth, twin.truth
        for field in dataclasses.fields(mine):
            np.testing.assert_allclose(
                getattr(mine, field.name)[0], getattr(theirs, field.name), rtol=0, atol=1e-12, err_msg=field.name
            )
        assert fell == (min(upright) < math.cos(ROBOT.safety.tilt_limit_rad))


ZEROS = np.zeros(12)


def _put(twin: TwinBody, batch: TwinBatch) -> None:
    """The twin where the batch's robot stands, its motors holding the same command."""
    hold = JointCommand(
        np.full(12, MOTOR_MODE_SERVO, np.uint8),
        ROBOT.stand_position,
        ZEROS,
        ZEROS,
        np.full(12, ROBOT.stand.stiffness),
        np.full(12, ROBOT.stand.damping),
    )
    for _ in range(50):
        twin.step(hold)
    mujoco_state = batch._simulations._grounds[0].views
    twin.data.qpos[:], twin.data.qvel[:] = mujoco_state["qpos"][0], mujoco_state["qvel"][0]
    twin.data.qacc_warmstart[:] = mujoco_state["qacc_warmstart"][0]
    twin.data.geom_xpos[:] = mujoco_state["geom_xpos"][0]


def test_sensors_are_biased_as_those_of_the_twin_of_the_same_seed(nominal):
    stand_again(nominal)
    states, truth = nominal.measure(), nominal.truth
    for row, seed in enumerate((3, 4)):
        twin = TwinBody(nominal.condition, seed)
        theirs = twin.step()
        np.testing.assert_allclose(
            states[row].joint_position - truth.joint_position[row],
            theirs.joint_position - twin.truth.joint_position,
            atol=1e-12,
        )
        np.testing.assert_allclose(
            states[row].angular_velocity_trunk_in_trunk - truth.angular_velocity_trunk_in_trunk[row],
            theirs.angular_velocity_trunk_in_trunk - twin.truth.angular_velocity_trunk_in_trunk,
            atol=1e-12,
        )


def test_noise_is_drawn_at_every_look():
    twins = TwinBatch(load_condition("nominal"), (1,), threads=1)
    first = np.stack([twins.measure()[0].joint_velocity for _ in range(200)])
    assert first.std(axis=0).mean() == pytest.approx(0.1, rel=0.1)  # rad/s, nominal.yaml


def test_robots_stand_on_their_feet(nominal):
    """Still, the trunk at the height of the stand: 0.213 m (cos 0.9 + cos 0.9) and a foot, less the motors' sag."""
    truth = stand_again(nominal).truth
    assert (np.abs(truth.linear_velocity_trunk_in_trunk) < 0.05).all()
    np.testing.assert_allclose(truth.position_trunk_in_world[:, 2], 0.27, atol=0.02)


def test_a_reset_robot_stands_as_it_first_stood_and_the_other_goes_on(nominal):
    before = stand_again(nominal).truth
    for _ in range(5):
        nominal.step(np.tile(ROBOT.sit_position, (2, 1)), *GAINS)
    moved = nominal.truth
    nominal.reset(np.array([1]))
    after = nominal.truth
    np.testing.assert_array_equal(after.joint_position[1], before.joint_position[1])
    np.testing.assert_array_equal(after.joint_position[0], moved.joint_position[0])
    # The command of before must not reach the robot that stands anew: it acts 2 ms after it was given.
    stand = np.stack([ROBOT.sit_position, ROBOT.stand_position])
    hold = np.full(12, ROBOT.stand.stiffness), np.full(12, ROBOT.stand.damping)
    nominal.step(stand, *hold)
    assert np.abs(nominal.truth.joint_velocity[1]).max() < 0.5


def test_on_ground_that_drags_every_reset_is_like_the_one_before():
    """The drag reads where the feet are, which the physics' state does not hold: it must not be where they were."""
    twins = TwinBatch(load_condition("latex"), (5, 6), threads=1)
    kicks = np.random.default_rng(3).normal(ROBOT.stand_position, 0.3, (2, 12))

    def walk() -> np.ndarray:
        twins.reset(np.array([0, 1]))
        for _ in range(5):
            twins.step(kicks, *GAINS)
        return twins.truth.joint_position

    first = walk()
    for _ in range(20):
        twins.step(-kicks, *GAINS)
    np.testing.assert_array_equal(walk(), first)


def test_a_retired_robot_is_not_stepped_until_it_is_reset(nominal):
    stand_again(nominal).retire(np.array([0]))
    before = nominal.truth.joint_position
    nominal.step(np.tile(ROBOT.sit_position, (2, 1)), *GAINS)
    still = (nominal.truth.joint_position == before).all(axis=1)
    assert still.tolist() == [True, False]
    stand_again(nominal).step(np.tile(ROBOT.sit_position, (2, 1)), *GAINS)
    assert (nominal.truth.joint_position != before).any(axis=1).all()


def test_a_fall_is_a_tilt_beyond_the_limit(nominal):
    """Left legs folded, right legs stretched: over it goes, once; the robot that stands does not."""
    stand_again(nominal)
    tipping = ROBOT.stand_position.copy()
    for index, name in enumerate(ROBOT.joint_names):
        left = name[1] == "L"
        tipping[index] = {"hip": 0.0, "thigh": 1.8 if left else 0.2, "calf": -2.6 if left else -0.9}[name[3:]]
    hold = np.full(12, ROBOT.stand.stiffness), np.full(12, ROBOT.stand.damping)
    fell = np.zeros(2, dtype=bool)
    for _ in range(60):
        fell |= nominal.step(np.stack([ROBOT.stand_position, tipping]), *hold).fell
    assert fell.tolist() == [False, True]


def test_the_mean_torque_is_the_motors_own_estimate():
    """A weak leg delivers 55 %, and does not know it."""
    twins = TwinBatch(load_condition("weak_motor"), (2,), threads=1)
    calf = ROBOT.joint_names.index("RR_calf")
    step = twins.step(ROBOT.stand_position[np.newaxis], np.full(12, ROBOT.stand.stiffness), np.full(12, 1.0))
    assert twins.truth.joint_torque[0, calf] == pytest.approx(0.55 * step.mean_torque[0, calf], rel=0.3)
    assert twins.truth.joint_torque[0, calf] != pytest.approx(step.mean_torque[0, calf], rel=0.2)


def test_pushes_come_at_the_interval_and_with_the_speed_of_the_condition():
    """The twin looks ten times a second: with a mean interval of 10 ms every look pushes once, by 0.4 m/s."""
    pushed = changed(load_condition("nominal"), disturbance={"push_interval_s": 0.01, "push_speed_m_s": 0.05})
    twins, calm = TwinBatch(pushed, (1,), threads=1), TwinBatch(load_condition("nominal"), (1,), threads=1)
    pushes: list[np.ndarray] = []
    original = twins._simulations.push
    twins._simulations.push = lambda row, change: (pushes.append(change), original(row, change))  # type: ignore
    for twin in (twins, calm):
        for _ in range(50):
            twin.step(ROBOT.stand_position[np.newaxis], *GAINS)
    assert len(pushes) == 10
    np.testing.assert_allclose(np.linalg.norm(pushes, axis=1), 0.05)
    assert (twins.truth.position_trunk_in_world != calm.truth.position_trunk_in_world).any()


@pytest.mark.parametrize(
    ("sections", "named"),
    [
        ({"power": {"start_soc_percent": 5.0}}, "start_soc_percent"),
        ({"power": {"ambient_temperature_c": 60.0}}, None),
    ],
)
def test_what_only_the_gate_would_refuse_is_refused(sections, named):
    condition = changed(load_condition("nominal"), **sections)
    if named is None:
        assert TwinBatch(condition, (1,), threads=1).count == 1  # 60 degC is below the gate's 80
        return
    with pytest.raises(TwinBatchError, match=named):
        TwinBatch(condition, (1,), threads=1)


def test_a_robot_that_cannot_stand_up_is_no_start():
    """Twenty kilograms half a metre to the left: it rolls over before it can rise."""
    heavy = changed(load_condition("nominal"), payload={"mass_kg": 20.0, "offset_in_trunk_m": (0.0, 0.5, 0.1)})
    with pytest.raises(TwinBatchError, match="stand up"):
        TwinBatch(heavy, (1,), threads=1)


def test_a_batch_of_none_is_refused():
    with pytest.raises(TwinBatchError, match="no seeds"):
        TwinBatch(load_condition("nominal"), ())
