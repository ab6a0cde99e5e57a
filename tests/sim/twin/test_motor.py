"""The motors against numbers worked out by hand."""

from __future__ import annotations

import dataclasses
from typing import Optional

import numpy as np
import pytest

from deploy.onboard.wire import POSITION_STOP, VELOCITY_STOP, JointCommand
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import Motors, load_condition
from sim.twin.motor import MotorBank, MotorCommandError

ZEROS = np.zeros(12)
HIP, CALF = 0, 2


@pytest.fixture
def motors() -> Motors:
    return dataclasses.replace(load_condition("nominal").motors, command_delay_ms=0)


def _command(
    mode: int = 0x0A,
    position: float = 0.0,
    velocity: float = 0.0,
    torque: float = 0.0,
    stiffness: float = 0.0,
    damping: float = 0.0,
) -> JointCommand:
    def full(value: float) -> np.ndarray:
        return np.full(12, value)

    modes = np.full(12, mode, dtype=np.uint8)
    return JointCommand(modes, full(position), full(velocity), full(torque), full(stiffness), full(damping))


def _torque(
    robot: RobotModel, motors: Motors, command: Optional[JointCommand], position: float = 0.0, velocity: float = 0.0
) -> np.ndarray:
    bank = MotorBank(robot, motors)
    if command is not None:
        bank.accept(command, 0)
    return bank.torque(0, np.full(12, position), np.full(12, velocity)).copy()


def test_position_velocity_and_feed_forward_terms_add_up(robot: RobotModel, motors: Motors) -> None:
    command = _command(position=0.5, velocity=2.0, torque=1.5, stiffness=20.0, damping=0.5)
    # 20 (0.5 - 0.3) + 0.5 (2 - 1) + 1.5 = 4 + 0.5 + 1.5
    np.testing.assert_allclose(_torque(robot, motors, command, 0.3, 1.0), 6.0, rtol=1e-12)


def test_gains_and_torque_act_as_the_wire_truncates_them(robot: RobotModel, motors: Motors) -> None:
    # Kd 0.53 is 8.48 sixteenths: 8/16 = 0.5. Kp 20.03 is 640.96 / 32: 20. tau 0.006 is 1.536 / 256: 1/256.
    np.testing.assert_allclose(_torque(robot, motors, _command(damping=0.53), velocity=-2.0), 1.0, rtol=1e-12)
    np.testing.assert_allclose(_torque(robot, motors, _command(position=0.1, stiffness=20.03)), 2.0, rtol=1e-12)
    np.testing.assert_allclose(_torque(robot, motors, _command(torque=-0.006)), -1.0 / 256.0, rtol=1e-12)


def test_stall_torque_saturates_at_the_published_maxima(robot: RobotModel, motors: Motors) -> None:
    torque = _torque(robot, motors, _command(position=1.0, stiffness=100.0))
    assert torque[HIP] == 23.7
    assert torque[CALF] == 35.55
    np.testing.assert_array_equal(_torque(robot, motors, _command(position=-1.0, stiffness=100.0)), -torque)


def test_torque_along_the_motion_falls_linearly_to_zero_at_no_load_speed(robot: RobotModel, motors: Motors) -> None:
    push = _command(torque=100.0)
    assert _torque(robot, motors, push, velocity=30.1 / 2)[HIP] == pytest.approx(23.7 / 2)
    assert _torque(robot, motors, push, velocity=20.06 / 4)[CALF] == pytest.approx(35.55 * 3 / 4)
    assert _torque(robot, motors, push, velocity=30.1)[HIP] == pytest.approx(0.0, abs=1e-12)
    assert _torque(robot, motors, push, velocity=50.0)[HIP] == 0.0
    assert _torque(robot, motors, _command(torque=-100.0), velocity=-30.1 / 2)[HIP] == pytest.approx(-23.7 / 2)


def test_braking_keeps_the_full_torque_at_any_speed(robot: RobotModel, motors: Motors) -> None:
    assert _torque(robot, motors, _command(torque=-100.0), velocity=25.0)[HIP] == -23.7
    assert _torque(robot, motors, _command(torque=100.0), velocity=-50.0)[CALF] == 35.55


def test_stop_values_leave_their_terms_out(robot: RobotModel, motors: Motors) -> None:
    no_position = _command(position=POSITION_STOP, stiffness=50.0, damping=1.0)
    np.testing.assert_allclose(_torque(robot, motors, no_position, 0.7, 2.0), -2.0, rtol=1e-12)
    no_velocity = _command(position=0.1, velocity=VELOCITY_STOP, stiffness=10.0, damping=1.0)
    np.testing.assert_allclose(_torque(robot, motors, no_velocity, 0.0, 2.0), 1.0, rtol=1e-12)


def test_stop_values_are_recognised_as_the_wire_carries_them(robot: RobotModel, motors: Motors) -> None:
    command = _command(position=float(np.float32(POSITION_STOP)), stiffness=50.0)
    np.testing.assert_array_equal(_torque(robot, motors, command, 0.7), ZEROS)


@pytest.mark.parametrize("mode", [0x00, 0x08])
def test_a_motor_out_of_servo_mode_only_brakes(robot: RobotModel, motors: Motors, mode: int) -> None:
    command = _command(mode=mode, position=1.0, velocity=5.0, torque=5.0, stiffness=50.0, damping=1.0)
    expected = -robot.damp.damping * 2.0
    np.testing.assert_allclose(_torque(robot, motors, command, 0.0, 2.0), expected, rtol=1e-12)


def test_motors_brake_until_the_first_command_and_again_after_switching_off(robot: RobotModel, motors: Motors) -> None:
    braking = -robot.damp.damping * 0.5
    np.testing.assert_allclose(_torque(robot, motors, None, 0.3, 0.5), braking, rtol=1e-12)
    bank = MotorBank(robot, motors)
    bank.accept(_command(torque=3.0), 0)
    bank.torque(0, ZEROS, ZEROS)
    bank.switch_off()
    np.testing.assert_allclose(bank.torque(1, ZEROS, np.full(12, 0.5)), braking, rtol=1e-12)


def test_a_command_acts_exactly_after_the_delay_and_then_for_ever(robot: RobotModel, motors: Motors) -> None:
    bank = MotorBank(robot, dataclasses.replace(motors, command_delay_ms=3))
    bank.accept(_command(torque=2.0), 10)
    assert bank.torque(12, ZEROS, ZEROS)[0] == 0.0
    assert bank.torque(13, ZEROS, ZEROS)[0] == 2.0
    assert bank.torque(1_000_000, ZEROS, ZEROS)[0] == 2.0


def test_commands_wait_in_line_behind_the_delay(robot: RobotModel, motors: Motors) -> None:
    bank = MotorBank(robot, dataclasses.replace(motors, command_delay_ms=4))
    for step, torque in ((0, 1.0), (2, 2.0)):
        bank.accept(_command(torque=torque), step)
    assert [float(bank.torque(step, ZEROS, ZEROS)[0]) for step in range(8)] == [0, 0, 0, 0, 1, 1, 2, 2]


def test_a_weak_motor_delivers_less_than_it_believes(robot: RobotModel, motors: Motors) -> None:
    weak = dataclasses.replace(motors, strength=(0.5,) + motors.strength[1:])
    bank = MotorBank(robot, weak)
    bank.accept(_command(torque=4.0), 0)
    delivered = bank.torque(0, ZEROS, ZEROS)
    assert (delivered[0], delivered[1]) == (2.0, 4.0)
    assert bank.estimated_torque[0] == 4.0


@pytest.mark.parametrize("field", ["position", "velocity", "torque", "stiffness", "damping"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_command_that_is_not_finite_is_refused_and_changes_nothing(
    robot: RobotModel, motors: Motors, field: str, value: float
) -> None:
    bank = MotorBank(robot, motors)
    bank.accept(_command(torque=2.0), 0)
    broken = _command()
    getattr(broken, field)[7] = value
    with pytest.raises(MotorCommandError, match="motor 7"):
        bank.accept(broken, 1)
    assert bank.torque(2, ZEROS, ZEROS)[7] == 2.0


def test_only_position_terms_and_feed_forward_hold_anything(robot: RobotModel, motors: Motors) -> None:
    bank = MotorBank(robot, motors)
    assert bank.holds_nothing
    for command, limp in (
        (JointCommand.damp(robot), True),
        (_command(stiffness=1.0), False),
        (_command(torque=1.0), False),
        (_command(mode=0, stiffness=1.0, torque=1.0), True),
    ):
        bank.accept(command, 0)
        bank.torque(0, ZEROS, ZEROS)
        assert bank.holds_nothing is limp


@pytest.mark.parametrize("idle", [0, 11])
def test_each_motor_has_its_own_mode(robot: RobotModel, motors: Motors, idle: int) -> None:
    command = _command(position=0.1, torque=1.0, stiffness=20.0, damping=0.5)
    command.mode[idle] = 0x00
    # 20 (0.1 - 0) + 0.5 (0 - 1) + 1 = 2.5; the one that is not a servo only brakes.
    expected = np.full(12, 2.5)
    expected[idle] = -robot.damp.damping
    np.testing.assert_allclose(_torque(robot, motors, command, velocity=1.0), expected, rtol=1e-12)
