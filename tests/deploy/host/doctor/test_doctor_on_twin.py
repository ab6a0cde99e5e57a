"""The twin's own faults, through its packets: the doctor names what the fault injection broke."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.host.doctor.examination import check_sample
from deploy.host.doctor.findings import Verdict
from deploy.host.doctor.sample import Datagram, Sample
from deploy.onboard.wire import JointCommand, RobotState, encode_low_cmd, encode_low_state
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.sensor_faults import BrokenSensor, SensorFault
from sim.twin.transport import TwinTransport

TICKS = 400
LIES_STILL_AFTER = 500


@pytest.fixture(scope="module")
def states() -> list[RobotState]:
    """A damped twin that has come to rest."""
    body = TwinBody(load_condition("nominal"), seed=4)
    TwinTransport(body).send(encode_low_cmd(JointCommand.damp(load_robot())))
    for _ in range(LIES_STILL_AFTER):
        body.step()
    return [body.step() for _ in range(TICKS)]


def diagnoses(states: list[RobotState], robot: Any) -> list[str]:
    datagrams = tuple(Datagram(0.002 * tick, encode_low_state(state)) for tick, state in enumerate(states))
    sample = Sample("127.0.0.1", 8007, 0.002 * TICKS, TICKS, {}, "127.0.0.1", datagrams, 1.75e9)
    findings = check_sample(sample, robot)
    return [finding.diagnosis for finding in findings if finding.verdict is Verdict.FAULT]


def test_a_sound_twin(states: list[RobotState], robot: Any) -> None:
    assert diagnoses(states, robot) == []


@pytest.mark.parametrize(
    ("channel", "kind", "diagnosis"),
    [
        ("battery", "off", "battery-empty"),
        ("gyro", "stuck", "imu-frozen"),
        ("gyro", "nan", "imu-not-finite"),
        ("accelerometer", "sign_flip", "attitude-disagrees"),
        ("quaternion", "off", "quaternion-norm"),
        ("joint_position.FR_calf", "sign_flip", "joint-out-of-range"),
        ("joint_position.RL_thigh", "nan", "joint-not-finite"),
    ],
)
def test_a_broken_sensor(states: list[RobotState], robot: Any, channel: str, kind: Any, diagnosis: str) -> None:
    sensor = BrokenSensor(SensorFault(channel, kind))
    assert diagnoses([sensor(state) for state in states], robot) == [diagnosis]
