"""Raw records hold every value of what they were made of, whatever float type it came in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deploy.onboard.gate import NO_CLAMPS, GateDecision
from deploy.onboard.pilot import PilotStep
from deploy.onboard.record_conversion import message_block
from deploy.onboard.record_layout import RECORDS, pack_command, pack_event, pack_state, pack_tick
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import JointCommand
from offline_data.log_schema import CHANNELS, Ending, EventKind, decode_text
from policy.bundle import PolicyOutput

FLOAT_ARRAYS_OF_STATE = (
    "orientation_trunk_in_world",
    "angular_velocity_trunk_in_trunk",
    "accelerometer_trunk_in_trunk",
    "joint_position",
    "joint_velocity",
    "joint_torque",
)


def only_row(topic: str, record: bytes) -> np.void:
    (row,) = np.frombuffer(record, RECORDS[topic])
    return row


def command_of(dtype: str) -> JointCommand:
    """Every field with values of its own, exact in float32."""
    rows = [np.arange(12, dtype=dtype) * 0.25 + 10 * number for number in range(5)]
    return JointCommand(np.arange(12, dtype=np.uint8), *rows)


def step_of(make_state: Any, dtype: str) -> PilotStep:
    rows = [np.arange(12, dtype=dtype) + 100 * number for number in range(5)]
    output = PolicyOutput(rows[0], rows[1], rows[2], rows[3], -12.5, np.zeros(15), np.zeros(14))
    target = JointTarget(rows[0], np.full(12, 30.0), np.full(12, 0.75), 101.0)
    state = make_state(joint_position=np.arange(12, dtype=dtype), joint_velocity=np.arange(12, dtype=dtype) + 0.5)
    command = np.array([0.5, 0.25, -0.125], dtype)
    return PilotStep(target, state, 1.5, 2.5, command, rows[4], output, 0.25, episode=3, tick=9)


def test_a_state_keeps_every_field(make_state: Any) -> None:
    state = make_state(tick_ms=2**32 - 1, battery_current_ma=-(2**31), imu_temperature=-3, battery_soc_percent=77)
    row = only_row("/low_state", pack_state(state, 12.25, 7))
    assert (row["time_s"], row["sequence"], row["tick_ms"]) == (12.25, 7, 2**32 - 1)
    assert (row["battery_current_ma"], row["imu_temperature"], row["battery_soc"]) == (-(2**31), -3, 77)
    assert row["specific_force_imu_in_trunk"].tolist() == state.accelerometer_trunk_in_trunk.tolist()
    assert row["foot_force"].tolist() == [50, 51, 52, 53]
    assert row["wireless_remote"].tobytes() == state.remote


@pytest.mark.parametrize("field", FLOAT_ARRAYS_OF_STATE)
def test_one_float64_in_a_state_changes_nothing(make_state: Any, field: str) -> None:
    state = make_state(joint_torque=np.arange(12, dtype=np.float32) * 0.5)
    wide = replace(state, **{field: getattr(state, field).astype(np.float64)})
    assert pack_state(wide, 1.0, 2) == pack_state(state, 1.0, 2)


def test_a_command_is_the_same_from_either_float_type() -> None:
    records = [
        pack_command(GateDecision(command_of(dtype), 5, NO_CLAMPS), Mode.WALK, 1.5, 0.25, 8) for dtype in ("f4", "f8")
    ]
    assert records[0] == records[1]
    row = only_row("/low_cmd", records[0])
    assert (row["reasons"], row["mode"], row["lateness_s"], row["sequence"]) == (5, Mode.WALK, 0.25, 8)
    # JointCommand's order is position, velocity, torque, stiffness, damping.
    firsts = {"joint_position_target": 0, "joint_velocity_target": 10, "torque_feedforward": 20}
    for name, first in {**firsts, "stiffness": 30, "damping": 40}.items():
        assert row[name].tolist() == [first + 0.25 * joint for joint in range(12)], name
    assert row["motor_mode"].tolist() == list(range(12))


def test_a_policy_step_is_the_same_from_either_float_type(make_state: Any) -> None:
    records = [pack_tick(step_of(make_state, dtype), 0.5, 11, b"\xab" * 32, 4) for dtype in ("f4", "f8")]
    assert records[0] == records[1]
    row = only_row("/policy_tick", records[0])
    assert (row["time_s"], row["state_time_s"], row["log_prob"], row["inference_s"]) == (2.5, 1.5, -12.5, 0.25)
    assert (row["tick"], row["episode"], row["bundle_version"], row["sequence"]) == (9, 3, 11, 4)
    assert row["command_dim"] == 3
    assert row["command"].tolist() == [0.5, 0.25, -0.125] + [0.0] * 13
    firsts = {"joint_target": 0, "action": 100, "action_mean": 200, "action_std": 300, "noise": 400}
    for name, first in firsts.items():
        assert row[name].tolist() == list(range(first, first + 12)), name
    assert row["bundle_sha256"].tobytes() == b"\xab" * 32


def test_an_event_keeps_its_text() -> None:
    record = pack_event(EventKind.FAULT, Mode.FAULT, 1.5, "tilt °", 2**32 - 1, Ending.TERMINATED, 6)
    row = only_row("/event", record)
    assert (row["kind"], row["mode"], row["ending"], row["episode"]) == (1, Mode.FAULT, 1, 2**32 - 1)
    assert decode_text(row["text"]) == "tilt °"


@pytest.mark.parametrize("topic", sorted(RECORDS))
def test_every_field_of_the_log_comes_from_a_record(topic: str) -> None:
    """A field that the schema gains must not stay zero unnoticed."""
    made = {"monotonic_ns", "wall_ns"} | ({"state_monotonic_ns"} if topic == "/policy_tick" else set())
    assert {field.name for field in CHANNELS[topic].fields} <= set(RECORDS[topic].names or ()) | made


def test_conversion_stamps_and_quantizes() -> None:
    record = np.zeros(2, RECORDS["/low_cmd"])
    record["time_s"], record["sequence"] = [1.0, 1.002], [41, 42]
    record["stiffness"], record["damping"] = 30.06, 0.53
    block = message_block("/low_cmd", record, source=1, wall_minus_clock_ns=5)
    assert block.channel_id == 2 + 4  # the second topic of the second source
    assert block.log_times_ns.tolist() == [1_000_000_005, 1_002_000_005]
    payload = np.frombuffer(block.records, np.dtype([("head", "V31"), ("payload", CHANNELS["/low_cmd"].dtype)]))[
        "payload"
    ]
    assert payload["monotonic_ns"].tolist() == [1_000_000_000, 1_002_000_000]
    assert payload["wall_ns"].tolist() == [1_000_000_005, 1_002_000_005]
    assert np.all(payload["stiffness"] == 961 / 32) and np.all(payload["damping"] == 8 / 16)
    assert payload["sequence"].tolist() == [41, 42]
