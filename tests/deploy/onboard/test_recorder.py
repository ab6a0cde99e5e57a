"""The recorder: what it writes is read back by the stock MCAP reader, and the disk's troubles stay its own."""

from __future__ import annotations

import io
import resource
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.exceptions import EndOfFile
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader

from deploy.onboard import disk_writer
from deploy.onboard.gate import NO_CLAMPS, GateDecision
from deploy.onboard.mcap_blocks import BlockMcapWriter
from deploy.onboard.pilot import PilotStep
from deploy.onboard.reasons import Reason
from deploy.onboard.record_conversion import nanoseconds
from deploy.onboard.recorder import NO_EPISODE, McapRecorder, NoRecorder
from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import JointCommand, RobotState
from offline_data import log_schema
from offline_data.log_schema import Ending, EventKind, SessionMetadata
from policy.bundle import PolicyOutput
from robot_configs.robot import RobotModel

METADATA = SessionMetadata(
    session_id="test_session",
    contract_json='{"a":1}',
    bundle_sha256="ab" * 32,
    robot_sha256="cd" * 32,
    settings_json="{}",
)


def make_recorder(directory: Path, **changes: Any) -> McapRecorder:
    return McapRecorder(directory, METADATA, bundle_version=7, start_s=100.0, **changes)


def read(path: Path) -> dict[str, np.ndarray]:
    """Every message by topic, through the stock reader, CRCs checked."""
    payloads: dict[str, list[bytes]] = {topic: [] for topic in log_schema.CHANNELS}
    with open(path, "rb") as stream:
        for schema, channel, message in make_reader(stream, validate_crcs=True).iter_messages():
            assert schema is not None
            expected = log_schema.CHANNELS[channel.topic]
            assert (schema.name, schema.encoding) == (expected.schema_name, log_schema.SCHEMA_ENCODING)
            assert schema.data.decode() == expected.ros2msg
            assert channel.message_encoding == log_schema.MESSAGE_ENCODING
            payloads[channel.topic].append(message.data)
    return {
        topic: np.frombuffer(b"".join(messages), dtype=log_schema.CHANNELS[topic].dtype)
        for topic, messages in payloads.items()
    }


def distinct_state(make_state: Callable[..., RobotState], number: int) -> RobotState:
    """A state in which every field has a value of its own."""
    return make_state(
        tick_ms=2 * number,
        orientation_trunk_in_world=np.array([1, 2, 3, 4], np.float32) + number,
        angular_velocity_trunk_in_trunk=np.array([5, 6, 7], np.float32) + number,
        accelerometer_trunk_in_trunk=np.array([8, 9, 10], np.float32) + number,
        joint_position=np.arange(12, dtype=np.float32) + number,
        joint_velocity=np.arange(12, dtype=np.float32) * 2 + number,
        joint_torque=np.arange(12, dtype=np.float32) * 3 + number,
        joint_temperature=np.arange(12, dtype=np.int8) - 5,
        joint_mode=np.arange(12, dtype=np.uint8),
        foot_force=np.array([-1, 2, -3, 4], np.int16),
        battery_soc_percent=77,
        battery_current_ma=-1234,
        imu_temperature=-3,
        remote=encode_remote({Key.A, Key.L2}, lx=0.5),
    )


def distinct_step(state: RobotState) -> PilotStep:
    rows = [np.arange(12, dtype=np.float32) + 100 * n for n in range(5)]
    output = PolicyOutput(rows[0], rows[1], rows[2], rows[3], -12.5, np.zeros(15), np.zeros(14))
    target = JointTarget(rows[0], np.full(12, 30.0), np.full(12, 0.75), 101.0)
    return PilotStep(
        target, state, 100.002, 100.004, np.array([0.1, 0.2, 0.3], np.float32), rows[4], output, 2e-4, episode=3, tick=9
    )


def test_every_field_comes_back(tmp_path: Path, robot: RobotModel, make_state: Any) -> None:
    recorder = make_recorder(tmp_path)
    state = distinct_state(make_state, 5)
    command = JointCommand(
        mode=np.arange(12, dtype=np.uint8),
        position=np.linspace(0, 1, 12),
        velocity=np.linspace(1, 2, 12),
        torque=np.linspace(2, 3, 12),
        stiffness=np.full(12, 30.06),
        damping=np.full(12, 0.53),
    )
    recorder.low_state(state, 100.002)
    recorder.policy_tick(distinct_step(state), lateness_s=3e-5)
    recorder.low_cmd(GateDecision(command, int(Reason.TORQUE_CLAMPED), NO_CLAMPS), Mode.WALK, 100.004, 4e-5)
    recorder.event(EventKind.EPISODE_END, Mode.FAULT, 100.006, "umgefallen: tilt °", 3, Ending.TERMINATED)
    report = recorder.close()
    assert report.messages == {"/low_state": 1, "/low_cmd": 1, "/policy_tick": 1, "/event": 1}
    assert (sum(report.dropped.values()), report.error) == (0, "")
    logged = {topic: rows[0] for topic, rows in read(Path(report.path)).items()}

    low_state = logged["/low_state"]
    expected: dict[str, Any] = {
        "monotonic_ns": 100_002_000_000,
        "orientation_trunk_in_world": state.orientation_trunk_in_world,
        "angular_velocity_trunk_in_trunk": state.angular_velocity_trunk_in_trunk,
        "specific_force_imu_in_trunk": state.accelerometer_trunk_in_trunk,
        "joint_position": state.joint_position,
        "joint_velocity": state.joint_velocity,
        "joint_torque": state.joint_torque,
        "sequence": 0,
        "tick_ms": 10,
        "battery_current_ma": -1234,
        "foot_force": state.foot_force,
        "motor_mode": state.joint_mode,
        "motor_temperature": state.joint_temperature,
        "imu_temperature": -3,
        "battery_soc": 77,
        "wireless_remote": np.frombuffer(state.remote, np.uint8),
    }
    for name, value in expected.items():
        assert np.array_equal(low_state[name], value), name

    low_cmd = logged["/low_cmd"]
    assert low_cmd["joint_position_target"] == pytest.approx(command.position)
    assert low_cmd["joint_velocity_target"] == pytest.approx(command.velocity)
    assert low_cmd["torque_feedforward"] == pytest.approx(command.torque)
    assert np.all(low_cmd["stiffness"] == 30.03125)  # 961 / 32, as the wire carries 30.06
    assert np.all(low_cmd["damping"] == 0.5)  # 8 / 16, as the wire carries 0.53
    assert (low_cmd["mode"], low_cmd["reasons"]) == (Mode.WALK, Reason.TORQUE_CLAMPED)
    assert low_cmd["lateness_s"] == np.float32(4e-5)
    assert np.array_equal(low_cmd["motor_mode"], command.mode)

    tick = logged["/policy_tick"]
    assert (tick["monotonic_ns"], tick["state_monotonic_ns"]) == (100_004_000_000, low_state["monotonic_ns"])
    for name, first in {"joint_target": 0, "action": 100, "action_mean": 200, "action_std": 300, "noise": 400}.items():
        assert np.array_equal(tick[name], np.arange(12) + first), name
    for name in (
        "orientation_trunk_in_world",
        "angular_velocity_trunk_in_trunk",
        "joint_position",
        "joint_velocity",
    ):
        assert np.array_equal(tick[name], getattr(state, name)), name
    assert tick["command"][:4] == pytest.approx([0.1, 0.2, 0.3, 0.0])
    assert (tick["command_dim"], tick["episode"], tick["tick"], tick["bundle_version"]) == (3, 3, 9, 7)
    assert (tick["log_prob"], tick["lateness_s"]) == (-12.5, np.float32(3e-5))
    assert tick["bundle_sha256"].tobytes() == b"\xab" * 32

    event = logged["/event"]
    assert (event["kind"], event["mode"], event["ending"]) == (EventKind.EPISODE_END, Mode.FAULT, Ending.TERMINATED)
    assert log_schema.decode_text(event["text"]) == "umgefallen: tilt °"
    assert event["wall_ns"] - event["monotonic_ns"] == low_state["wall_ns"] - low_state["monotonic_ns"]


def test_many_messages_keep_order_and_number_across_chunks(tmp_path: Path, make_state: Any, robot: RobotModel) -> None:
    recorder = make_recorder(tmp_path, flush_s=0.05, wait_for_disk=True)
    damping = GateDecision(JointCommand.damp(robot), 0, NO_CLAMPS)
    for number in range(700):
        time_s = 100.0 + 0.002 * number
        recorder.low_state(distinct_state(make_state, number), time_s)
        recorder.low_cmd(damping, Mode.DAMP, time_s, 0.0)
    report = recorder.close()
    logged = read(Path(report.path))
    assert logged["/low_state"]["tick_ms"].tolist() == list(range(0, 1400, 2))
    assert logged["/low_state"]["sequence"].tolist() == list(range(700))
    assert len(logged["/low_cmd"]) == 700
    with open(report.path, "rb") as stream:
        summary = make_reader(stream).get_summary()
    assert summary is not None
    assert summary.statistics is not None
    assert summary.statistics.message_count == 1400
    assert summary.statistics.chunk_count == len(summary.chunk_indexes) >= 700 * 0.002 / 0.055


def test_the_index_finds_a_moment(tmp_path: Path, make_state: Any) -> None:
    recorder = make_recorder(tmp_path, flush_s=0.02)
    for number in range(100):
        recorder.low_state(distinct_state(make_state, number), 100.0 + 0.002 * number)
    report = recorder.close()
    whole = read(Path(report.path))["/low_state"]
    start, end = int(whole["wall_ns"][40]), int(whole["wall_ns"][50])
    with open(report.path, "rb") as stream:
        found = list(make_reader(stream).iter_messages(topics=["/low_state"], starting_at=start, ending_before=end))
    ticks = [int(np.frombuffer(message.data, whole.dtype)["tick_ms"][0]) for _, _, message in found]
    assert ticks == list(range(80, 100, 2))


def test_the_metadata_makes_the_log_readable_on_its_own(tmp_path: Path) -> None:
    report = make_recorder(tmp_path).close()
    with open(report.path, "rb") as stream:
        records = {record.name: record.metadata for record in make_reader(stream).iter_metadata()}
    assert SessionMetadata.from_record(records[log_schema.METADATA_NAME]) == METADATA


def test_what_was_flushed_survives_a_crash(tmp_path: Path, make_state: Any) -> None:
    """Cut before the index: what is left holds every message of the chunks that were due."""
    recorder = make_recorder(tmp_path, flush_s=0.02, wait_for_disk=True)
    for number in range(95):
        recorder.low_state(distinct_state(make_state, number), 100.0 + 0.002 * number)
    whole = Path(recorder.close().path)
    with open(whole, "rb") as stream:
        summary = make_reader(stream).get_summary()
        assert summary is not None
        last = summary.chunk_indexes[-1]
    torn = io.BytesIO(whole.read_bytes()[: last.chunk_start_offset + last.chunk_length // 2])
    found = 0
    with pytest.raises(EndOfFile):
        for record in StreamReader(torn).records:
            found += isinstance(record, Message)
    assert found == 91  # a chunk closes at rows 10, 20, ..., 90; rows 91 to 94 went with the torn one


def test_a_log_is_never_overwritten(tmp_path: Path) -> None:
    make_recorder(tmp_path).close()
    with pytest.raises(FileExistsError):
        make_recorder(tmp_path)


def test_closing_twice_gives_the_same_report(tmp_path: Path) -> None:
    recorder = make_recorder(tmp_path)
    assert recorder.close() is recorder.close()


class FailingStream(io.BytesIO):
    """A disk that fills up after a number of bytes."""

    room = 0

    def write(self, content: Any) -> int:
        if self.tell() + len(content) > self.room:
            raise OSError(28, "No space left on device")
        return super().write(content)


def test_a_full_disk_costs_messages_and_nothing_else(
    tmp_path: Path, make_state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = FailingStream()
    stream.room = 20_000
    monkeypatch.setattr(disk_writer, "open", lambda path, mode: stream, raising=False)
    recorder = make_recorder(tmp_path, flush_s=0.02, wait_for_disk=True)
    for number in range(1000):
        recorder.low_state(distinct_state(make_state, number), 100.0 + 0.002 * number)
    report = recorder.close()
    assert "No space left" in report.error
    assert report.messages["/low_state"] > 0
    assert report.dropped["/low_state"] > 0
    assert report.messages["/low_state"] + report.dropped["/low_state"] == 1000


@pytest.mark.parametrize("room", [0, 1_000])
def test_a_log_whose_head_finds_no_room_leaves_no_file(tmp_path: Path, room: int) -> None:
    """The system's own refusal, at the first byte or behind a part of the head."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            make_recorder(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(tmp_path / f"{METADATA.session_id}.mcap")
    assert caught.value.__context__ is None or caught.value.__suppress_context__  # one traceback, not two
    assert list(tmp_path.iterdir()) == []


class StuckWriter(BlockMcapWriter):
    """A disk that does not come back until it is told to."""

    released = threading.Event()
    caught_up = threading.Event()

    def write_chunk(self, blocks: Any) -> None:
        self.released.wait(30.0)
        super().write_chunk(blocks)
        if self.chunks == disk_writer.QUEUE_CHUNKS:
            self.caught_up.set()


def test_a_stuck_disk_does_not_stop_the_loop(tmp_path: Path, make_state: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_writer, "BlockMcapWriter", StuckWriter)
    for name in ("released", "caught_up"):
        monkeypatch.setattr(StuckWriter, name, threading.Event())
    recorder = make_recorder(tmp_path, flush_s=0.009)  # five rows a chunk
    messages = 5 * (disk_writer.QUEUE_CHUNKS + 20)
    for number in range(messages):
        recorder.low_state(distinct_state(make_state, number), 100.0 + 0.002 * number)
    StuckWriter.released.set()
    assert StuckWriter.caught_up.wait(30.0)
    recorder.low_state(distinct_state(make_state, messages), 100.0 + 0.002 * messages)
    report = recorder.close()
    assert report.dropped["/low_state"] >= 5 * 15
    assert report.messages["/low_state"] + report.dropped["/low_state"] == messages + 1
    logged = read(Path(report.path))
    sequences, event = logged["/low_state"]["sequence"], logged["/event"][0]
    assert event["kind"] == EventKind.RECORDER_DROPS
    assert log_schema.decode_text(event["text"]) == f"lost {report.dropped['/low_state']} of /low_state"
    assert len(sequences) == report.messages["/low_state"]
    assert np.diff(sequences.astype(int)).max() > 1  # the gap shows in the log itself


def test_no_recorder_reports_nothing() -> None:
    report = NoRecorder().close()
    assert (report.path, report.messages, report.dropped, report.error) == ("", {}, {}, "")


def test_stamps() -> None:
    assert nanoseconds(np.array([0.002 * 3])).tolist() == [6_000_000]
    assert NO_EPISODE == np.iinfo(np.uint32).max
