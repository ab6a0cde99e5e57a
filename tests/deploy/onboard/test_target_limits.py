"""Limits of targets: which are refused, and to where the others are moved; every limit just inside and just outside."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.onboard.packet_layout import LARGEST_DAMPING, LARGEST_STIFFNESS
from deploy.onboard.reasons import Reason
from deploy.onboard.target import JointTarget
from deploy.onboard.target_limits import NO_CLAMPS, LimitsError, TargetLimits
from deploy.onboard.wire import JointCommand, decode_low_cmd, encode_low_cmd
from robot_configs.robot import RobotModel, load_robot

NOW_S = 10.0
TICK_S = 0.002
CALF = 2
STILL = np.zeros(12)


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    """Held here so that the numbers below stay true when go1.yaml is tuned."""
    model = load_robot()
    safety = replace(model.safety, target_age_limit_s=0.04, state_age_limit_s=0.02, max_target_rate_rad_s=40.0)
    return replace(model, safety=safety, max_stiffness=100.0, max_damping=10.0)


@pytest.fixture
def limits(robot: RobotModel) -> TargetLimits:
    return TargetLimits(robot)


def make_target(robot: RobotModel, **changes: Any) -> JointTarget:
    target = JointTarget(robot.stand_position.copy(), np.full(12, 30.0), np.full(12, 0.75), NOW_S + 0.04)
    return target._replace(**changes)


SOFT = {"stiffness": np.full(12, 5.0), "damping": np.full(12, 0.5)}
"""Gains with which the torque limit is out of reach: 5 Nm/rad times 3 rad is 15 Nm."""


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({}, 0),
            ({"valid_until_s": NOW_S}, 0),
            ({"valid_until_s": NOW_S - 1e-6}, Reason.TARGET_STALE),
            ({"valid_until_s": math.nan}, Reason.TARGET_STALE),
            ({"valid_until_s": NOW_S + 0.04 + 5e-7}, 0),
            ({"valid_until_s": NOW_S + 0.04 + 2e-6}, Reason.TARGET_VALID_TOO_LONG),
            ({"valid_until_s": math.inf}, Reason.TARGET_VALID_TOO_LONG),
            ({"stiffness": np.full(12, 100.0)}, 0),
            ({"stiffness": np.zeros(12)}, 0),
            ({"stiffness": np.array([30.0] * 11 + [100.01])}, Reason.GAINS_OUT_OF_RANGE),
            ({"stiffness": np.array([30.0] * 11 + [-0.01])}, Reason.GAINS_OUT_OF_RANGE),
            ({"stiffness": np.array([30.0] * 11 + [math.nan])}, Reason.GAINS_OUT_OF_RANGE),
            ({"damping": np.full(12, 10.0)}, 0),
            ({"damping": np.zeros(12)}, 0),
            ({"damping": np.array([0.5] * 11 + [10.01])}, Reason.GAINS_OUT_OF_RANGE),
            ({"damping": np.array([0.5] * 11 + [-0.01])}, Reason.GAINS_OUT_OF_RANGE),
            ({"damping": np.array([0.5] * 11 + [math.inf])}, Reason.GAINS_OUT_OF_RANGE),
            ({"position": np.array([0.0] * 11 + [math.nan])}, Reason.TARGET_NOT_FINITE),
            ({"position": np.array([math.inf] + [0.0] * 11)}, Reason.TARGET_NOT_FINITE),
            ({"position": np.zeros(11)}, Reason.TARGET_MALFORMED),
            ({"stiffness": np.full(1, 30.0)}, Reason.TARGET_MALFORMED),
            ({"damping": np.full((12, 1), 0.5)}, Reason.TARGET_MALFORMED),
        ],
    )
    def test_each_fault_by_name(
        self, robot: RobotModel, limits: TargetLimits, change: dict[str, Any], expected: int
    ) -> None:
        assert limits.faults(make_target(robot, **change), NOW_S) == expected

    def test_the_longest_validity_to_the_last_digit(self, robot: RobotModel, limits: TargetLimits) -> None:
        longest_s = robot.safety.target_age_limit_s + 1e-6
        assert limits.faults(make_target(robot, valid_until_s=longest_s), 0.0) == 0
        beyond_s = math.nextafter(longest_s, 1.0)
        assert limits.faults(make_target(robot, valid_until_s=beyond_s), 0.0) == Reason.TARGET_VALID_TOO_LONG

    def test_no_target(self, limits: TargetLimits) -> None:
        assert limits.faults(None, NOW_S) == Reason.TARGET_MISSING

    @pytest.mark.parametrize("field", ["stiffness", "damping"])
    def test_new_gains_are_checked_even_if_the_others_stay(
        self, robot: RobotModel, limits: TargetLimits, field: str
    ) -> None:
        target = make_target(robot)
        assert limits.faults(target, NOW_S) == 0
        changes: dict[str, Any] = {field: np.full(12, 1000.0)}
        assert limits.faults(target._replace(**changes), NOW_S) == Reason.GAINS_OUT_OF_RANGE

    @pytest.mark.parametrize("field", ["stiffness", "damping"])
    def test_gains_that_are_overwritten_in_place_are_checked_anew(
        self, robot: RobotModel, limits: TargetLimits, field: str
    ) -> None:
        target = make_target(robot)
        assert limits.faults(target, NOW_S) == 0
        getattr(target, field)[3] = 1000.0
        assert limits.faults(target, NOW_S) == Reason.GAINS_OUT_OF_RANGE


def approach(limits: TargetLimits, target: JointTarget, measured: np.ndarray, velocity: np.ndarray, ticks: int) -> Any:
    """Ask for `target` often enough for the rate limit to have let it through."""
    for tick in range(ticks):
        position, clamped = limits.apply(target, measured, velocity, NOW_S + tick * TICK_S)
    return position, clamped


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

    def test_it_counts_from_the_last_command_not_from_the_measured_pose(
        self, robot: RobotModel, limits: TargetLimits
    ) -> None:
        target = make_target(robot, **SOFT)
        limits.apply(target, robot.stand_position, STILL, NOW_S)
        moved = robot.stand_position + 0.5
        position, clamped = limits.apply(make_target(robot, position=moved, **SOFT), moved, STILL, NOW_S + TICK_S)
        assert position[:2] == pytest.approx(robot.stand_position[:2] + 0.08)
        assert clamped.rate == 12

    def test_moves_below_rounding_are_not_counted(self, robot: RobotModel, limits: TargetLimits) -> None:
        wanted = robot.joint_upper + 9e-7
        target = make_target(robot, position=wanted, **SOFT)
        assert limits.apply(target, robot.joint_upper, STILL, NOW_S)[1] == (0, 0, 0)
        wanted = robot.joint_upper + 2e-6
        target = make_target(robot, position=wanted, **SOFT)
        assert limits.apply(target, robot.joint_upper, STILL, NOW_S + TICK_S)[1] == (12, 0, 0)


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

    def test_each_joint_has_its_own_gains(self, robot: RobotModel, limits: TargetLimits) -> None:
        gains = {"stiffness": np.array([10.0] * 6 + [60.0] * 6), "damping": np.zeros(12)}
        target = make_target(robot, position=robot.stand_position + np.array([0.7, 0.7, 0.7] * 4), **gains)
        position, counts = approach(limits, target, robot.stand_position, STILL, ticks=15)
        offset = position - robot.stand_position
        assert offset[[0, 1, 3, 4]] == pytest.approx(0.7)
        assert offset[[6, 7, 9, 10]] == pytest.approx(23.7 / 60.0)
        assert offset[[8, 11]] == pytest.approx(35.55 / 60.0)
        assert (counts.position, counts.torque) == (0, 6)


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
