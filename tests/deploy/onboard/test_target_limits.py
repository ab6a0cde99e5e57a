"""Limits of a target's position and rate, and that there is room between them: just inside and just outside."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.onboard.packet_layout import LARGEST_DAMPING, LARGEST_STIFFNESS
from deploy.onboard.target_limits import NO_CLAMPS, LimitsError, TargetLimits
from deploy.onboard.wire import JointCommand, decode_low_cmd, encode_low_cmd
from robot_configs.robot import RobotModel
from tests.deploy.onboard.limit_bench import CALF, NOW_S, STILL, TICK_S, approach, limited_robot, make_target


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return limited_robot()


@pytest.fixture
def limits(robot: RobotModel) -> TargetLimits:
    return TargetLimits(robot)


SOFT = {"stiffness": np.full(12, 5.0), "damping": np.full(12, 0.5)}
"""Gains with which the torque limit is out of reach: 5 Nm/rad times 3 rad is 15 Nm."""


class TestPosition:
    @pytest.mark.parametrize("joint", [0, 1, CALF, 11])
    @pytest.mark.parametrize("side", ["lower", "upper"])
    def test_held_inside_the_limits(self, robot: RobotModel, joint: int, side: str) -> None:
        limit = getattr(robot, f"joint_{side}")[joint]
        outwards = -1.0 if side == "lower" else 1.0
        for overshoot, clamped in ((-0.001, 0), (0.001, 1)):
            wanted = robot.stand_position.copy()
            wanted[joint] = limit + outwards * overshoot
            target = make_target(robot, position=wanted, **SOFT)
            position, counts = approach(TargetLimits(robot), target, robot.stand_position, STILL, ticks=60)
            assert counts == (clamped, 0, 0)
            assert position[joint] == pytest.approx(limit if clamped else wanted[joint], abs=1e-9)

    def test_the_contract_can_only_narrow_the_limits(self, robot: RobotModel) -> None:
        limits = TargetLimits(robot, joint_lower=robot.joint_lower - 1.0, joint_upper=robot.stand_position + 0.1)
        wanted = robot.stand_position + 0.5
        wanted[0] = robot.joint_lower[0] - 0.5
        position, _ = approach(limits, make_target(robot, position=wanted, **SOFT), robot.stand_position, STILL, 60)
        assert position[0] == pytest.approx(robot.joint_lower[0])
        assert position[1:] == pytest.approx(robot.stand_position[1:] + 0.1)
        limits = TargetLimits(robot, joint_lower=robot.stand_position - 0.1, joint_upper=robot.joint_upper + 1.0)
        wanted = robot.stand_position - 0.5
        wanted[CALF] = robot.joint_upper[CALF] + 0.5
        position, _ = approach(limits, make_target(robot, position=wanted, **SOFT), robot.stand_position, STILL, 60)
        assert position[CALF] == pytest.approx(robot.joint_upper[CALF])
        assert position[:CALF] == pytest.approx(robot.stand_position[:CALF] - 0.1)

    def test_a_folded_robot_may_leave_the_pose_it_lies_in(self, robot: RobotModel, limits: TargetLimits) -> None:
        """Calves at -2.78, limit -2.697: holding is allowed, going further out or back once inside is not."""
        folded = robot.sit_position.copy()

        def ask(calf: float, measured_calf: float, tick: int) -> float:
            wanted, measured = folded.copy(), folded.copy()
            wanted[2::3], measured[2::3] = calf, measured_calf
            target = make_target(robot, position=wanted, **SOFT)
            position, _ = limits.apply(target, measured, STILL, NOW_S + tick * TICK_S)
            return float(position[CALF])

        assert ask(-2.78, -2.78, 0) == pytest.approx(-2.78)
        assert ask(-2.81, -2.78, 1) == pytest.approx(-2.78)
        assert ask(-2.75, -2.75, 2) == pytest.approx(-2.75)
        assert ask(-2.78, -2.75, 3) == pytest.approx(-2.75)  # the limit has followed the robot inwards
        assert ask(-2.78, -2.77, 4) == pytest.approx(-2.75)  # and stays there if the robot is pushed out again
        assert ask(-2.60, -2.60, 5) == pytest.approx(-2.67)  # 0.08 rad a tick
        assert ask(-2.60, -2.60, 6) == pytest.approx(-2.60)
        assert ask(-2.75, -2.60, 7) == pytest.approx(-2.68)
        assert ask(-2.75, -2.60, 8) == pytest.approx(-2.697)
        assert ask(-2.75, -2.76, 9) == pytest.approx(-2.697)
        limits.release()
        assert ask(-2.78, -2.78, 11) == pytest.approx(-2.78)  # after damping it is measured anew

    def test_a_joint_beyond_its_upper_limit_may_come_back_too(self, robot: RobotModel, limits: TargetLimits) -> None:
        """A hip spread to 0.9, limit 0.803."""
        spread = robot.stand_position.copy()
        spread[0] = 0.9

        def ask(hip: float, measured_hip: float, tick: int) -> float:
            wanted, measured = robot.stand_position.copy(), robot.stand_position.copy()
            wanted[0], measured[0] = hip, measured_hip
            target = make_target(robot, position=wanted, **SOFT)
            return float(limits.apply(target, measured, STILL, NOW_S + tick * TICK_S)[0][0])

        assert ask(0.95, 0.9, 0) == pytest.approx(0.9)
        assert ask(0.9, 0.85, 1) == pytest.approx(0.85)
        assert ask(0.9, 0.88, 2) == pytest.approx(0.85)
        assert ask(0.78, 0.78, 3) == pytest.approx(0.78)
        assert ask(0.9, 0.88, 4) == pytest.approx(0.803)


class TestRate:
    def test_by_hand(self, robot: RobotModel, limits: TargetLimits) -> None:
        """40 rad/s for 2 ms are 0.08 rad a tick; 0.2 rad take three ticks, counted from the measured pose."""
        wanted = robot.stand_position.copy()
        wanted[1] += 0.2
        wanted[4] -= 0.2
        target = make_target(robot, position=wanted, **SOFT)
        offsets, clamps = [], []
        for tick in range(4):
            position, clamped = limits.apply(target, robot.stand_position, STILL, NOW_S + tick * TICK_S)
            offsets.append((position - robot.stand_position)[[1, 4]].tolist())
            clamps.append(clamped)
        assert np.array(offsets) == pytest.approx(
            np.array([[0.08, -0.08], [0.16, -0.16], [0.2, -0.2], [0.2, -0.2]]), abs=1e-6
        )
        assert clamps == [(0, 2, 0), (0, 2, 0), (0, 0, 0), (0, 0, 0)]
        assert clamps[3] is NO_CLAMPS

    @pytest.mark.parametrize(
        ("elapsed_s", "allowed_rad"),
        [(0.0, 0.08), (0.001, 0.08), (-1.0, 0.08), (0.005, 0.2), (0.0125, 0.5), (0.02, 0.8), (3.0, 0.8)],
    )
    def test_time_between_commands_counts_from_one_tick_to_twenty_milliseconds(
        self, robot: RobotModel, limits: TargetLimits, elapsed_s: float, allowed_rad: float
    ) -> None:
        limits.apply(make_target(robot, **SOFT), robot.stand_position, STILL, NOW_S)
        wanted = robot.stand_position.copy()
        wanted[1] += 1.5
        target = make_target(robot, position=wanted, **SOFT)
        position, clamped = limits.apply(target, robot.stand_position, STILL, NOW_S + elapsed_s)
        assert position[1] - robot.stand_position[1] == pytest.approx(allowed_rad, abs=1e-9)
        assert clamped == (0, 1, 0)

    @pytest.mark.parametrize("direction", [1.0, -1.0])
    def test_it_counts_from_the_last_command_not_from_the_measured_pose(
        self, robot: RobotModel, limits: TargetLimits, direction: float
    ) -> None:
        target = make_target(robot, **SOFT)
        limits.apply(target, robot.stand_position, STILL, NOW_S)
        moved = robot.stand_position + direction * 0.5
        position, clamped = limits.apply(make_target(robot, position=moved, **SOFT), moved, STILL, NOW_S + TICK_S)
        assert position[:2] == pytest.approx(robot.stand_position[:2] + direction * 0.08)
        assert clamped.rate == 12

    def test_moves_below_rounding_are_not_counted(self, robot: RobotModel, limits: TargetLimits) -> None:
        wanted = robot.joint_upper + 9e-7
        target = make_target(robot, position=wanted, **SOFT)
        assert limits.apply(target, robot.joint_upper, STILL, NOW_S)[1] == (0, 0, 0)
        wanted = robot.joint_upper + 2e-6
        target = make_target(robot, position=wanted, **SOFT)
        assert limits.apply(target, robot.joint_upper, STILL, NOW_S + TICK_S)[1] == (12, 0, 0)

    def test_a_move_of_exactly_the_rounding_is_not_counted(self, robot: RobotModel) -> None:
        """Hips limited to 0: one is asked for a microradian, or the next number after it, another for 0.5 rad."""
        to_zero = robot.joint_upper.copy()
        to_zero[[0, 3]] = 0.0
        wanted = robot.stand_position.copy()
        wanted[3] = 0.5
        for hip, counted in ((1e-6, 1), (math.nextafter(1e-6, 1.0), 2)):
            wanted[0] = hip
            target = make_target(robot, position=wanted, **SOFT)
            limits = TargetLimits(robot, joint_upper=to_zero)
            assert limits.apply(target, robot.stand_position, STILL, NOW_S)[1] == (counted, 0, 0)

    @pytest.mark.parametrize("side", [1.0, -1.0])
    def test_what_one_limit_moves_and_another_one_moves_back_counts_by_the_sum(
        self, robot: RobotModel, side: float
    ) -> None:
        """A hip lies 0.08 rad beyond zero, then 0.6 before it, inside a limit of 0.5 before zero: that limit moves a
        target near zero to itself, and the rate, 0.08 rad a tick, back to zero exactly."""
        step = 40.0 * 0.002
        name = "joint_upper" if side > 0.0 else "joint_lower"
        narrow = getattr(robot, name).copy()
        narrow[0] = side * -0.5
        outside, inside = robot.stand_position.copy(), robot.stand_position.copy()
        outside[0], inside[0] = side * step, side * -0.6
        for distance, counts in ((1e-6, (0, 0, 0)), (math.nextafter(1e-6, 1.0), (1, 1, 0))):
            limits = TargetLimits(robot, **{name: narrow})
            limits.apply(make_target(robot, position=outside, **SOFT), outside, STILL, NOW_S)
            wanted = robot.stand_position.copy()
            wanted[0] = side * distance
            target = make_target(robot, position=wanted, **SOFT)
            position, clamped = limits.apply(target, inside, STILL, NOW_S)
            assert (position[0], clamped) == (0.0, counts)


class TestRoom:
    def test_a_contract_without_room(self, robot: RobotModel) -> None:
        above = robot.joint_lower.copy()
        above[4] = robot.joint_upper[4] + 0.1
        with pytest.raises(LimitsError, match="FL_thigh at or below its upper one"):
            TargetLimits(robot, joint_lower=above)
        above[4] = robot.joint_upper[4]
        TargetLimits(robot, joint_lower=above)

    def test_a_contract_that_is_not_a_number(self, robot: RobotModel) -> None:
        with pytest.raises(LimitsError, match="FR_hip"):
            TargetLimits(robot, joint_upper=np.full(12, math.nan))

    @pytest.mark.parametrize(
        ("name", "largest"), [("max_stiffness", LARGEST_STIFFNESS), ("max_damping", LARGEST_DAMPING)]
    )
    def test_gains_that_would_wrap_around_on_the_wire(self, robot: RobotModel, name: str, largest: float) -> None:
        def with_limit(value: float) -> RobotModel:
            changes: dict[str, Any] = {name: value}
            return replace(robot, **changes)

        TargetLimits(with_limit(largest))
        TargetLimits(with_limit(0.0))
        for refused in (largest + 0.01, -0.01, math.nan):
            with pytest.raises(LimitsError, match=f"{name} within"):
                TargetLimits(with_limit(refused))

    def test_the_largest_gains_fit_and_the_next_count_does_not(self) -> None:
        assert (LARGEST_STIFFNESS, LARGEST_DAMPING) == (65535 / 32, 65535 / 16)
        received = decode_low_cmd(encode_low_cmd(JointCommand.servo(STILL, LARGEST_STIFFNESS, LARGEST_DAMPING)))
        assert received.stiffness.tolist() == [LARGEST_STIFFNESS] * 12
        assert received.damping.tolist() == [LARGEST_DAMPING] * 12


def joint_arrays(low: float, high: float) -> st.SearchStrategy[np.ndarray]:
    return st.lists(st.floats(low, high), min_size=12, max_size=12).map(np.array)


@given(
    measured=joint_arrays(-1.0, 1.0),
    velocity=joint_arrays(-45.0, 45.0),
    targets=st.lists(joint_arrays(-20.0, 20.0), min_size=1, max_size=4),
    stiffness=st.floats(0.0, 100.0),
    damping=st.floats(0.0, 10.0),
)
def test_whatever_is_asked_stays_between_the_limits_and_the_measured_pose(
    robot: RobotModel,
    measured: np.ndarray,
    velocity: np.ndarray,
    targets: list[np.ndarray],
    stiffness: float,
    damping: float,
) -> None:
    limits = TargetLimits(robot)
    measured = measured + robot.stand_position
    gains = {"stiffness": np.full(12, stiffness), "damping": np.full(12, damping)}
    received = math.floor(stiffness * 32) / 32
    for tick, wanted in enumerate(targets):
        target = make_target(robot, position=wanted, **gains)
        position, _ = limits.apply(target, measured, velocity, NOW_S + tick * TICK_S)
        assert np.all(position >= np.minimum(robot.joint_lower, measured) - 1e-9)
        assert np.all(position <= np.maximum(robot.joint_upper, measured) + 1e-9)
        assert np.all(np.abs(received * (position - measured)) <= robot.torque_limit + 1e-6)
        again, counts = limits.apply(target._replace(position=position), measured, velocity, NOW_S + tick * TICK_S)
        assert np.allclose(again, position, atol=1e-9)  # what has passed passes again
        assert counts == (0, 0, 0)
