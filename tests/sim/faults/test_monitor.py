"""The monitor counts what is outside the limits, by values just inside and just outside, and nothing else."""

from __future__ import annotations

from typing import Any, Dict

import numpy as np
import pytest

from deploy.onboard.packet_layout import LOW_CMD, MOTORS, seal
from deploy.onboard.wire import JointCommand, encode_low_cmd
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.faults.monitor import CommandMonitor

TICK_S = 0.002


class Scene:
    """A robot that stands still in its standing pose, and a monitor that looks at it."""

    def __init__(self, robot: RobotModel, condition: TwinCondition) -> None:
        self.robot = robot
        self.position, self.velocity = robot.stand_position.copy(), np.zeros(MOTORS)
        self.monitor = CommandMonitor(robot, condition.encoders, self.position, self.velocity)
        self.time_s = 0.0

    def send(self, packet: bytes, ticks: int = 1) -> None:
        for _ in range(ticks):
            self.monitor.remember_state()
        self.time_s += ticks * TICK_S
        self.monitor.sent(packet, self.time_s)

    @property
    def counted(self) -> Dict[str, int]:
        return {kind: count for kind, count in self.monitor.violations.items() if count}


@pytest.fixture
def scene(robot: RobotModel, nominal: TwinCondition) -> Scene:
    return Scene(robot, nominal)


def _servo(position: np.ndarray, stiffness: float = 20.0, damping: float = 0.5) -> bytes:
    return encode_low_cmd(JointCommand.servo(position, stiffness, damping))


def _changed(packet: bytes, **changes: Any) -> bytes:
    """The packet with fields of its first motor (or of the packet) set, and a valid CRC."""
    record = np.frombuffer(packet, LOW_CMD).copy()
    for name, value in changes.items():
        if name in (LOW_CMD.names or ()):
            record[name] = value
        else:
            record["motors"][0, 0][name] = value
    return bytes(seal(bytearray(record.tobytes())))


def test_standing_and_damping_are_within_every_limit(scene: Scene) -> None:
    scene.send(_servo(scene.position))
    scene.send(encode_low_cmd(JointCommand.damp(scene.robot)))
    assert scene.counted == {}
    assert scene.monitor.commands == 2


@pytest.mark.parametrize(("excess_rad", "expected"), [(0.0, {}), (1e-4, {"position": 1})])
def test_a_target_past_a_position_limit_counts(scene: Scene, excess_rad: float, expected: Dict[str, int]) -> None:
    target = scene.position.copy()
    target[3] = scene.robot.joint_upper[3] + excess_rad
    scene.send(_servo(target, 10.0))
    assert scene.counted == expected


def test_a_joint_that_rests_past_a_limit_may_be_held_there_and_no_further(scene: Scene) -> None:
    scene.position[2] = scene.robot.joint_lower[2] - 0.1
    scene.send(_servo(scene.position))
    assert scene.counted == {}
    further = scene.position.copy()
    further[2] -= 0.1  # past the encoders' error of 5 (0.002 + 0.01) rad
    scene.send(_servo(further))
    assert scene.counted == {"position": 1}


@pytest.mark.parametrize(("gain", "value", "expected"), [
    ("stiffness", 100 * 32, {}), ("stiffness", 100 * 32 + 1, {"gains": 1}),
    ("damping", 10 * 16, {}), ("damping", 10 * 16 + 1, {"gains": 1}),
])  # fmt: skip
def test_gains_are_held_to_the_robots_largest(scene: Scene, gain: str, value: int, expected: Dict[str, int]) -> None:
    scene.send(_changed(_servo(scene.position), **{gain: value}))
    assert scene.counted == expected


def test_torque_is_what_the_error_implies_beyond_the_encoders_error(scene: Scene) -> None:
    # 23.7 Nm + 60 Nm/rad x 0.06 rad + 0.5 Nm s/rad x 0.5 rad/s = 27.55 Nm of a hip, at 60 Nm/rad: 0.4592 rad.
    target = scene.position.copy()
    target[0] += 0.459
    scene.send(_servo(target, 60.0))
    assert scene.counted == {}
    target[0] += 0.001
    scene.send(_servo(target, 60.0))
    assert scene.counted == {"torque": 1}


def test_torque_counts_only_if_no_fresh_state_explains_it(scene: Scene) -> None:
    target = scene.position.copy()
    target[0] += 0.5
    scene.position[0] += 0.1
    scene.monitor.remember_state()
    scene.position[0] -= 0.1
    scene.send(_servo(target, 60.0), ticks=9)
    assert scene.counted == {}  # 18 ms ago the joint was 0.1 rad nearer
    scene.send(_servo(target, 60.0))
    assert scene.counted == {"torque": 1}


def test_feed_forward_torque_counts_as_torque(scene: Scene) -> None:
    scene.send(_changed(_servo(scene.position), torque=30 * 256))
    assert scene.counted == {"torque": 1}


def test_the_rate_is_held_over_the_time_between_two_commands(scene: Scene) -> None:
    scene.send(_servo(scene.position, 1.0))
    target = scene.position.copy()
    target[0] = 0.6  # 300 rad/s in a tick
    scene.send(_servo(target, 1.0))
    assert scene.counted == {}
    target[0] = -0.01
    scene.send(_servo(target, 1.0))
    assert scene.counted == {"rate": 1}
    target[0] = 0.7
    scene.send(_servo(target, 1.0), ticks=2)
    assert scene.counted == {"rate": 1}


def test_what_is_no_command_counts(scene: Scene) -> None:
    good = _servo(scene.position)
    scene.send(good[:-1])
    scene.send(good[:-1] + bytes([good[-1] ^ 1]))
    assert scene.counted == {"malformed": 2}
    scene.send(_changed(good, battery_off=0xA5))
    scene.send(_changed(good, position=np.nan))
    assert scene.counted == {"malformed": 2, "battery_off": 1, "not_finite": 1}


def test_a_motor_that_does_not_exist_may_not_be_driven(scene: Scene) -> None:
    record = np.frombuffer(_servo(scene.position), LOW_CMD).copy()
    record["motors"][0, MOTORS]["stiffness"] = 1
    scene.send(bytes(seal(bytearray(record.tobytes()))))
    assert scene.counted == {"unused_motor": 1}


def test_a_packet_that_was_never_sent_is_forged(scene: Scene) -> None:
    scene.send(_servo(scene.position))
    scene.monitor.accepted(_servo(scene.position))
    assert scene.counted == {}
    scene.monitor.accepted(_servo(scene.position, 21.0))
    assert scene.counted == {"forged": 1}


def test_damping_is_timed_from_the_moment_it_is_watched(scene: Scene) -> None:
    damp, move = encode_low_cmd(JointCommand.damp(scene.robot)), _servo(scene.position)
    for packet in (damp, move):
        scene.send(packet)
    scene.monitor.watch()
    for packet in (move, damp, damp):
        scene.send(packet)
    assert scene.monitor.first_damping_s == pytest.approx(4 * TICK_S)
    assert scene.monitor.motion_after_damping_s is None
    scene.send(move)
    assert scene.monitor.motion_after_damping_s == pytest.approx(6 * TICK_S)


@pytest.mark.parametrize("change", [{"torque": 1}, {"velocity": 0.1}, {"stiffness": 1, "position": 0.0}])
def test_whatever_can_move_a_joint_is_motion(scene: Scene, change: Dict[str, Any]) -> None:
    damp = encode_low_cmd(JointCommand.damp(scene.robot))
    scene.monitor.watch()
    scene.send(damp)
    scene.send(_changed(damp, **change))
    assert scene.monitor.motion_after_damping_s is not None


def test_the_longest_silence_is_kept(scene: Scene) -> None:
    damp = encode_low_cmd(JointCommand.damp(scene.robot))
    for ticks in (1, 5, 2):
        scene.send(damp, ticks)
    assert scene.monitor.longest_silence_s == pytest.approx(5 * TICK_S)
