"""The torque that a target implies, and the torque-speed envelope, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deploy.onboard.target_limits import TargetLimits
from deploy.onboard.wire import JointCommand, decode_low_cmd, encode_low_cmd
from robot_configs.robot import RobotModel
from tests.deploy.onboard.limit_bench import CALF, NOW_S, STILL, TICK_S, approach, limited_robot, make_target


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return limited_robot()


@pytest.fixture
def limits(robot: RobotModel) -> TargetLimits:
    return TargetLimits(robot)


STIFF = {"stiffness": np.full(12, 60.0), "damping": np.full(12, 2.5)}


class TestTorque:
    """Kp 60, Kd 2.5; 23.7 Nm at most, none at 30.1 rad/s (calf 35.55 Nm, 20.06 rad/s)."""

    @pytest.mark.parametrize(
        ("joint", "joint_velocity", "most_nm"),
        [
            (0, 0.0, 23.7),
            (1, 0.0, 23.7),
            (CALF, 0.0, 35.55),
            # With the motion: 23.7 (1 - 4 / 30.1) + 2.5 x 4 = 30.55, more than the spring may give.
            (0, 4.0, 23.7),
            (CALF, 4.0, 35.55),
            # Against it the damping, 2.5 x 4 Nm, counts: 23.7 - 10.
            (0, -4.0, 13.7),
            (CALF, -4.0, 25.55),
            # At 9.48 rad/s the damping alone is at the limit: nothing may be added.
            (0, -9.4, 0.2),
            (0, -12.0, 0.0),
            (0, -40.0, 0.0),
            # Beyond the top speed nothing drives; to let go of the brake (100 Nm of damping) is no drive.
            (0, 40.0, 23.7),
        ],
    )
    def test_the_spring_by_hand(self, robot: RobotModel, joint: int, joint_velocity: float, most_nm: float) -> None:
        for direction in (1.0, -1.0):
            velocity = STILL.copy()
            velocity[joint] = direction * joint_velocity
            for excess_nm, clamped in ((-0.06, 0), (0.06, 1)):
                if most_nm + excess_nm < 0.0:
                    continue
                wanted = np.array(robot.stand_position)
                wanted[joint] += direction * (most_nm + excess_nm) / 60.0
                target = make_target(robot, position=wanted, **STIFF)
                position, counts = approach(TargetLimits(robot), target, robot.stand_position, velocity, ticks=15)
                assert counts == (0, 0, clamped)
                spring = direction * 60.0 * (position - robot.stand_position)
                assert spring[joint] == pytest.approx(most_nm if clamped else most_nm + excess_nm, abs=1e-6)

    @pytest.mark.parametrize(
        ("joint", "joint_velocity", "most_nm"),
        [
            # Kd 0.5: 23.7 (1 - 20 / 30.1) + 10 = 17.952; 35.55 (1 - 10 / 20.06) + 5 = 22.828; at the top speed the
            # damping's share remains: 0.5 x 30.1 and 0.5 x 20.06.
            (0, 20.0, 17.9525),
            (CALF, 10.0, 22.8282),
            (1, 30.1, 15.05),
            (CALF, 20.06, 10.03),
            (1, 35.0, 17.5),
        ],
    )
    def test_the_torque_speed_envelope_by_hand(
        self, robot: RobotModel, joint: int, joint_velocity: float, most_nm: float
    ) -> None:
        gains = {"stiffness": np.full(12, 60.0), "damping": np.full(12, 0.5)}
        for direction in (1.0, -1.0):
            velocity = STILL.copy()
            velocity[joint] = direction * joint_velocity
            for excess_nm, clamped in ((-0.06, 0), (0.06, 1)):
                wanted = np.array(robot.stand_position)
                wanted[joint] += direction * (most_nm + excess_nm) / 60.0
                target = make_target(robot, position=wanted, **gains)
                position, counts = approach(TargetLimits(robot), target, robot.stand_position, velocity, ticks=15)
                assert counts == (0, 0, clamped)
                spring = direction * 60.0 * (position - robot.stand_position)
                assert spring[joint] == pytest.approx(most_nm if clamped else most_nm + excess_nm, abs=1e-3)

    def test_it_reckons_with_what_the_wire_leaves_of_the_gains(self, robot: RobotModel, limits: TargetLimits) -> None:
        """Kp 60.03 arrives as 60.0, Kd 2.55 as 2.5."""
        gains = {"stiffness": np.full(12, 60.03), "damping": np.full(12, 2.55)}
        wanted = robot.stand_position + 0.6
        position, _ = approach(
            limits, make_target(robot, position=wanted, **gains), robot.stand_position, np.full(12, -4.0), ticks=15
        )
        torque = 60.0 * (position - robot.stand_position) - 2.5 * -4.0
        assert torque[:2] == pytest.approx([23.7, 23.7], abs=1e-6)

    def test_the_encoder_rounds_to_single_precision_before_it_truncates(
        self, robot: RobotModel, limits: TargetLimits
    ) -> None:
        """77.999999 is 78 as a float32: a count more than the double has."""
        gains = {"stiffness": np.full(12, 77.9999999), "damping": np.full(12, 0.99999999)}
        sent = decode_low_cmd(encode_low_cmd(JointCommand.servo(STILL, 77.9999999, 0.99999999)))
        assert (sent.stiffness[0], sent.damping[0]) == (78.0, 1.0)
        target = make_target(robot, position=robot.stand_position + 0.6, **gains)
        position, _ = approach(limits, target, robot.stand_position, np.full(12, -4.0), ticks=15)
        torque = 78.0 * (position - robot.stand_position) - 1.0 * -4.0
        assert torque[:2] == pytest.approx([23.7, 23.7], abs=1e-9)

    def test_without_stiffness_there_is_no_torque_to_limit(self, robot: RobotModel, limits: TargetLimits) -> None:
        """The first tick of a ramp: Kp is zero, and a quick joint must not make nonsense of the target."""
        target = make_target(robot, stiffness=np.zeros(12), damping=np.full(12, 2.5))
        position, counts = limits.apply(target, robot.stand_position, np.full(12, 9.0), NOW_S)
        assert position == pytest.approx(robot.stand_position)
        assert counts == (0, 0, 0)
        # One count of Kp, 1/32 Nm/rad: 0.3 rad pull with next to nothing.
        target = make_target(robot, position=robot.stand_position + 0.05, stiffness=np.full(12, 1 / 32))
        assert limits.apply(target, robot.stand_position, STILL, NOW_S + TICK_S)[1] == (0, 0, 0)

    def test_the_softest_spring_may_be_far_from_its_joint(self, robot: RobotModel, limits: TargetLimits) -> None:
        """One count of Kp, 1/32 Nm/rad: 0.4 rad are 0.0125 Nm, of the 0.2 Nm that Kd 2.5 leaves at -9.4 rad/s."""
        wanted, velocity = robot.stand_position.copy(), STILL.copy()
        wanted[0], velocity[0] = 0.4, -9.4
        target = make_target(robot, position=wanted, stiffness=np.full(12, 1 / 32), damping=np.full(12, 2.5))
        position, counts = approach(limits, target, robot.stand_position, velocity, ticks=6)
        assert position[0] == pytest.approx(0.4)
        assert counts == (0, 0, 0)

    def test_the_spring_pulls_by_the_way_to_the_target(self, robot: RobotModel, limits: TargetLimits) -> None:
        """A hip at 0.65 with its target at -0.65, 20 Nm/rad: 26 Nm of 23.7; no other joint has any stiffness."""
        measured, wanted, stiffness = robot.stand_position.copy(), robot.stand_position.copy(), np.zeros(12)
        measured[0], wanted[0], stiffness[0] = 0.65, -0.65, 20.0
        target = make_target(robot, position=wanted, stiffness=stiffness, damping=np.zeros(12))
        position, counts = approach(limits, target, measured, STILL, ticks=20)
        assert position[0] == pytest.approx(0.65 - 23.7 / 20.0)
        assert counts.torque == 1

    def test_a_target_at_the_limit_is_within_it_to_the_bit(self, robot: RobotModel) -> None:
        """Half of 49 Nm is left at half of 32 rad/s, and 0.5 rad at 49 Nm/rad are just that.

        49 is a number whose reciprocal float64 rounds down: whoever moves the target there after all misses it.
        """
        exact = replace(robot, torque_limit=np.full(12, 49.0), velocity_limit=np.full(12, 32.0))
        wanted, velocity = robot.stand_position.copy(), STILL.copy()
        wanted[0], velocity[0] = 0.5, 16.0
        target = make_target(robot, position=wanted, stiffness=np.full(12, 49.0), damping=np.zeros(12))
        position, _ = approach(TargetLimits(exact), target, robot.stand_position, velocity, ticks=8)
        assert position.tolist() == wanted.tolist()

    def test_each_joint_has_its_own_gains(self, robot: RobotModel, limits: TargetLimits) -> None:
        gains = {"stiffness": np.array([10.0] * 6 + [60.0] * 6), "damping": np.zeros(12)}
        target = make_target(robot, position=robot.stand_position + np.array([0.7, 0.7, 0.7] * 4), **gains)
        position, counts = approach(limits, target, robot.stand_position, STILL, ticks=15)
        offset = position - robot.stand_position
        assert offset[[0, 1, 3, 4]] == pytest.approx(0.7)
        assert offset[[6, 7, 9, 10]] == pytest.approx(23.7 / 60.0)
        assert offset[[8, 11]] == pytest.approx(35.55 / 60.0)
        assert (counts.position, counts.torque) == (0, 6)
