"""The matrix is complete: every channel meets every kind, every name is its own, every seed follows from its name."""

from __future__ import annotations

import zlib
from collections import Counter

from robot_configs.robot import RobotModel
from sim.faults.campaign import all_cases
from sim.faults.case import WORLDS, Expectation
from sim.faults.sensor_cases import sensor_cases
from sim.twin.body_faults import JammedMotor, WeakMotor
from sim.twin.network_faults import MALFORMED
from sim.twin.sensor_channels import CHANNELS
from sim.twin.sensor_faults import SENSOR_FAULT_KINDS

CASES = {case.name: case for case in all_cases()}


def test_there_are_more_than_six_hundred_cases_each_with_its_own_name() -> None:
    assert len(CASES) == len(all_cases()) > 600


def test_every_channel_meets_every_kind_that_the_wire_can_carry() -> None:
    expected = {
        f"{channel}/{kind}"
        for channel in CHANNELS
        for kind in SENSOR_FAULT_KINDS
        if (kind != "nan" or CHANNELS[channel].can_be_nan)
        and (kind != "wrong" or channel not in ("tick", "motor_temperature"))
    }
    assert {case.name for case in sensor_cases()} == expected


def test_every_joint_has_its_encoder_its_speed_and_its_torque(robot: RobotModel) -> None:
    fields = ("joint_position", "joint_velocity", "joint_torque")
    assert {name for name in CHANNELS if name.startswith("joint_")} == {
        f"{field}.{joint}" for field in fields for joint in robot.joint_names
    }


def test_seeds_follow_from_names_so_that_a_new_case_does_not_change_the_others() -> None:
    for name, case in CASES.items():
        expected = "machine/left_alone" if case.group == "machine" else name
        assert case.seed == zlib.crc32(expected.encode())
        assert case.world == case.seed % WORLDS


def test_a_random_fault_of_a_sensor_has_the_seed_of_its_case() -> None:
    assert all(case.sensor.seed == case.seed for case in sensor_cases() if case.sensor is not None)


def test_every_motor_fails_in_three_ways_and_every_malformed_packet_comes_from_both_sides(robot: RobotModel) -> None:
    bodies = [case.body for case in CASES.values()]
    assert {body.joint for body in bodies if isinstance(body, JammedMotor)} == set(range(12))
    assert {(body.joint, body.strength) for body in bodies if isinstance(body, WeakMotor)} == {
        (joint, strength) for joint in range(12) for strength in (0.0, 0.5)
    }
    malformed = Counter(
        line.malformed_kind
        for case in CASES.values()
        for line in (case.to_robot, case.from_robot)
        if line.malformed > 0.0
    )
    assert malformed == dict.fromkeys(MALFORMED, 4)


def test_losses_on_the_way_there_and_back_go_up_to_thirty_percent() -> None:
    losses = {(case.to_robot.loss, case.from_robot.loss) for case in CASES.values() if case.group == "loss"}
    assert losses == {(share, share) for share in (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3)}


def test_the_gate_may_let_a_state_be_twenty_milliseconds_old_and_no_burst_is_left_undecided(robot: RobotModel) -> None:
    for case in CASES.values():
        if case.group == "burst" and case.from_robot.loss == 1.0:
            tolerated = case.expectation is Expectation.TOLERATED
            assert tolerated == (case.duration_s < robot.safety.state_age_limit_s)
