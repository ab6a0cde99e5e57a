"""Whatever arrives with a valid CRC, and whatever is asked: what leaves is within every limit, or damps.

Packets are drawn in three ways: noise from the first byte to the last, a healthy robot with some of its numbers
replaced by arbitrary bit patterns, and a healthy robot whose joints are anywhere a joint can be. Targets likewise. The
limits are checked by arithmetic of this file's own, on the bytes that would leave.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.onboard.gate import Gate
from deploy.onboard.packet_layout import LOW_CMD, LOW_STATE, MOTOR_CMD, WireError, seal
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import POSITION_STOP, RobotState, decode_low_state, encode_low_cmd, encode_low_state
from robot_configs.robot import RobotModel

TICK_S = 0.002
FLOATS_AT = [*range(22, 74, 4)] + [75 + 32 * motor + offset for motor in range(12) for offset in (1, 5)]
"""Where a LowState has its float32 numbers: IMU, joint positions and velocities."""
NASTY = np.array([math.nan, math.inf, -math.inf, 3.4e38, -3.4e38, 1e-45, 0.0, -0.0, 1e6, math.pi], dtype="<f4")

StateMaker = Callable[..., RobotState]


class Source:
    """Draws packets and targets; the same seed draws the same."""

    def __init__(self, robot: RobotModel, healthy: bytes, seed: int) -> None:
        self._robot, self._healthy = robot, healthy
        self._random = np.random.default_rng(seed)

    def packet(self, tick_ms: int) -> bytes:
        """807 bytes with head, CRC and a tick that advances."""
        kind = self._random.integers(4)
        if kind == 0:
            packet = bytearray(self._random.bytes(LOW_STATE.itemsize))
            packet[:3] = self._healthy[:3]
        else:
            packet = bytearray(self._healthy)
        if kind == 1:
            for place in self._random.choice(FLOATS_AT, self._random.integers(1, 4)):
                packet[place : place + 4] = self._random.bytes(4)
        record: Any = np.frombuffer(packet, dtype=LOW_STATE)[0]
        record["tick"] = tick_ms
        if kind >= 2:
            record["imu"]["gyroscope"] += self._random.normal(size=3) * 0.01
            record["imu"]["accelerometer"] += self._random.normal(size=3)
            record["imu"]["quaternion"][1:] += self._random.normal(size=3) * 0.01
            margin = np.float32(0.1)
            lower, upper = self._robot.mechanical_lower - margin, self._robot.mechanical_upper + margin
            record["motors"]["position"][:12] = self._random.uniform(lower, upper)
            record["motors"]["velocity"][:12] = self._random.normal(size=12) * self._random.choice([0.1, 3.0, 12.0])
        return seal(packet)

    def target(self, time_s: float) -> Optional[JointTarget]:
        """Mostly a target that may be followed, perhaps a wild one; sometimes none."""
        kind = self._random.integers(10)
        if kind == 0:
            return None
        position = self._random.uniform(-4.0, 4.0, 12)
        stiffness = self._random.uniform(0.0, self._robot.max_stiffness, 12)
        damping = self._random.uniform(0.0, self._robot.max_damping, 12)
        valid_until_s = time_s + self._random.uniform(0.0, self._robot.safety.target_age_limit_s)
        if kind == 1:
            wild = (position, stiffness, damping)[self._random.integers(3)]
            wild[self._random.integers(12)] = self._random.choice(NASTY)
        if kind == 2:
            valid_until_s += self._random.choice([-0.1, 0.1, math.nan, math.inf])
        return JointTarget(position.astype(np.float32), stiffness, damping, float(valid_until_s))


def violations(robot: RobotModel, measured: np.ndarray, velocity: np.ndarray, sent: np.ndarray) -> np.ndarray:
    """Which of N commands break a limit, (N,) bool.

    Args:
        measured, velocity: (N, 12) of the state that the command answers.
        sent: (N, 614) bytes.
    """
    slots = np.frombuffer(sent[:, 22:].tobytes(), dtype=np.uint8).reshape(len(sent), -1)[:, : 12 * 27]
    motors: Any = np.frombuffer(slots.tobytes(), dtype=MOTOR_CMD).reshape(len(sent), 12)
    position, stiffness, damping = (
        motors["position"].astype(float),
        motors["stiffness"] / 32.0,
        motors["damping"] / 16.0,
    )
    spring = stiffness * (position - measured)
    torque = spring - damping * velocity
    limit, slack_nm, slack_rad = robot.torque_limit, 1e-3, 1e-6
    drive = np.where(
        torque * velocity > 0.0, limit * np.clip(1.0 - np.abs(velocity) / robot.velocity_limit, 0, 1), limit
    )
    # Where the damping alone brakes with more than the limit, the spring must not add to it.
    brakes_alone = (np.abs(damping * velocity) > limit) & (spring * velocity >= -slack_nm)
    moving_within = (
        (position >= np.minimum(robot.joint_lower, measured) - slack_rad)
        & (position <= np.maximum(robot.joint_upper, measured) + slack_rad)
        & (stiffness <= robot.max_stiffness)
        & (damping <= robot.max_damping)
        & (np.abs(spring) <= limit + slack_nm)
        & ((np.abs(torque) <= drive + slack_nm) | brakes_alone)
    )
    damps = (position == np.float32(POSITION_STOP)) & (stiffness == 0.0) & (damping == robot.damp.damping)
    quiet = (motors["mode"] == 0x0A) & (motors["velocity"] == 0.0) & (motors["torque"] == 0)
    battery_off = sent[:, LOW_CMD.fields["battery_off"][1]] != 0  # type: ignore[index]
    return ~((moving_within.all(axis=1) | damps.all(axis=1)) & quiet.all(axis=1)) | battery_off


def run(robot: RobotModel, healthy: bytes, cases: int, seed: int) -> Counter[str]:
    """Send `cases` packets and targets through a gate, which is replaced by a fresh one when it has latched."""
    source, counts = Source(robot, healthy, seed), Counter[str]()
    measured, velocity, sent = (np.empty((cases, width), kind) for width, kind in ((12, "f8"), (12, "f8"), (614, "u1")))
    gate = Gate(robot)
    for case in range(cases):
        time_s = case * TICK_S
        state = decode_low_state(source.packet(tick_ms=2 * case))
        decision = gate.step(state, source.target(time_s), time_s, Mode.WALK)
        sent[case] = np.frombuffer(encode_low_cmd(decision.command), dtype=np.uint8)
        measured[case], velocity[case] = state.joint_position, state.joint_velocity
        counts["latched" if gate.latched else "moved" if any(decision.clamped) else "passed"] += 1
        if gate.latched:
            gate = Gate(robot)
    with np.errstate(invalid="ignore", over="ignore"):
        broken = violations(robot, measured, velocity, sent)
    counts["violations"] = int(broken.sum())
    assert not broken.any(), f"case {int(np.argmax(broken))} of seed {seed}"
    return counts


@pytest.fixture(scope="module")
def healthy(make_state: StateMaker) -> bytes:
    return encode_low_state(make_state())


def test_no_bit_pattern_leads_outside_the_limits(robot: RobotModel, healthy: bytes) -> None:
    counts = run(robot, healthy, cases=20_000, seed=1)
    # All three outcomes must have been seen often, or the test would prove nothing.
    assert min(counts["latched"], counts["moved"]) > 2_000
    assert counts["passed"] + counts["moved"] + counts["latched"] == 20_000


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_no_bit_pattern_leads_outside_the_limits_in_a_million(robot: RobotModel, healthy: bytes, seed: int) -> None:
    """Ten times a hundred thousand, so that they can be spread over cores."""
    run(robot, healthy, cases=100_000, seed=100 + seed)


@pytest.mark.parametrize("place", FLOATS_AT)
@pytest.mark.parametrize("value", NASTY[:5])
def test_one_broken_number_damps(robot: RobotModel, healthy: bytes, place: int, value: float) -> None:
    """Anywhere but in the IMU's own roll, pitch and yaw, which nothing on the robot uses."""
    packet = bytearray(healthy)
    packet[place : place + 4] = np.float32(value).tobytes()
    gate = Gate(robot)
    target = JointTarget(robot.stand_position, np.full(12, 30.0), np.full(12, 0.75), TICK_S)
    gate.step(decode_low_state(seal(packet)), target, 0.0, Mode.WALK)
    assert bool(gate.latched) == (place not in range(62, 74))


@given(st.binary(min_size=800, max_size=812))
def test_noise_is_refused_or_decoded(noise: bytes) -> None:
    """Nothing but the wire's own error, with the right CRC or without it."""
    for packet in (noise, seal(bytearray(b"\xfe\xef\xff" + noise[3:]))):
        try:
            decode_low_state(packet)
        except WireError:
            continue
        assert len(packet) == LOW_STATE.itemsize
