"""What a broken channel says, by hand-computed numbers, and that it leaves every other channel alone."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any, List

import numpy as np
import pytest

from deploy.onboard.remote import Key, decode_remote, encode_remote
from deploy.onboard.wire import RobotState, decode_low_state, encode_low_state
from robot_configs.twin_conditions import TwinCondition
from sim.twin.body import TwinBody
from sim.twin.sensor_channels import CHANNELS
from sim.twin.sensor_faults import SENSOR_FAULT_KINDS, BrokenSensor, SensorFault, SensorFaultError, SensorFaultKind
from sim.twin.transport import TwinTransport

TICKS = 60


@pytest.fixture(scope="module")
def state(quiet: TwinCondition) -> RobotState:
    """A folded robot whose person pushes a stick and holds a key."""
    measured = TwinBody(quiet, seed=1).step()
    remote = encode_remote(frozenset({Key.A}), lx=0.1, ly=0.2, rx=0.3, ry=0.4)
    return replace(measured, remote=remote, joint_torque=np.arange(12) * 1.0, tick_ms=1000)


def _spoken(channel: str, kind: SensorFaultKind, states: List[RobotState], past: int = 0) -> List[RobotState]:
    """What is reported of `states`; the first `past` of them come before the onset and are not."""
    sensor = BrokenSensor(SensorFault(channel, kind, seed=3), states[:past])
    return [sensor(state) for state in states[past:]]


def _ramp(state: RobotState, field: str, count: int) -> List[RobotState]:
    """States in which every entry of `field` counts 0, 1, 2..."""
    return [replace(state, **{field: np.full_like(getattr(state, field), index)}) for index in range(count)]


def _equal(first: Any, second: Any) -> bool:
    return bool(np.array_equal(np.atleast_1d(first), np.atleast_1d(second)))


ON_THE_WIRE = [
    (channel, kind)
    for channel in CHANNELS
    for kind in SENSOR_FAULT_KINDS
    if kind != "nan" or CHANNELS[channel].can_be_nan
]


@pytest.mark.parametrize(("channel", "kind"), ON_THE_WIRE)
def test_every_fault_stays_in_its_channel_and_can_cross_the_wire(
    channel: str, kind: SensorFaultKind, state: RobotState
) -> None:
    for reported in _spoken(channel, kind, [state] * 5):
        changed = {
            entry.name
            for entry in fields(state)
            if not _equal(getattr(reported, entry.name), getattr(state, entry.name))
        }
        assert changed <= {CHANNELS[channel].field}
        entries = set(CHANNELS[channel].entries)
        if channel.startswith("joint_"):
            touched = np.flatnonzero(
                getattr(reported, CHANNELS[channel].field) != getattr(state, CHANNELS[channel].field)
            )
            assert set(touched) <= entries
        decode_low_state(encode_low_state(reported))


def test_off_is_zero_and_nan_is_no_number(state: RobotState) -> None:
    assert _spoken("joint_position.FL_calf", "off", [state])[0].joint_position[5] == 0.0
    assert np.isnan(_spoken("gyro", "nan", [state])[0].angular_velocity_trunk_in_trunk).all()
    assert _spoken("battery", "off", [state])[0].battery_soc_percent == 0


def test_stuck_holds_slow_updates_every_fifty_milliseconds_and_delayed_lags_by_as_much(state: RobotState) -> None:
    ramp = _ramp(state, "joint_velocity", TICKS)
    assert [s.joint_velocity[2] for s in _spoken("joint_velocity.FR_calf", "stuck", ramp, past=4)] == [4.0] * 56
    slow = [s.joint_velocity[2] for s in _spoken("joint_velocity.FR_calf", "slow", ramp)]
    assert slow == [0.0] * 25 + [25.0] * 25 + [50.0] * 10
    delayed = [s.joint_velocity[2] for s in _spoken("joint_velocity.FR_calf", "delayed", ramp, past=30)]
    assert delayed == list(range(5, 35))


def test_spikes_last_one_tick_and_come_ten_times_a_second(state: RobotState) -> None:
    steady = _ramp(state, "joint_velocity", 1) * 101
    spikes = [s.joint_velocity[0] for s in _spoken("joint_velocity.FR_hip", "spike", steady)]
    assert [index for index, value in enumerate(spikes) if value] == [0, 50, 100]
    assert spikes[0] == 25.0


def test_a_loose_contact_is_open_a_fifth_of_the_time(state: RobotState) -> None:
    reported = [s.joint_torque[3] for s in _spoken("joint_torque.FL_hip", "intermittent", [state] * 5000)]
    assert set(reported) == {0.0, 3.0}
    assert reported[0] == 0.0  # the fault begins with a contact that opens
    assert 0.1 < reported.count(0.0) / 5000 < 0.3
    assert reported == [s.joint_torque[3] for s in _spoken("joint_torque.FL_hip", "intermittent", [state] * 5000)]


def test_a_swapped_cable_reads_the_next_leg(state: RobotState) -> None:
    reported = _spoken("joint_torque.RL_thigh", "wrong", [state])[0].joint_torque
    assert reported[10] == state.joint_torque[1] == 1.0  # after the last leg comes the first
    assert _spoken("battery", "wrong", [state])[0].battery_soc_percent == 45


def test_a_bias_and_a_sign_are_the_channels_own(state: RobotState) -> None:
    biased = _spoken("joint_position.FR_hip", "bias_step", [state])[0]
    assert biased.joint_position[0] == pytest.approx(state.joint_position[0] + 0.2)
    assert _spoken("joint_torque.FR_calf", "sign_flip", [state])[0].joint_torque[2] == -2.0
    assert _spoken("tick", "bias_step", [state])[0].tick_ms == 1060


def test_a_wrong_quaternion_still_has_norm_one(state: RobotState) -> None:
    turned = replace(state, orientation_trunk_in_world=np.array([math.cos(0.2), 0.0, math.sin(0.2), 0.0]))
    flipped = _spoken("quaternion", "sign_flip", [turned])[0].orientation_trunk_in_world
    np.testing.assert_allclose(flipped, [math.cos(0.2), 0.0, -math.sin(0.2), 0.0])
    level = replace(state, orientation_trunk_in_world=np.array([1.0, 0.0, 0.0, 0.0]))
    rolled = _spoken("quaternion", "bias_step", [level])[0].orientation_trunk_in_world
    np.testing.assert_allclose(rolled, [math.cos(0.15), math.sin(0.15), 0.0, 0.0])
    both = _spoken("quaternion", "bias_step", [turned])[0].orientation_trunk_in_world
    assert np.linalg.norm(both) == pytest.approx(1.0)
    assert _spoken("quaternion", "wrong", [level])[0].orientation_trunk_in_world.tolist() == [0.0, 0.0, 0.0, 1.0]


def test_integers_saturate_as_they_do_on_the_wire(state: RobotState) -> None:
    assert _spoken("battery", "sign_flip", [state])[0].battery_soc_percent == 0
    assert (
        _spoken("foot_force", "spike", [replace(state, foot_force=np.full(4, 32000, np.int16))])[0].foot_force.max()
        == 32767
    )


def test_the_remotes_keys_survive_broken_sticks(state: RobotState) -> None:
    remote = decode_remote(_spoken("remote", "sign_flip", [state])[0].remote)
    assert remote.keys == {Key.A}
    np.testing.assert_allclose([remote.lx, remote.ly], [-0.1, -0.2], rtol=1e-6)
    assert decode_remote(_spoken("remote", "off", [state])[0].remote).keys == frozenset()
    assert decode_remote(_spoken("remote", "wrong", [state])[0].remote).lx == pytest.approx(0.3)


def test_garbage_is_new_every_tick_and_repeats_with_the_seed(state: RobotState) -> None:
    first, second = (_spoken("accelerometer", "garbage", [state] * 3) for _ in range(2))
    values = [s.accelerometer_trunk_in_trunk.tobytes() for s in first]
    assert len(set(values)) == 3
    assert values == [s.accelerometer_trunk_in_trunk.tobytes() for s in second]


@pytest.mark.parametrize(
    ("channel", "kind", "expected"),
    [("gyroscope", "off", "gyro"), ("gyro", "loose", "intermittent"), ("battery", "nan", "floating-point")],
)
def test_an_impossible_fault_is_refused(channel: str, kind: Any, expected: str) -> None:
    with pytest.raises(SensorFaultError, match=expected):
        SensorFault(channel, kind)


def test_the_twin_reports_through_its_broken_sensor(quiet: TwinCondition) -> None:
    twin = TwinTransport(TwinBody(quiet, seed=0))
    twin.sensor_fault = BrokenSensor(SensorFault("joint_position.FR_hip", "bias_step"))
    reported = decode_low_state(twin.receive(0.0)).joint_position[0]
    assert reported == pytest.approx(twin.body.truth.joint_position[0] + 0.2, abs=1e-6)
