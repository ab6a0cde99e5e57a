"""The gate: one limit after the other, with values just inside and just outside."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.onboard.gate import STOP_KEY, Gate, GateDecision
from deploy.onboard.reasons import Reason, reason_names
from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import MOTOR_MODE_SERVO, POSITION_STOP, RobotState, encode_low_cmd
from robot_configs.robot import RobotModel, SafetyThresholds, load_robot

NOW_S = 10.0
TICK_S = 0.002
FRONT_RIGHT_CALF = 2


def make_target(robot: RobotModel, **changes: Any) -> JointTarget:
    target = JointTarget(robot.stand_position.copy(), np.full(12, 30.0), np.full(12, 0.75), NOW_S + 0.04)
    return target._replace(**changes)


def is_damping(robot: RobotModel, decision: GateDecision) -> bool:
    command = decision.command
    return bool(
        np.all(command.position == POSITION_STOP)
        and np.all(command.stiffness == 0.0)
        and np.all(command.damping == robot.damp.damping)
        and np.all(command.velocity == 0.0)
        and np.all(command.torque == 0.0)
        and np.all(command.mode == MOTOR_MODE_SERVO)
    )


def turned(angle_rad: float, axis: int) -> np.ndarray:
    quaternion = np.zeros(4)
    quaternion[0], quaternion[1 + axis] = math.cos(angle_rad / 2), math.sin(angle_rad / 2)
    return quaternion.astype(np.float32)


THRESHOLDS = SafetyThresholds(
    tilt_limit_rad=1.0,
    state_age_limit_s=0.02,
    target_age_limit_s=0.04,
    max_target_rate_rad_s=40.0,
    motor_temperature_limit_c=80.0,
    battery_soc_minimum_percent=5.0,
    quaternion_norm_tolerance=0.05,
    max_tick_gap_ms=100.0,
)
"""Held here so that the numbers below stay true when go1.yaml is tuned."""


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return replace(load_robot(), safety=THRESHOLDS, max_stiffness=100.0, max_damping=10.0)


@pytest.fixture
def gate(robot: RobotModel) -> Gate:
    return Gate(robot)


def test_a_healthy_state_and_a_good_target_pass_unchanged(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    target = make_target(robot)
    decision = gate.step(make_state(), target, NOW_S, Mode.WALK)
    assert (decision.reasons, decision.clamped, gate.latched) == (0, (0, 0, 0), 0)
    assert np.array_equal(decision.command.position, target.position)
    assert np.array_equal(decision.command.stiffness, target.stiffness)
    assert np.array_equal(decision.command.damping, target.damping)


@pytest.mark.parametrize("mode", [Mode.DAMP, Mode.FAULT])
def test_the_resting_modes_damp_whatever_the_target(robot: RobotModel, gate: Gate, make_state: Any, mode: Mode) -> None:
    assert is_damping(robot, gate.step(make_state(), make_target(robot), NOW_S, mode))
    assert gate.latched == 0


class StateLimit:
    """One fault of the state: what is just good enough, what is just not."""

    reason: Reason
    good: dict[str, Any]
    bad: dict[str, Any]

    def test_just_inside_passes(self, robot: RobotModel, gate: Gate, make_state: Any) -> None:
        decision = gate.step(make_state(**self.good), make_target(robot), NOW_S, Mode.WALK)
        assert reason_names(decision.reasons) == ()
        assert not is_damping(robot, decision)

    def test_just_outside_damps_and_latches(self, robot: RobotModel, gate: Gate, make_state: Any) -> None:
        decision = gate.step(make_state(**self.bad), make_target(robot), NOW_S, Mode.WALK)
        assert decision.reasons == gate.latched == self.reason
        assert is_damping(robot, decision)
        healthy = gate.step(make_state(tick_ms=1002), make_target(robot), NOW_S + TICK_S, Mode.WALK)
        assert is_damping(robot, healthy)
        assert healthy.reasons == self.reason

    def test_rearming_needs_a_good_state(self, robot: RobotModel, gate: Gate, make_state: Any) -> None:
        gate.step(make_state(**self.bad), make_target(robot), NOW_S, Mode.WALK)
        assert gate.rearm(NOW_S) == reason_names(self.reason)
        assert gate.latched == self.reason
        gate.step(make_state(tick_ms=1002), None, NOW_S + TICK_S, Mode.FAULT)
        assert gate.rearm(NOW_S + TICK_S) == ()
        decision = gate.step(make_state(tick_ms=1004), make_target(robot), NOW_S + 2 * TICK_S, Mode.STAND)
        assert not is_damping(robot, decision)

    def test_it_does_not_latch_in_damping(self, robot: RobotModel, gate: Gate, make_state: Any) -> None:
        decision = gate.step(make_state(**self.bad), None, NOW_S, Mode.DAMP)
        assert is_damping(robot, decision)
        assert gate.latched == 0
        assert gate.state_faults == self.reason


class TestRollLimit(StateLimit):
    reason = Reason.TILT
    good = {"orientation_trunk_in_world": turned(1.0 - 1e-3, axis=0)}
    bad = {"orientation_trunk_in_world": turned(1.0 + 1e-3, axis=0)}


class TestPitchLimit(StateLimit):
    reason = Reason.TILT
    good = {"orientation_trunk_in_world": turned(-1.0 + 1e-3, axis=1)}
    bad = {"orientation_trunk_in_world": turned(-1.0 - 1e-3, axis=1)}


class TestUpsideDown(StateLimit):
    reason = Reason.TILT
    good = {"orientation_trunk_in_world": turned(math.pi, axis=2)}  # facing backwards is no tilt
    bad = {"orientation_trunk_in_world": turned(math.pi, axis=0)}


class TestQuaternionTooLong(StateLimit):
    reason = Reason.QUATERNION_NORM
    good = {"orientation_trunk_in_world": np.array([1.049, 0, 0, 0], np.float32)}
    bad = {"orientation_trunk_in_world": np.array([1.051, 0, 0, 0], np.float32)}


class TestQuaternionTooShort(StateLimit):
    reason = Reason.QUATERNION_NORM
    good = {"orientation_trunk_in_world": np.array([0.951, 0, 0, 0], np.float32)}
    bad = {"orientation_trunk_in_world": np.zeros(4, np.float32)}  # what a firmware mismatch sends


class TestMotorTemperature(StateLimit):
    reason = Reason.MOTOR_HOT
    good = {"joint_temperature": np.array([30] * 11 + [80], np.int8)}
    bad = {"joint_temperature": np.array([30] * 11 + [81], np.int8)}


class TestBattery(StateLimit):
    reason = Reason.BATTERY_LOW
    good = {"battery_soc_percent": 5}
    bad = {"battery_soc_percent": 4}


FLOAT_FIELDS = (
    ("orientation_trunk_in_world", 4),
    ("angular_velocity_trunk_in_trunk", 3),
    ("accelerometer_trunk_in_trunk", 3),
    ("joint_position", 12),
    ("joint_velocity", 12),
    ("joint_torque", 12),
)


@pytest.mark.parametrize(("field", "length"), FLOAT_FIELDS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_damps_and_latches(
    robot: RobotModel, make_state: Any, field: str, length: int, value: float
) -> None:
    for index in range(length):
        gate = Gate(robot)
        broken = getattr(make_state(), field).copy()
        broken[index] = value
        decision = gate.step(make_state(**{field: broken}), make_target(robot), NOW_S, Mode.WALK)
        assert decision.reasons == gate.latched == Reason.STATE_NOT_FINITE
        assert is_damping(robot, decision)


def test_opposite_infinities_do_not_cancel(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    velocity = np.zeros(12, np.float32)
    velocity[:2] = math.inf, -math.inf
    gate.step(make_state(joint_velocity=velocity), make_target(robot), NOW_S, Mode.WALK)
    assert gate.latched == Reason.STATE_NOT_FINITE


def test_without_a_state_nothing_moves(robot: RobotModel, gate: Gate) -> None:
    decision = gate.step(None, make_target(robot), NOW_S, Mode.STAND)
    assert is_damping(robot, decision)
    assert gate.latched == Reason.STATE_MISSING


@pytest.mark.parametrize(("age_s", "expected"), [(0.0199, 0), (0.0201, Reason.STATE_STALE)])
def test_the_age_of_the_state(robot: RobotModel, gate: Gate, make_state: Any, age_s: float, expected: int) -> None:
    gate.step(make_state(), make_target(robot), NOW_S, Mode.WALK)
    gate.step(None, make_target(robot), NOW_S + age_s, Mode.WALK)
    assert gate.latched == expected


def test_a_frozen_tick_does_not_count_as_fresh(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    times = [NOW_S + TICK_S * n for n in range(12)]
    for time_s in times:
        decision = gate.step(make_state(), make_target(robot), time_s, Mode.WALK)
    assert decision.reasons == Reason.STATE_STALE


@pytest.mark.parametrize(
    ("tick_ms", "expected"),
    [
        (1100, 0),
        (1101, Reason.TICK_JUMP),
        (900, 0),  # a late packet, not used
        (899, Reason.TICK_JUMP),
        (0, Reason.TICK_JUMP),  # the controller has restarted
    ],
)
def test_jumps_of_the_tick(robot: RobotModel, gate: Gate, make_state: Any, tick_ms: int, expected: int) -> None:
    gate.step(make_state(tick_ms=1000), make_target(robot), NOW_S, Mode.WALK)
    gate.step(make_state(tick_ms=tick_ms), make_target(robot), NOW_S + TICK_S, Mode.WALK)
    assert gate.latched == expected


def test_after_a_jump_of_the_tick_it_can_be_rearmed(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    """The controller has restarted and counts from zero: the new count is what it goes by from then on."""
    for tick, tick_ms in enumerate((1000, 0, 2, 4)):
        gate.step(make_state(tick_ms=tick_ms), make_target(robot), NOW_S + tick * TICK_S, Mode.WALK)
    assert gate.latched == Reason.TICK_JUMP
    assert gate.rearm(NOW_S + 3 * TICK_S) == ()
    gate.step(make_state(tick_ms=6), make_target(robot), NOW_S + 4 * TICK_S, Mode.STAND)
    assert gate.latched == 0


def test_a_late_packet_is_not_acted_upon(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    tilted = turned(2.0, axis=0)
    gate.step(make_state(tick_ms=1000), make_target(robot), NOW_S, Mode.WALK)
    late = make_state(tick_ms=998, orientation_trunk_in_world=tilted)
    assert gate.step(late, make_target(robot), NOW_S + TICK_S, Mode.WALK).reasons == 0


def test_the_tick_may_wrap(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    gate.step(make_state(tick_ms=2**32 - 2), make_target(robot), NOW_S, Mode.WALK)
    upside_down = make_state(tick_ms=0, orientation_trunk_in_world=turned(math.pi, axis=0))
    gate.step(upside_down, make_target(robot), NOW_S + TICK_S, Mode.WALK)
    assert gate.latched == Reason.TILT  # the new state was taken, not dropped as late


@pytest.mark.parametrize("mode", list(Mode))
def test_the_stop_key_latches_in_every_mode(robot: RobotModel, gate: Gate, make_state: Any, mode: Mode) -> None:
    pressed = make_state(remote=encode_remote({STOP_KEY}))
    assert is_damping(robot, gate.step(pressed, make_target(robot), NOW_S, mode))
    assert gate.latched == Reason.STOP_KEY
    assert gate.rearm(NOW_S) == ("stop_key",)


def test_the_stop_key_acts_together_with_others(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    gate.step(make_state(remote=encode_remote({STOP_KEY, Key.L2})), make_target(robot), NOW_S, Mode.WALK)
    assert gate.latched == Reason.STOP_KEY


def test_another_key_does_not_stop(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    others = set(Key) - {STOP_KEY}
    gate.step(make_state(remote=encode_remote(others)), make_target(robot), NOW_S, Mode.WALK)
    assert gate.latched == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"valid_until_s": NOW_S}, 0),
        ({"valid_until_s": NOW_S - 1e-6}, Reason.TARGET_STALE),
        ({"valid_until_s": math.nan}, Reason.TARGET_STALE),
        ({"stiffness": np.full(12, 100.0)}, 0),
        ({"stiffness": np.array([30.0] * 11 + [100.01])}, Reason.GAINS_OUT_OF_RANGE),
        ({"stiffness": np.array([30.0] * 11 + [-0.01])}, Reason.GAINS_OUT_OF_RANGE),
        ({"stiffness": np.array([30.0] * 11 + [math.nan])}, Reason.GAINS_OUT_OF_RANGE),
        ({"damping": np.full(12, 10.0)}, 0),
        ({"damping": np.array([0.5] * 11 + [10.01])}, Reason.GAINS_OUT_OF_RANGE),
        ({"damping": np.array([0.5] * 11 + [-0.01])}, Reason.GAINS_OUT_OF_RANGE),
        ({"damping": np.array([0.5] * 11 + [math.inf])}, Reason.GAINS_OUT_OF_RANGE),
        ({"position": np.array([0.0] * 11 + [math.nan])}, Reason.TARGET_NOT_FINITE),
        ({"position": np.array([math.inf] + [0.0] * 11)}, Reason.TARGET_NOT_FINITE),
    ],
)
def test_faults_of_the_target(
    robot: RobotModel, gate: Gate, make_state: Any, change: dict[str, Any], expected: int
) -> None:
    decision = gate.step(make_state(), make_target(robot, **change), NOW_S, Mode.WALK)
    assert gate.latched == expected
    assert is_damping(robot, decision) == bool(expected)


@pytest.mark.parametrize("field", ["stiffness", "damping"])
def test_new_gains_are_checked_even_if_the_others_stay(
    robot: RobotModel, gate: Gate, make_state: Any, field: str
) -> None:
    target = make_target(robot)
    gate.step(make_state(), target, NOW_S, Mode.WALK)
    changes: dict[str, Any] = {field: np.full(12, 1000.0)}
    changed = target._replace(**changes)
    gate.step(make_state(tick_ms=1002), changed, NOW_S + TICK_S, Mode.WALK)
    assert gate.latched == Reason.GAINS_OUT_OF_RANGE


def test_walking_without_a_target_is_a_fault(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    assert is_damping(robot, gate.step(make_state(), None, NOW_S, Mode.WALK))
    assert gate.latched == Reason.TARGET_MISSING


def approach(gate: Gate, robot: RobotModel, state: RobotState, target: JointTarget, ticks: int) -> GateDecision:
    """Ask for `target` often enough for the rate limit to have let it through."""
    for tick in range(ticks):
        time_s = NOW_S + tick * TICK_S
        fresh = target._replace(valid_until_s=time_s + 0.04)
        decision = gate.step(replace(state, tick_ms=state.tick_ms + 2 * tick), fresh, time_s, Mode.WALK)
    return decision


SOFT = {"stiffness": np.full(12, 5.0), "damping": np.full(12, 0.5)}
"""Gains with which the torque limit is out of reach: 5 Nm/rad times 3 rad is 15 Nm."""


@pytest.mark.parametrize("joint", [0, 1, 2, 11])
@pytest.mark.parametrize("side", ["lower", "upper"])
def test_positions_are_held_inside_the_limits(
    robot: RobotModel, gate: Gate, make_state: Any, joint: int, side: str
) -> None:
    limit = getattr(robot, f"joint_{side}")[joint]
    outwards = -1.0 if side == "lower" else 1.0
    for overshoot, clamped in ((-0.001, 0), (0.001, 1)):
        wanted = robot.stand_position.copy()
        wanted[joint] = limit + outwards * overshoot
        decision = approach(Gate(robot), robot, make_state(), make_target(robot, position=wanted, **SOFT), ticks=60)
        assert decision.clamped == (clamped, 0, 0)
        assert decision.reasons == (Reason.POSITION_CLAMPED if clamped else 0)
        assert decision.command.position[joint] == pytest.approx(limit if clamped else wanted[joint], abs=1e-9)


def test_the_contract_can_only_narrow_the_limits(robot: RobotModel, make_state: Any) -> None:
    gate = Gate(robot, joint_lower=robot.joint_lower - 1.0, joint_upper=robot.stand_position + 0.1)
    wanted = robot.stand_position + 0.5
    wanted[0] = robot.joint_lower[0] - 0.5
    decision = approach(gate, robot, make_state(), make_target(robot, position=wanted, **SOFT), ticks=60)
    assert decision.command.position[0] == pytest.approx(robot.joint_lower[0])
    assert decision.command.position[1:] == pytest.approx(robot.stand_position[1:] + 0.1)


def test_the_rate_limit_by_hand(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    """40 rad/s for 2 ms are 0.08 rad a tick; a jump of 0.2 rad takes three ticks, counted from the measured pose."""
    wanted = robot.stand_position.copy()
    wanted[1] += 0.2
    target = make_target(robot, position=wanted, **SOFT)
    offsets, clamps = [], []
    for tick in range(4):
        state = make_state(tick_ms=1000 + 2 * tick)
        decision = gate.step(state, target, NOW_S + tick * TICK_S, Mode.WALK)
        offsets.append(float(decision.command.position[1] - state.joint_position[1]))
        clamps.append(decision.clamped)
    assert offsets == pytest.approx([0.08, 0.16, 0.2, 0.2], abs=1e-6)
    assert clamps == [(0, 1, 0), (0, 1, 0), (0, 0, 0), (0, 0, 0)]


@pytest.mark.parametrize(("joint", "limit_nm"), [(0, 23.7), (1, 23.7), (FRONT_RIGHT_CALF, 35.55)])
@pytest.mark.parametrize("joint_velocity", [0.0, 4.0, -4.0])
def test_the_torque_limit_by_hand(
    robot: RobotModel, make_state: Any, joint: int, limit_nm: float, joint_velocity: float
) -> None:
    """Kp 60 and Kd 2.5: the target may be (limit + 2.5 dq) / 60 rad away from the measured position."""
    velocity = np.zeros(12, np.float32)
    velocity[joint] = joint_velocity
    state = make_state(joint_velocity=velocity)
    gains = {"stiffness": np.full(12, 60.0), "damping": np.full(12, 2.5)}
    allowed = (limit_nm + 2.5 * joint_velocity) / 60.0
    for offset, clamped in ((allowed - 0.001, 0), (allowed + 0.001, 1)):
        wanted = state.joint_position.astype(np.float64)
        wanted[joint] += offset
        decision = approach(Gate(robot), robot, state, make_target(robot, position=wanted, **gains), ticks=15)
        assert decision.clamped == (0, 0, clamped)
        torque = 60.0 * (decision.command.position[joint] - state.joint_position[joint]) - 2.5 * joint_velocity
        assert torque == pytest.approx(limit_nm if clamped else limit_nm - 0.06, abs=1e-4)


def test_the_torque_limit_reckons_with_what_the_wire_leaves_of_the_gains(robot: RobotModel, make_state: Any) -> None:
    """Kp 60.03 arrives as 60.0, Kd 2.55 as 2.5."""
    gains = {"stiffness": np.full(12, 60.03), "damping": np.full(12, 2.55)}
    state = make_state(joint_velocity=np.full(12, -4.0, np.float32))
    wanted = state.joint_position.astype(np.float64) - 0.6
    decision = approach(Gate(robot), robot, state, make_target(robot, position=wanted, **gains), ticks=15)
    torque = 60.0 * (decision.command.position - state.joint_position) - 2.5 * -4.0
    assert torque[:2] == pytest.approx([-23.7, -23.7], abs=1e-4)


def test_without_stiffness_there_is_no_torque_to_limit(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    """The first tick of a ramp: Kp is zero, and a quick joint must not make nonsense of the target."""
    state = make_state(joint_velocity=np.full(12, 9.0, np.float32))
    target = make_target(robot, position=state.joint_position.astype(np.float64), stiffness=np.zeros(12))
    decision = gate.step(state, target, NOW_S, Mode.STAND)
    assert decision.command.position == pytest.approx(state.joint_position)


def test_a_folded_robot_may_leave_the_pose_it_lies_in(robot: RobotModel, gate: Gate, make_state: Any) -> None:
    """Calves at -2.78, limit -2.697: holding is allowed, going further out is not, nor is going back once inside."""
    folded = robot.sit_position.copy()
    folded[2::3] = -2.78
    state = make_state(joint_position=folded.astype(np.float32))

    def ask(calf: float, measured_calf: float, tick: int) -> float:
        wanted, measured = folded.copy(), folded.astype(np.float32)
        wanted[2::3], measured[2::3] = calf, measured_calf
        time_s = NOW_S + tick * TICK_S
        target = make_target(robot, position=wanted, valid_until_s=time_s, **SOFT)
        now = replace(state, tick_ms=1000 + 2 * tick, joint_position=measured)
        return float(gate.step(now, target, time_s, Mode.STAND).command.position[FRONT_RIGHT_CALF])

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
    gate.step(replace(state, tick_ms=1020), None, NOW_S + 10 * TICK_S, Mode.DAMP)
    assert ask(-2.78, -2.78, 11) == pytest.approx(-2.78)  # after damping it is measured anew


joint_arrays = st.lists(st.floats(-20.0, 20.0, width=32), min_size=12, max_size=12).map(np.array)


@given(
    measured=joint_arrays,
    velocity=joint_arrays,
    targets=st.lists(joint_arrays, min_size=1, max_size=4),
    stiffness=st.floats(0.0, 100.0),
    damping=st.floats(0.0, 10.0),
)
def test_whatever_is_asked_fits_the_wire_and_keeps_the_torque(
    make_state: Any,
    robot: RobotModel,
    measured: np.ndarray,
    velocity: np.ndarray,
    targets: list[np.ndarray],
    stiffness: float,
    damping: float,
) -> None:
    gate = Gate(robot)
    gains = {"stiffness": np.full(12, stiffness), "damping": np.full(12, damping)}
    sent_stiffness, sent_damping = math.floor(stiffness * 32) / 32, math.floor(damping * 16) / 16
    for tick, wanted in enumerate(targets):
        state = make_state(
            tick_ms=1000 + 2 * tick,
            joint_position=measured.astype(np.float32),
            joint_velocity=velocity.astype(np.float32),
        )
        target = make_target(robot, position=wanted, **gains)
        decision = gate.step(state, target, NOW_S + tick * TICK_S, Mode.WALK)
        position = decision.command.position
        encode_low_cmd(decision.command)
        torque = sent_stiffness * (position - state.joint_position) - sent_damping * state.joint_velocity
        if sent_stiffness > 0.0:
            assert np.all(np.abs(torque) <= robot.torque_limit + 1e-3)
        again = gate.step(None, make_target(robot, position=position, **gains), NOW_S + tick * TICK_S, Mode.WALK)
        assert np.allclose(again.command.position, position, atol=1e-6)  # what has passed passes again


def test_reason_names() -> None:
    assert reason_names(Reason.TILT | Reason.RATE_CLAMPED) == ("tilt", "rate_clamped")
    assert reason_names(0) == ()
