"""The motors of a batch against the twin's own, bit by bit, and by hand."""

import numpy as np
import pytest

from deploy.onboard.packet_layout import MOTORS
from deploy.onboard.wire import MOTOR_MODE_SERVO, JointCommand
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.motor import MotorBank
from sim.twin_batch.motors import BatchMotors

ZEROS = np.zeros(MOTORS)


def servo(position: np.ndarray, stiffness: np.ndarray, damping: np.ndarray) -> JointCommand:
    return JointCommand(np.full(MOTORS, MOTOR_MODE_SERVO, np.uint8), position, ZEROS, ZEROS, stiffness, damping)


@pytest.mark.parametrize("condition", ["nominal", "weak_motor"])
def test_every_torque_is_the_twins_own(condition):
    """Random commands every 7 steps, some while others still wait; speeds past the envelope's end both ways."""
    robot, motors, count, random = load_robot(), load_condition(condition).motors, 3, np.random.default_rng(1)
    batch = BatchMotors(robot, motors, count)
    singles = [MotorBank(robot, motors) for _ in range(count)]
    for step in range(60):
        if step % 7 == 3:
            position = random.normal(0.0, 2.0, (count, MOTORS))
            stiffness, damping = random.uniform(0.0, 60.0, MOTORS), random.uniform(0.0, 3.0, MOTORS)
            batch.accept(position, stiffness, damping, step)
            for row, single in enumerate(singles):
                single.accept(servo(position[row], stiffness, damping), step)
        joints, speeds = random.normal(0.0, 1.0, (count, MOTORS)), random.normal(0.0, 20.0, (count, MOTORS))
        torque = batch.torque(step, joints, speeds)
        for row, single in enumerate(singles):
            np.testing.assert_array_equal(torque[row], single.torque(step, joints[row], speeds[row]))
            np.testing.assert_array_equal(batch.estimated_torque[row], single.estimated_torque)


def test_a_torque_by_hand():
    """Kp 20.01 is 640 counts of 1/32; 20 x (0.5 - 0.3) - 0.5 x 2 = 3 Nm, of which a motor of 0.55 delivers 1.65."""
    motors = BatchMotors(load_robot(), load_condition("weak_motor").motors, 1)
    calf = load_robot().joint_names.index("RR_calf")
    motors.accept(np.full((1, MOTORS), 0.5), np.full(MOTORS, 20.01), np.full(MOTORS, 0.53), 0)
    speeds = np.full((1, MOTORS), 2.0)
    assert motors.torque(5, np.full((1, MOTORS), 0.3), speeds)[0, calf] != pytest.approx(1.65)  # delayed by 6 ms
    assert motors.torque(6, np.full((1, MOTORS), 0.3), speeds)[0, calf] == pytest.approx(1.65, abs=1e-12)
    assert motors.estimated_torque[0, calf] == pytest.approx(3.0, abs=1e-12)


def test_a_robot_can_be_given_a_command_that_nothing_follows():
    """Of two robots with a command on its way, the one that is set to hold keeps holding; the other gets it."""
    motors = BatchMotors(load_robot(), load_condition("nominal").motors, 2)
    ones = np.ones(MOTORS)
    motors.accept(np.full((2, MOTORS), 1.0), 10.0 * ones, 0.0 * ones, 0)
    motors.hold(np.array([1]), np.full((1, MOTORS), 0.25), 8.0 * ones, 0.0 * ones)
    still = np.zeros((2, MOTORS))
    before, after = motors.torque(0, still, still), motors.torque(2, still, still)
    np.testing.assert_allclose(before, [ZEROS, 2.0 * ones])
    np.testing.assert_allclose(after, [10.0 * ones, 2.0 * ones])


def test_holding_after_power_up_leaves_the_brakes_of_the_others():
    motors, ones = BatchMotors(load_robot(), load_condition("nominal").motors, 2), np.ones(MOTORS)
    motors.hold(np.array([0]), np.full((1, MOTORS), 0.5), 4.0 * ones, 0.0 * ones)
    torque = motors.torque(0, np.zeros((2, MOTORS)), np.ones((2, MOTORS)))
    np.testing.assert_allclose(torque[0], 2.0 * ones)
    np.testing.assert_allclose(torque[1], -load_robot().damp.damping * ones)
