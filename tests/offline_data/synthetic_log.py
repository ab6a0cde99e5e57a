"""Logs of a robot that stands still, written with the stock MCAP writer, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from mcap.writer import CompressionType, Writer

from offline_data.log_schema import (
    CHANNELS,
    EVENT,
    LOW_CMD,
    LOW_STATE,
    MESSAGE_ENCODING,
    METADATA_NAME,
    POLICY_TICK,
    PROFILE,
    SCHEMA_ENCODING,
    Ending,
    EventKind,
    SessionMetadata,
    encode_text,
)
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

STEP_NS = 20_000_000
TICK_NS = 2_000_000
BUNDLE = bytes(range(32))


def standing_session(
    steps: int, ending: Ending = Ending.TRUNCATED, episode: int = 0, start_ns: int = 10**9
) -> dict[str, np.ndarray]:
    """Messages by topic of one episode of `steps` policy steps; states go on for one step after the last tick."""
    robot = load_robot()
    states = LOW_STATE.zeros(steps * 10 + 1)
    stamps = start_ns + TICK_NS * np.arange(len(states))
    states["monotonic_ns"], states["wall_ns"] = stamps, stamps
    states["sequence"], states["tick_ms"] = np.arange(len(states)), 2 * np.arange(len(states))
    states["orientation_trunk_in_world"] = [1, 0, 0, 0]
    states["specific_force_imu_in_trunk"] = [0, 0, 9.81]
    states["joint_position"] = robot.stand_position
    states["joint_torque"] = np.arange(12)
    states["foot_force"] = 100
    states["battery_soc"] = 80
    states["motor_temperature"] = 30
    # Sensors that never change are reported as frozen: a little encoder noise makes these live.
    states["joint_velocity"] = 0.001 * np.random.default_rng(0).standard_normal((len(states), 12))
    states["angular_velocity_trunk_in_trunk"] = 0.001 * np.random.default_rng(1).standard_normal((len(states), 3))
    states["specific_force_imu_in_trunk"] += 0.001 * np.random.default_rng(2).standard_normal((len(states), 3))
    commands = LOW_CMD.zeros(len(states))
    commands["monotonic_ns"], commands["sequence"] = stamps, np.arange(len(states))
    commands["joint_position_target"] = robot.stand_position
    commands["stiffness"], commands["damping"], commands["motor_mode"] = 30.0, 0.75, 10
    ticks = POLICY_TICK.zeros(steps)
    taken = states[: steps * 10 : 10]
    for name in ("orientation_trunk_in_world", "angular_velocity_trunk_in_trunk", "joint_position", "joint_velocity"):
        ticks[name] = taken[name]
    ticks["monotonic_ns"] = ticks["state_monotonic_ns"] = taken["monotonic_ns"]
    ticks["tick"], ticks["episode"], ticks["command_dim"] = np.arange(steps), episode, 3
    ticks["action"] = np.arange(steps)[:, None] * 0.01
    contract = velocity_contract(robot)
    target = np.array(contract.default_position) + np.array(contract.action_scale) * ticks["action"]
    ticks["joint_target"] = np.clip(target, contract.target_lower, contract.target_upper)
    ticks["action_std"] = 1.0
    ticks["bundle_sha256"] = np.frombuffer(BUNDLE, np.uint8)
    events = EVENT.zeros(2)
    events["kind"] = [EventKind.EPISODE_START, EventKind.EPISODE_END]
    events["episode"], events["ending"] = episode, [Ending.NONE, ending]
    events["monotonic_ns"] = [start_ns, stamps[-1]]
    events["text"] = [encode_text("begin"), encode_text("end")]
    return {"/low_state": states, "/low_cmd": commands, "/policy_tick": ticks, "/event": events}


def joined(*sessions: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Several sessions in one log."""
    return {topic: np.concatenate([session[topic] for session in sessions]) for topic in CHANNELS}


def metadata() -> SessionMetadata:
    """What a runner would write about these logs."""
    robot = load_robot()
    return SessionMetadata(
        session_id="test",
        contract_json=velocity_contract(robot).to_json(),
        bundle_sha256=BUNDLE.hex(),
        robot_sha256=robot.sha256,
        settings_json="{}",
    )


def write_log(
    path: Path,
    messages: Mapping[str, np.ndarray],
    record: Mapping[str, str] | None = None,
    compression: CompressionType = CompressionType.NONE,
    chunk_bytes: int = 20_000,
    finish: bool = True,
) -> Path:
    """Writes messages in order of time, metadata first; `finish=False` leaves the file as a power cut would."""
    with path.open("wb") as file:
        writer = Writer(file, compression=compression, chunk_size=chunk_bytes)
        writer.start(profile=PROFILE, library=PROFILE)
        writer.add_metadata(METADATA_NAME, dict(record or metadata().to_record()))
        ids = {}
        for topic, channel in CHANNELS.items():
            schema = writer.register_schema(channel.schema_name, SCHEMA_ENCODING, channel.ros2msg.encode())
            ids[topic] = writer.register_channel(topic, MESSAGE_ENCODING, schema)
        merged = [
            (int(message["monotonic_ns"]), topic, message.tobytes()) for topic in ids for message in messages[topic]
        ]
        for stamp, topic, payload in sorted(merged, key=lambda item: item[0]):
            writer.add_message(ids[topic], log_time=stamp, data=payload, publish_time=stamp)
        if finish:
            writer.finish()
    return path
